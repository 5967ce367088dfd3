"""gazetune compare: models and ready-made maps against the same observers."""

import shutil

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gazetune import Run, load_table
from gazetune.attention import extract, ready
from gazetune.attention.ready import find_maps, read_map
from gazetune.comparison import comparison, without_training_images
from gazetune.errors import InputError
from gazetune.loading import parse
from gazetune.maps import density
from gazetune.tables.rows import MEAN_MAP, ROWS
from worlds import gazetune, small_vit, write_study


@pytest.fixture
def photos(tmp_path):
    """A study with photos and CSV in places of their own, a model, and perfect maps of it."""
    write_study(tmp_path, n=6)
    (tmp_path / "fixations.csv").rename(tmp_path / "mine.csv")
    (tmp_path / "model").mkdir()
    small_vit().save(tmp_path / "model")
    human = density(load_table(tmp_path / "mine.csv", tmp_path / "images"))
    (tmp_path / "perfect").mkdir()
    for i, one in enumerate(human.numpy()):
        np.save(tmp_path / "perfect" / f"p{i:03d}.npy", one * 7)
    (tmp_path / "flat").mkdir()
    for i in range(6):  # of another size, and an image without a map, one in colour, one constant
        ramp = np.tile(np.arange(64, dtype=np.uint8), (48, 1))
        Image.fromarray(ramp if i != 3 else ramp * 0 + 9).save(tmp_path / "flat" / f"p{i:03d}.png")
    return tmp_path


def compare(monkeypatch, photos, *options):
    data = ("--images", photos / "images", "--fixations", photos / "mine.csv", "--output", photos / "run")
    return gazetune(monkeypatch, "compare", *data, *options)


def test_a_perfect_map_is_perfect_and_every_row_is_there(monkeypatch, photos, capsys):
    maps = ("--maps", photos / "perfect", "--maps", f"ramp={photos / 'flat'}")
    assert compare(monkeypatch, photos, "--model", photos / "model", *maps) == 0
    run = Run(photos / "run")
    wide = run.images.pivot(index="image", columns="model", values="cc")
    assert set(wide) | {"human"} == (set(ROWS) - {MEAN_MAP}) | {"model", "perfect", "ramp"} | {"human"}
    np.testing.assert_allclose(wide["perfect"], 1, atol=1e-5)
    ramp = run.images.query("model == 'ramp'").set_index("image")
    assert ramp["reason"].dropna().to_dict() == {"p003.png": "constant map"}
    assert set(run.images.query("model == 'perfect'")["attention"]) == {"ready-made"}
    assert run.summary["datasets"]["table"]["maps"]["ramp"]["sizes"] == {"64x48": 6}
    said = capsys.readouterr()
    assert "6 of 6 maps of 'ramp' are 64x48: resized to 224x224" in said.err
    assert "nothing was trained" in said.out and "6 of 64x48" in (photos / "run" / "report.html").read_text()
    # an image's own fixations are no part of its priors
    own = run.images.query("model == 'other_images'").set_index("image")["ig_bits"]
    np.testing.assert_allclose(own, 0, atol=0.02)
    assert gazetune(monkeypatch, "run", photos / "run", "--resume") == 0
    assert "done before, kept" in capsys.readouterr().err


def test_a_resized_map_is_the_map(tmp_path, monkeypatch, photos):
    """The perfect map at four times the size gives nearly the scores of the perfect map."""
    (photos / "large").mkdir()
    for path in (photos / "perfect").glob("*.npy"):
        large = np.kron(np.load(path), np.ones((4, 4)))
        Image.fromarray((large / large.max() * 65535).astype(np.uint16)).save(photos / "large" / f"{path.stem}.png")
    assert compare(monkeypatch, photos, "--maps", photos / "perfect", "--maps", photos / "large") == 0
    wide = Run(photos / "run").images.pivot(index="image", columns="model", values="kl")
    np.testing.assert_allclose(wide["large"], wide["perfect"], atol=1e-4)


