"""What the live page answers, without a page: the same maps, predictions and scores as the library."""

import io
import json
import sys
import zipfile
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from PIL import Image

from gazetune import Run, attention_maps, load_backbone, load_table, score
from gazetune.app import live as ask
from gazetune.app import show
from gazetune.app.answers import Answer, Reading, answer, described, every_head
from gazetune.app.download import zipped
from gazetune.app.models import Asked
from gazetune.app.photos import read_photo
from gazetune.app.sessions import PAGES, PHOTOS, Sessions
from gazetune.commands.settings import of_run
from gazetune.data.images import read_rgb
from gazetune.errors import InputError
from gazetune.maps import Human, densities, grid_points, upsampled
from live import drawn, empty_png, encoded
from random_models import noise, random_dinov2, random_vit
from test_cnn import small
from worlds import gazetune

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def run(trained_run):
    return trained_run


@pytest.fixture(scope="module")
def live(run):
    return ask.open_run(run, of_run(Run(run)), CPU)


def photo(content=None, name="scene.png", sizes=((32, 32),)):
    return read_photo(encoded(drawn()) if content is None else content, name, sizes)


def asked(backbone, layers=3, method="rollout"):
    return Asked("m", "m", backbone, method, layers)


# photos ---------------------------------------------------------------------------------------------------------------


def test_a_photo_is_squashed_as_a_file_would_be(tmp_path):
    (tmp_path / "scene.png").write_bytes(encoded(drawn()))
    read = photo(sizes=[(32, 32), (48, 64)])
    for size in ((32, 32), (48, 64)):
        np.testing.assert_array_equal(read.inputs[size], read_rgb(tmp_path / "scene.png", size))
    assert (read.width, read.height) == (120, 80)


def test_a_photo_is_turned_upright_and_shown_without_its_notes():
    notes = Image.Exif()
    notes[0x0112] = 6  # the camera was turned: rotate by 90 degrees clockwise to show
    notes[0x010F] = "a camera"
    read = photo(encoded(drawn(), exif=notes))
    upright = np.rot90(drawn(), k=-1)
    expected = np.asarray(Image.fromarray(upright).resize((32, 32), Image.Resampling.BICUBIC))
    np.testing.assert_array_equal(read.inputs[32, 32], expected)
    assert (read.width, read.height) == (80, 120)
    shown = Image.open(io.BytesIO(read.shown))
    assert shown.size == (80, 120)
    assert not dict(shown.getexif())
    assert b"a camera" not in read.shown


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"nothing but words", "is not an image that can be read, whatever its name says"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "is not an image"),  # Pillow would start Ghostscript
        (encoded(drawn())[:-200], "is damaged or cut short"),
        (empty_png(8000, 8000), "64 megapixels (8000x8000); at most 50"),
        (empty_png(15000, 15000), "225 megapixels|far more than 50 megapixels"),
        (empty_png(60000, 60000), "far more than 50 megapixels"),
        (b"\0" * (20 * 2**20 + 1), "20 MB; at most 20 are read"),
    ],
    ids=["text", "eps", "cut", "large", "larger", "bomb", "heavy"],
)
def test_what_is_no_usable_photo_is_refused_in_words(content, said):
    with pytest.raises(InputError) as refused:
        photo(content, "holiday.jpg")
    assert any(part in str(refused.value) for part in said.split("|"))
    assert str(refused.value).startswith("'holiday.jpg'")
    assert "--skip-bad" not in str(refused.value)


def test_only_the_last_part_of_a_name_is_kept():
    assert photo(name="../../etc/scene.png").name == "scene.png"


# answers --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["rollout", "cls_attention", "mean_attention", "relevance", "gradcam"])
def test_maps_are_those_of_the_library(live, run, tmp_path, method):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "scene.png").write_bytes(encoded(drawn()))
    (tmp_path / "fixations.csv").write_text("image,observer,x,y\nscene.png,a,5,5\n")
    stimuli = load_table(tmp_path)
    found = {one.key: one.map for one in ask.answers(live, photo(), Reading(method))}
    weights = {key: run / "checkpoints" / key / "best" for key in ("after-s42", "shuffled-s42")}
    weights["before"] = run.parent / "weights"
    assert found.keys() == weights.keys()
    for key, folder in weights.items():
        expected = attention_maps(load_backbone(folder), stimuli, method, size=64, batch_size=1)[0].numpy()
        np.testing.assert_array_equal(found[key], expected)
    assert not np.array_equal(found["before"], found["after-s42"])


def test_predictions_are_the_softmax_of_the_logits():
    backbone, images = random_vit(), noise(1)
    said = answer(asked(backbone), images[0].permute(1, 2, 0).numpy(), Reading(), 64).top
    with torch.no_grad():
        p = backbone(images).logits[0].softmax(0)
    expected = sorted(((f"class {i}", float(v)) for i, v in enumerate(p)), key=lambda pair: -pair[1])
    assert [name for name, _ in said] == [name for name, _ in expected]
    np.testing.assert_allclose([v for _, v in said], [v for _, v in expected], rtol=1e-6)  # scores are kept in float32
    named = load_backbone("tiny")
    top = answer(asked(named), noise(1, 96)[0].permute(1, 2, 0).numpy(), Reading(), 64).top
    assert {name for name, _ in top} <= set(named.classes)


