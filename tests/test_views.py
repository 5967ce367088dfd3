"""What a classifier is shown, and the shards of what it says."""

import numpy as np
import pytest
import torch
from PIL import Image

from gazetune.data.labelled import load_image_folder, squashed_crop
from gazetune.errors import InputError
from gazetune.parity import predict
from gazetune.parity.corruptions import corrupt, image_seed
from gazetune.parity.predict import predictions, read_answers, write_answers
from gazetune.parity.settings import Classification
from gazetune.parity.views import _seeded_by, batches_of, preprocessing_text, viewer
from gazetune.run import Run
from worlds import small_vit

NOISY = ("gaussian_noise", "glass_blur", "fog")


def photo_folder(folder, n=6, size=(70, 50), seed=0):
    """n photos in two classes, a (even) and b (odd)."""
    rng = np.random.default_rng(seed)
    for i in range(n):
        place = folder / "ab"[i % 2]
        place.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / f"p{i}.png")
    return folder


@pytest.fixture()
def photos(tmp_path):
    return load_image_folder(photo_folder(tmp_path / "photos"))


def settings(**changes):
    return Classification(kind="folder", path="photos", **changes)


def seen(labelled, how, workers, size=(32, 32), batch=4):
    view, n = viewer(labelled, how, size, skip_bad=False), len(labelled) * len(how.copies())
    parts = [range(start, min(start + batch, n)) for start in range(0, n, batch)]
    return torch.cat([b.images for b in batches_of(view, parts, size, workers)])


def test_the_papers_preprocessing(photos):
    pixels, _ = photos.pixels(3)
    view = viewer(photos, settings(), (224, 224), False)(3)
    assert np.array_equal(view.pixels, squashed_crop(pixels, 256, 224))
    assert preprocessing_text(settings(), (224, 224)) == "squashed to 256x256 (bilinear), centre crop 224"
    with pytest.raises(InputError, match="squares"):
        viewer(photos, settings(), (224, 196), False)
    assert viewer(photos, settings(preprocessing="squashed"), (224, 196), False)(0).pixels.shape == (224, 196, 3)


def test_where_an_image_is_corrupted(photos):
    pixels, _ = photos.pixels(2)
    seed = image_seed(photos.ids[2], "fog", 5, 0)
    whole = viewer(photos, settings(corruptions=("fog",)), (64, 64), False)(2).pixels
    crop = viewer(photos, settings(corruptions=("fog",), corrupt_at="crop"), (64, 64), False)(2).pixels
    larger = round(64 * 256 / 224)
    assert np.array_equal(whole, squashed_crop(corrupt(pixels, "fog", 5, seed), larger, 64))
    assert np.array_equal(crop, corrupt(squashed_crop(pixels, larger, 64), "fog", 5, seed))
    assert not np.array_equal(whole, crop)


def test_a_corrupted_image_does_not_depend_on_workers_order_or_the_other_images(photos):
    how = settings(corruptions=NOISY, severities=(1, 5))
    alone = seen(photos, how, 1)
    assert torch.equal(alone, seen(photos, how, 4, batch=5))
    some = photos.take(np.array([4, 1]))
    assert torch.equal(seen(some, how, 2), torch.cat([alone[4 * 6 : 5 * 6], alone[1 * 6 : 2 * 6]]))
    assert not torch.equal(alone, seen(photos, how.model_copy(update={"seed": 1}), 1))


def test_several_answers_are_right():
    logits = torch.tensor([[2.0, 1, 0], [0, 1, 2], [0, 1, 2]])
    table = predictions(logits, np.array([[2, 0], [0, 1], [1, -1]]))
    assert table["correct"].tolist() == [True, False, False]
    share = np.exp([2, 1, 0]) / np.exp([2, 1, 0]).sum()
    assert table["p_true"].tolist() == pytest.approx([share[0] + share[2], share[2] + share[1], share[1]])