def test_missing_and_damaged_maps(monkeypatch, photos, capsys):
    (photos / "perfect" / "p001.npy").unlink()
    (photos / "perfect" / "p002.npy").write_bytes(b"\x93NUMPY nonsense")
    maps = ("--maps", photos / "perfect", "--model", photos / "model")
    assert compare(monkeypatch, photos, *maps) == 2
    said = capsys.readouterr().err
    assert "1 of 6 images have no map in" in said and "the first is 'p001.png'" in said and "--skip-bad" in said
    assert not (photos / "run").exists()  # nothing stands in the way of the corrected command
    assert compare(monkeypatch, photos, *maps, "--dry-run") == 2
    assert "1 of 6 images have no map in" in capsys.readouterr().err
    np.save(photos / "perfect" / "p001.npy", np.ones((4, 4, 5)))
    assert compare(monkeypatch, photos, *maps, "--resume") == 2
    assert "p001.npy' is no saliency map" in capsys.readouterr().err
    (photos / "perfect" / "p001.npy").unlink()
    assert compare(monkeypatch, photos, *maps, "--resume", "--skip-bad") == 0
    reasons = Run(photos / "run").images.query("model == 'perfect'").set_index("image")["reason"].dropna()
    assert reasons["p001.png"] == "no map" and reasons["p002.png"].startswith("unreadable map") and len(reasons) == 2
    page = (photos / "run" / "report.html").read_text()
    assert (
        "2 images have no usable map" in page
        and 'scores of perfect</td><td class="text">no map</td><td>1</td>' in page
        and "(n = 4)" in page
    )
    run = Run(photos / "run")
    counted = {(r["model"], r["reason"]): r["n"] for r in run.summary["reasons"]}
    assert counted["perfect", "no map"] == counted["perfect", "unreadable map"] == 1
    cell = next(a for a in run.summary["alignment"] if (a["model"], a["metric"]) == ("perfect", "cc"))
    wide = run.images.pivot(index="image", columns="model", values="cc")[["perfect", "other_images", "human_half"]]
    row, low, high = wide.dropna().mean()
    assert (cell["n"], cell["share_n"]) == (4, 4)
    assert cell["share_of_ceiling"] == pytest.approx((row - low) / (high - low), rel=1e-5)


def test_negative_values_nan_and_infinity_are_said(monkeypatch, photos):
    for i, wrong in enumerate((-1.0, np.nan, np.inf)):
        one = np.load(photos / "perfect" / f"p00{i}.npy")
        one[100, 100] = wrong
        np.save(photos / "perfect" / f"p00{i}.npy", one)
    assert compare(monkeypatch, photos, "--maps", photos / "perfect") == 0
    table = Run(photos / "run").images.query("model == 'perfect'").set_index("image")
    assert table["reason"].tolist()[:3] == ["negative values", "NaN in the map", "infinity in the map"]
    assert table["kl"].notna().tolist() == [False, False, False, True, True, True]
    assert table["nss"].notna().tolist() == [True, False, False, True, True, True]