@pytest.mark.parametrize("model", [random_vit, random_dinov2])
def test_one_head_is_its_cls_row(model):
    backbone, images = model(), noise(1)
    with torch.no_grad():
        every = backbone(images, attention="heads")
    row = every.attention[1][:, 1, 0, every.prefix :].unflatten(1, every.grid)
    mean = every.attention[1].mean(1)[:, 0, every.prefix :].unflatten(1, every.grid)
    pixels = images[0].permute(1, 2, 0).numpy()
    for head, grid in ((2, row), (0, mean)):
        found = answer(asked(backbone), pixels, Reading("rollout", layer=2, head=head), 64)
        np.testing.assert_allclose(found.map, upsampled(grid.float(), 64)[0], atol=1e-5)
    assert (found.top is None) == (every.logits is None)
    heads = every_head(asked(backbone), pixels)
    assert heads.shape == (3, 2, 4, 4)
    np.testing.assert_allclose(heads[1, 1], ((row - row.min()) / (row.max() - row.min()))[0], atol=1e-12)


def test_what_does_not_fit_is_said_and_the_model_still_predicts():
    cnn = asked(small(), layers=0, method="gradcam")
    pixels = noise(1, 128)[0].permute(1, 2, 0).numpy()
    for reading, why in (("rollout", "Attention rollout does not fit this model; Grad-CAM would."), ("own", "")):
        found = answer(cnn, pixels, Reading(reading), 64)
        assert (found.map is None, found.why) == (bool(why), why)
        assert len(found.top) == 5
    assert described(cnn, Reading("own", 1, 0))[1] == "This model has no attention heads."
    assert described(asked(random_vit()), Reading("own", 4, 1))[1] == "This model has 3 layers of 2 heads."


def test_a_constant_map_is_said():
    backbone = random_vit()
    for parameter in backbone.learnable().values():
        torch.nn.init.zeros_(parameter)
    found = answer(asked(backbone), noise(1)[0].permute(1, 2, 0).numpy(), Reading(), 64)
    assert (found.map, found.why) == (None, "This map is constant: it prefers no place.")


# a run's own test images ----------------------------------------------------------------------------------------------


def test_scores_of_a_test_image_are_those_of_the_library(live, run):
    study = live.studies["table"]
    whole = load_table(run.parent / "study")
    part = np.array([i % 3 for i in range(24)])
    test, training = whole.take(np.flatnonzero(part == 2)), whole.take(np.flatnonzero(part == 0))
    assert study.images == test.ids
    image = study.images[3]
    shown = {one.key: one.map for one in ask.answers(live, study.photo(image), Reading())}
    backbone = load_backbone(run / "checkpoints" / "after-s42" / "best")
    maps = attention_maps(backbone, test, size=64, batch_size=1)
    np.testing.assert_array_equal(shown["after-s42"], maps[3])
    expected = score(maps, test, training, Human(sigma_px=4.0)).iloc[3]
    found = study.scores(image, shown["after-s42"])
    for metric in live.job.metrics:
        assert found[metric] == pytest.approx(expected[metric], rel=1e-6), metric
    people = study.people(image)
    points = grid_points(test, Human(sigma_px=4.0), 64)
    np.testing.assert_array_equal(people.density, densities(points, np.array([3]))[0])
    assert (len(people.x), people.observers) == (20, 4)
    called, prior = study.prior(image)
    assert called == "mean training map"
    assert study.scores(image, prior)["partial_cc"] == pytest.approx(0, abs=1e-3)
    with pytest.raises(InputError, match="no test image"):
        study.photo("p000.png")  # a training image


def test_the_view_of_a_test_image_has_people_and_scores(live):
    study = live.studies["table"]
    html = ask.view(live, ask.study_picture(live, "table", study.images[0]), Reading())
    assert html.count("gt-card") - html.count("gt-cards") == 5
    assert "20 fixations of 4 observers" in html
    assert html.count("<circle") == 20
    assert "mean training map" in html
    own = ask.view(live, ask.Picture(photo()), Reading())
    assert "People" not in own and "gt-scores" not in own


# models ---------------------------------------------------------------------------------------------------------------