def answered(run, backbone, labelled, inputs="x", skip_bad=False, right=None):
    view = viewer(labelled, settings(), backbone.image_size, skip_bad)
    right = labelled.answers if right is None else right
    names = write_answers(run, "predictions/photos/m", inputs, backbone, view, right, len(labelled), 2, 2)
    return names, *read_answers(run, names)


def test_shards_hold_what_the_model_says_and_are_not_made_twice(tmp_path, photos, monkeypatch):
    monkeypatch.setattr(predict, "SHARD", 4)
    run, backbone = Run(tmp_path / "run"), small_vit()
    names, found, reasons = answered(run, backbone, photos)
    assert len(names) == 2 and not reasons and found["place"].tolist() == list(range(6))
    with torch.no_grad():
        logits = backbone(seen(photos, settings(), 1)).logits
    assert found["top1"].tolist() == logits.argmax(1).tolist()
    assert found["correct"].tolist() == (logits.argmax(1).numpy() == photos.answers[:, 0]).tolist()
    before = [run.file(name).stat().st_mtime_ns for name in names]
    run.file(names[1]).unlink()  # a stop after the first shard
    _, same, _ = answered(run, backbone, photos)
    assert run.file(names[0]).stat().st_mtime_ns == before[0]
    assert all(torch.equal(found[key], same[key]) for key in found)
    answered(run, backbone, photos, inputs="y")
    assert run.file(names[0]).stat().st_mtime_ns != before[0]


def test_a_bad_image_is_said_or_left_out_with_its_reason(tmp_path, photos):
    photos.paths[2].write_bytes(b"no image")
    photos.paths[3].write_bytes(photos.paths[3].read_bytes()[:200])
    run, backbone = Run(tmp_path / "run"), small_vit()
    with pytest.raises(InputError, match=r"p\d.png"):
        answered(run, backbone, photos)
    _, found, reasons = answered(run, backbone, photos, skip_bad=True)
    assert found["place"].tolist() == [0, 1, 4, 5] and sorted(reasons) == [2, 3]  # 2 and 3 were a batch of their own
    assert photos.paths[2].name in reasons[2]


def test_a_model_without_a_head_gives_what_one_would_sit_on(tmp_path, photos):
    from transformers import Dinov2Config, Dinov2Model

    from gazetune.backbones.families import HALF, normalised
    from gazetune.backbones.vit import VisionTransformer

    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2}
    model = Dinov2Model(Dinov2Config(**shape, image_size=32, patch_size=8))
    backbone = VisionTransformer(model, *HALF, (32, 32), name="small")
    view = viewer(photos, settings(), (32, 32), False)
    run = Run(tmp_path / "run")
    names = write_answers(run, "predictions/photos/m", "x", backbone, view, None, 6, 4, 1)
    found, _ = read_answers(run, names)
    with torch.no_grad():
        pixels = normalised(seen(photos, settings(), 1), *HALF, torch.empty(()))
        expected = model(pixels).last_hidden_state[:, 0]
    torch.testing.assert_close(found["representation"], expected, atol=1e-5, rtol=0)


def test_an_answer_that_is_not_a_number_is_missing_not_class_0(tmp_path, photos):
    backbone = small_vit(labels=2)
    view = viewer(photos, settings(), backbone.image_size, False)
    with torch.no_grad():
        next(p for n, p in backbone.model.named_parameters() if "classifier" in n).fill_(torch.nan)
    run = Run(tmp_path / "run")
    found, reasons = read_answers(run, write_answers(run, "p", "x", backbone, view, photos.answers, 6, 3, 1))
    assert len(found["place"]) == 0 and set(reasons.values()) == {predict.NOT_A_NUMBER} and len(reasons) == 6


def test_the_same_photo_is_corrupted_alike_in_any_folder():
    assert _seeded_by("n01440764/ILSVRC2012_val_00000293.JPEG") == _seeded_by("ilsvrc2012_val_00000293.png")
    assert _seeded_by("mine/photo.png") == "mine/photo.png"