def test_names_of_maps(tmp_path):
    for name in ("a.png", "sub/b.npy", "c.jpg.npy"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    found = find_maps(tmp_path, ["a.jpg", "sub/b.jpg", "c.jpg", "d.jpg"])
    assert {k: v.name for k, v in found.items()} == {"a.jpg": "a.png", "sub/b.jpg": "b.npy", "c.jpg": "c.jpg.npy"}
    (tmp_path / "a.npy").write_bytes(b"")
    with pytest.raises(InputError, match=r"Two maps for the image 'a\.jpg'"):
        find_maps(tmp_path, ["a.jpg"])
    with pytest.raises(InputError, match=r"No map in .* belongs to an image.*'z\.png'"):
        find_maps(tmp_path, ["z.jpg"])
    with pytest.raises(InputError, match="does not exist"):
        find_maps(tmp_path / "nowhere", ["a.jpg"])


def test_one_map_is_not_taken_for_two_images(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.npy' fits two images, 'a\.png' and 'a\.jpg'.* such as 'a\.jpg\.npy'"):
        find_maps(tmp_path, ["a.png", "a.jpg"])
    (tmp_path / "a.npy").rename(tmp_path / "a.png.npy")
    (tmp_path / "a.jpg.npy").write_bytes(b"")
    found = find_maps(tmp_path, ["a.png", "a.jpg"])
    assert {image: path.name for image, path in found.items()} == {"a.png": "a.png.npy", "a.jpg": "a.jpg.npy"}


def test_kinds_of_files(tmp_path):
    ramp = np.arange(12, dtype=np.uint8).reshape(3, 4)
    Image.fromarray(ramp).save(tmp_path / "grey.png")
    Image.fromarray(ramp.astype(np.uint16) * 5000).save(tmp_path / "deep.png")
    Image.fromarray(np.stack([ramp] * 3, 2)).save(tmp_path / "rgb.png")
    Image.fromarray(np.stack([ramp, ramp, ramp + 1], 2)).save(tmp_path / "colour.png")
    Image.fromarray(ramp).convert("P").save(tmp_path / "palette.png")
    np.save(tmp_path / "objects.npy", np.array([{}]), allow_pickle=True)
    for name in ("grey", "rgb"):
        assert (read_map(tmp_path / f"{name}.png") == ramp).all()
    assert (read_map(tmp_path / "deep.png") == ramp * 5000.0).all()
    for name, words in (
        ("colour.png", "no saliency map"),
        ("palette.png", "palette"),
        ("objects.npy", "cannot be read"),
    ):
        with pytest.raises(InputError, match=f"{name}.*{words}"):
            read_map(tmp_path / name)


def test_what_to_compare_must_be_said(monkeypatch, photos, capsys):
    assert compare(monkeypatch, photos) == 2
    assert "Nothing to compare" in capsys.readouterr().err
    assert gazetune(monkeypatch, "compare", "--model", "tiny") == 2
    assert "--images DIR --fixations CSV" in capsys.readouterr().err


def test_images_that_a_checkpoint_was_trained_on(monkeypatch, study, capsys):
    made = ("run", study / "small.yaml", "--output", study / "run", "--controls", "centre,distillation,shuffled")
    assert gazetune(monkeypatch, *made, "--set", "training.epochs=1") == 0
    run = Run(study / "run")
    assert {t["model"] for t in run.summary["alignment"]} >= {"control_centre-s42", "control_distillation-s42"}
    assert "control_shuffled-s42" not in {t["model"] for t in run.summary["alignment"]}  # small.yaml has one
    losses = pd.DataFrame([line for line in run.log_lines() if line["model"] == "control_distillation-s42"])
    np.testing.assert_allclose(losses["loss"], losses["distillation"], rtol=1e-6)
    assert run.summary["training"]["control_distillation-s42"]["best_step"] == 0  # nothing to learn from itself
    other = ("--data", f"table={study / 'study'}", "--model", f"now={study / 'run' / 'checkpoints' / 'after'}")
    line = ("compare", *other, "--output", study / "compared", "--set", "map_size=64", "--set", "human.sigma_px=4")
    assert gazetune(monkeypatch, *line) == 2
    assert "'now' was trained or chosen on 16 of the 24 images" in capsys.readouterr().err
    assert gazetune(monkeypatch, *line, "--held-out") == 0
    ours, theirs = Run(study / "compared").images, run.images
    assert len(ours["image"].unique()) == 8
    for now, then in (("now", "after"), ("mean_training_map", "mean_training_map")):
        left, right = ours[ours["model"] == now], theirs[theirs["model"] == then]
        np.testing.assert_allclose(left["ig_bits"], right["ig_bits"], atol=1e-6)
    assert gazetune(monkeypatch, *line, "--all-images", "--resume") == 0
    assert len(Run(study / "compared").images["image"].unique()) == 24
    mixed = pd.read_csv(study / "study" / "fixations.csv").replace({"image": {"p000.png": "new.png"}})  # 2 of 3 seen
    mixed[mixed["image"].isin(["new.png", "p001.png", "p003.png"])].to_csv(study / "mixed.csv", index=False)
    (study / "photos").mkdir()
    for name, source in {"new.png": "p000.png", "p001.png": "p001.png", "p003.png": "p003.png"}.items():
        shutil.copy(study / "study" / "images" / source, study / "photos" / name)
    here = ("--images", study / "photos", "--fixations", study / "mixed.csv", "--output", study / "mixed", "--dry-run")
    assert gazetune(monkeypatch, "compare", *here, *line[3:5]) == 2
    assert "on 2 of the 3 images" in capsys.readouterr().err
    (study / "photos" / "p001.png").rename(study / "photos" / "b.png")
    (study / "photos" / "p003.png").rename(study / "photos" / "c.png")
    table = (study / "mixed.csv").read_text().replace("p001", "b").replace("p003", "c")
    (study / "mixed.csv").write_text(table)
    assert gazetune(monkeypatch, "compare", *here, *line[3:5]) == 0  # no image of it was seen
    assert "0 train, 0 validation, 3 test" in capsys.readouterr().out


def test_a_folder_named_best_is_no_checkpoint(photos):
    """Neither /best, nor a hub name that ends so, nor a folder in a run that is none of its checkpoints."""
    (photos / "config.yaml").write_text("{}")
    models = ["/best", "someone/best", "best", str(photos / "a" / "b" / "best")]
    experiment = parse(comparison(models, [], None, None, photos / "mine.csv"), "compare")
    assert without_training_images(experiment, held_out=False) is experiment


def test_models_of_the_same_name_are_told_apart(tmp_path):
    def labels(*models, maps=()):
        table = comparison([str(m) for m in models], [str(m) for m in maps], f"table={tmp_path}", None, None)["models"]
        return [row["label"] for row in table.values()]

    assert labels("runs/a/checkpoints/tuned", "runs/b/checkpoints/tuned/best") == ["a/tuned", "b/tuned"]
    assert labels("one/vit", "two/vit", "tiny", maps=["x/deepgaze"]) == ["one/vit", "two/vit", "tiny", "deepgaze"]
    assert labels("x/a/tuned", "y/a/tuned") == ["tuned", "tuned_2"]
    assert labels("tuned=x/a/tuned", "y/b/tuned", "z") == ["tuned", "b/tuned", "z"]
    assert labels("x/deepgaze", maps=["y/deepgaze"]) == ["x/deepgaze", "y/deepgaze"]


def test_the_data_of_a_comparison_take_no_name(photos, monkeypatch, capsys):
    line = ("compare", "--maps", photos / "flat", "--output", photos / "run", "--data", f"table:mine={photos}")
    assert gazetune(monkeypatch, *line) == 2
    assert f"takes no name: --data table={photos}" in capsys.readouterr().err


def test_bad_files_may_be_skipped_by_a_setting(monkeypatch, photos):
    (photos / "images" / "p000.png").write_bytes(b"no image")
    assert compare(monkeypatch, photos, "--model", photos / "model", "--set", "skip_bad=true", "--limit", "3") == 0
    assert Run(photos / "run").images.query("model == 'model'")["image"].nunique() == 2


def test_maps_that_are_gone(monkeypatch, photos, capsys):
    """What the run holds is scored again only if it was made of that folder, for these images and settings."""
    maps = ("--maps", f"p={photos / 'perfect'}")
    assert compare(monkeypatch, photos, *maps) == 0
    before = (photos / "run" / "images.csv").read_bytes()
    (photos / "perfect").rename(photos / "moved")
    assert compare(monkeypatch, photos, *maps, "--resume") == 0
    assert "is gone; p is scored with the maps that the run holds" in capsys.readouterr().err
    shards = files_in(photos / "run" / "attention")
    for options, said in (
        (("--maps", f"p={photos / 'other'}"), "other source"),
        ((*maps, "--limit", "4"), "other images"),
        ((*maps, "--set", "map_size=64"), "other map_size"),
        ((*maps, "--skip-bad"), "other skip_bad"),
    ):
        assert compare(monkeypatch, photos, *options, "--resume") == 2
        assert (
            f"does not exist, and the maps of 'p' that the run holds were made with {said}" in capsys.readouterr().err
        )
    assert compare(monkeypatch, photos, "--maps", f"p={photos / 'moved'}", "--resume") == 0
    assert files_in(photos / "run" / "attention") == shards and (photos / "run" / "images.csv").read_bytes() == before


def files_in(folder):
    return {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_shards_of_an_earlier_run_on_more_images_go(monkeypatch, photos):
    for module in (extract, ready):
        monkeypatch.setattr(module, "SHARD", 2)
    line = ("--maps", photos / "perfect", "--set", "metrics=[cc]")
    assert compare(monkeypatch, photos, *line) == 0
    folder = photos / "run" / "attention" / "table" / "perfect"
    assert len(list(folder.glob("*.safetensors"))) == 3
    assert compare(monkeypatch, photos, *line, "--limit", "2", "--resume") == 0
    assert sorted(path.name for path in folder.iterdir()) == ["00000.safetensors", "ready.json"]


def test_ready_made_maps_are_of_the_runs_own_images(monkeypatch, photos, capsys):
    assert compare(monkeypatch, photos, "--maps", f"p={photos / 'perfect'}", "--model", photos / "model") == 0
    before = files_in(photos / "run")
    write_study(photos / "other", n=6, seed=5)  # photos of the same names: the maps would be taken for theirs
    for command in ("score", "biases"):
        assert gazetune(monkeypatch, command, photos / "run", "--data", f"table:other={photos / 'other'}") == 2
        said = capsys.readouterr().err
        assert "'p' has ready-made maps, which belong to the run's own images" in said and "gazetune compare" in said
    assert files_in(photos / "run") == before
    assert gazetune(monkeypatch, "score", photos / "run") == 0


def test_one_model_alone_is_set_against_the_prior_and_people(monkeypatch, photos, capsys):
    assert compare(monkeypatch, photos, "--model", photos / "model") == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "One model; nothing was trained. CC of model is " in said and "model minus ..." in said
    run = Run(photos / "run")
    gained = run.table("correlations").query("quantity == 'score_first' and given.isna()")
    assert gained[["first", "second"]].to_numpy().tolist() == [["model", "other_images"]]
    pair = run.tests.query("metric == 'cc' and first == 'other_images' and second == 'model'").iloc[0]
    assert f"{-pair['difference']:+.3f}" in said  # tested the other way round