def test_ready_made_maps_cannot_answer(tmp_path, monkeypatch):
    (tmp_path / "maps").mkdir()
    given = {
        "name": "c", "data": {"kind": "table", "path": str(tmp_path), "split": {"rule": "all_test"}},
        "models": {"tiny": {"weights": "tiny"}, "others": {"maps": str(tmp_path / "maps"), "label": "DeepGaze"},
                   "gone": {"weights": str(tmp_path / "nowhere")}},
        "reference": "tiny",
    }  # fmt: skip
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(given))
    live = ask.open_run(tmp_path, of_run(Run(tmp_path)), CPU)
    assert [one.key for one in live.asked] == ["tiny"]
    assert live.silent["DeepGaze"].startswith("ready-made maps")
    assert "does not exist" in live.silent["gone"]
    assert live.studies == {} and live.missing
    heading = show.heading("c", ["tiny"], live.silent)
    assert "DeepGaze cannot answer for a photo: ready-made maps" in heading
    for model in ("tiny", "gone"):
        del given["models"][model]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(given | {"reference": "others"}))
    with pytest.raises(InputError, match="no model that could be asked"):
        ask.open_run(tmp_path, of_run(Run(tmp_path)), CPU)


def test_methods_are_those_that_fit(live):
    names = ask.methods_of(live)
    assert next(iter(names.values())) == "As in the run (Attention rollout)"
    assert list(names)[1:] == [
        "rollout", "cls_attention", "mean_attention", "gradient_rollout", "relevance", "gradcam"
    ]  # fmt: skip
    cnn = replace(live, asked=(asked(small(), 0, "gradcam"),))
    assert list(ask.methods_of(cnn)) == ["own", "gradcam"]


# sessions, HTML, zip --------------------------------------------------------------------------------------------------


def test_pages_do_not_see_each_others_photos():
    sessions, one = Sessions(), photo()
    token = sessions.add("a", one)
    assert sessions.photos("b") == {}
    assert sessions.photos("a") == {token: one}
    other = sessions.add("b", one)
    sessions.forget("a")
    assert (list(sessions.photos("a")), list(sessions.photos("b"))) == ([], [other])
    assert [sessions.add("c", one) is None for _ in range(PHOTOS + 1)] == [False] * PHOTOS + [True]
    for page in range(PAGES):
        sessions.add(f"later {page}", one)
    assert sessions.photos("b") == sessions.photos("c") == {}


def test_a_map_is_drawn_in_cividis():
    shade = np.linspace(0, 1, 12, dtype=np.float32).reshape(3, 4)
    found = np.asarray(Image.open(io.BytesIO(show.png(shade))).convert("RGB"))
    assert found.shape == (3, 4, 3)
    np.testing.assert_array_equal(found[0, 0], [0, 34, 78])  # the ends of cividis (Nunez et al., 2018)
    np.testing.assert_array_equal(found[2, 3], [254, 232, 56])
    assert show.brightest(shade) == "brightest 88% across from the left and 83% down from the top"


def test_names_from_outside_are_text(live):
    bad = "<script>alert(1)</script>"
    html = ask.view(live, ask.Picture(replace(photo(), name=bad)), Reading())
    html += show.message(bad) + show.heading(bad, [bad], {bad: bad}) + show.score_table([(bad, {})], {}, bad)
    html += show.answer_card(photo(), Answer("k", bad, bad, None, bad, ((bad, 0.5),)))
    assert "<script" not in html
    assert html.count("&lt;script&gt;") > 10


def test_a_zip_has_the_maps_and_the_predictions():
    ramp = np.linspace(0, 1, 16, dtype=np.float32).reshape(4, 4)
    one = Answer("a", "A", "Attention rollout", ramp, "", (("=dog", 0.75), ("cat", 0.25)))
    none = Answer("b", "B", "Attention rollout", None, "does not fit", None)
    content = zipped([("a photo.jpg", [one, none]), ("../a photo.png", [one])], {"run": "r"})
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert sorted(archive.namelist()) == [
            "a_photo/a.npy", "a_photo/a.png", "a_photo_2/a.npy", "a_photo_2/a.png", "about.json", "predictions.csv"
        ]  # fmt: skip
        np.testing.assert_array_equal(np.load(io.BytesIO(archive.read("a_photo_2/a.npy"))), ramp)
        table = pd.read_csv(io.BytesIO(archive.read("predictions.csv")))
        about = json.loads(archive.read("about.json"))
    assert table["class"].tolist() == ["'=dog", "cat"] * 2
    assert table["rank"].tolist() == [1, 2, 1, 2]
    assert about["run"] == "r"
    assert about["maps"][1] == {
        "photo": "a photo.jpg", "folder": "a_photo", "model": "b", "map": "Attention rollout", "why": "does not fit"
    }  # fmt: skip


# the command ----------------------------------------------------------------------------------------------------------


def test_the_command_says_what_is_missing(monkeypatch, tmp_path, capsys, run):
    assert gazetune(monkeypatch, "app", tmp_path) == 2
    assert "is not a run" in capsys.readouterr().err
    monkeypatch.setitem(sys.modules, "gradio", None)  # what Python takes for not installed
    assert gazetune(monkeypatch, "app", run) == 2
    assert "pip install 'gazetune[app]'" in capsys.readouterr().err
