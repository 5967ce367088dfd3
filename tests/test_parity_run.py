"""`gazetune parity` from the command line to the tables."""

import json

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from transformers import Dinov2Config, Dinov2Model

from gazetune import bf01_jzs
from gazetune.backbones import load_backbone
from gazetune.backbones.vit import HALF, VisionTransformer
from gazetune.data.labelled import load_image_folder, squashed_crop
from gazetune.parity.corruptions import not_run
from gazetune.run import Run
from test_views import photo_folder
from worlds import gazetune, small_vit


@pytest.fixture()
def place(tmp_path, monkeypatch):
    """Twelve photos of two classes, and two models that tell two classes apart."""
    photo_folder(tmp_path / "photos", n=12)
    for seed, name in enumerate(("one", "two")):
        small_vit(seed, labels=2).save(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def parity(monkeypatch, *arguments):
    return gazetune(monkeypatch, "parity", *arguments)


TWO = ("--model", "before=one", "--model", "after=two")


def test_two_models_on_a_folder_of_classes(place, monkeypatch, capsys):
    assert parity(monkeypatch, *TWO, "--data", "folder:mine=photos", "--output", "run") == 0
    said = capsys.readouterr().out
    run, labelled = Run("run"), load_image_folder("photos")
    right = {}
    for name, weights in (("before", "one"), ("after", "two")):
        backbone = load_backbone(str(place / weights))
        pixels = np.stack([squashed_crop(labelled.pixels(i)[0], 37, 32) for i in range(12)])
        with torch.no_grad():
            top = backbone(torch.from_numpy(pixels).permute(0, 3, 1, 2)).logits.argmax(1).numpy()
        right[name] = top == labelled.answers[:, 0]
        found = run.table("predictions").query("model == @name")
        assert found["image"].tolist() == list(labelled.ids)
        assert found["correct"].tolist() == right[name].tolist()
        assert found["class"].tolist() == list(labelled.groups)
    accuracy = run.table("accuracy").set_index("model")
    assert accuracy.loc["after", "top1"] == pytest.approx(right["after"].mean())
    assert "squashed to 37x37 (bilinear), centre crop 32, mean (0.5" in accuracy.loc["after", "preprocessing"]
    row = run.table("parity").iloc[0]
    differences = right["after"].astype(float) - right["before"]
    t = differences.mean() / (differences.std(ddof=1) / np.sqrt(12))
    assert (row["first"], row["second"], row["head"], row["n"]) == ("after", "before", "own", 12)
    assert row["bf01_jzs"] == pytest.approx(bf01_jzs(t, 12))
    assert row["margin"] == 0.01
    assert set(run.table("parity_classes")["class"]) == {"a", "b"}
    assert run.summary["classified"]["mine"]["images"] == 12
    assert "BF01" in said and "mine" in said
    assert "mine" in (run.path / "report.html").read_text()


def test_more_images_with_the_models_of_a_run_and_nothing_done_twice(place, monkeypatch, capsys):
    assert parity(monkeypatch, *TWO, "--data", "folder:mine=photos", "--output", "run") == 0
    shards = {p: p.stat().st_mtime_ns for p in (place / "run" / "predictions").rglob("*.safetensors")}
    more = ("run", "--data", "folder:mine=photos", "--corruptions", "contrast,frost", "--severity", "1,5")
    assert parity(monkeypatch, *more, "--margin", "5") == 0
    run = Run("run")
    table = run.table("parity")
    assert set(table["dataset"]) == {"mine", "mine_c"}
    assert {p: p.stat().st_mtime_ns for p in shards} == shards
    corrupted = table.query("dataset == 'mine_c'").set_index("unit")
    names = [name for name in ("contrast", "frost") if not not_run(name)]
    assert corrupted.loc["prediction", "n"] == 12 * 2 * len(names) and corrupted.loc["image", "n"] == 12
    assert corrupted.loc["image", "margin"] == 0.05 and table.iloc[0]["margin"] == 0.01
    assert set(run.table("parity_corruptions")["corruption"]) == set(names)
    missing = {line["model"] for line in run.summary["parity_not_run"]}
    assert missing == {"contrast", "frost"} - set(names)
    before = (run.path / "parity" / "mine_c.csv").stat().st_mtime_ns
    assert parity(monkeypatch, *more, "--margin", "5") == 0
    assert (run.path / "parity" / "mine_c.csv").stat().st_mtime_ns == before
    assert "kept" in capsys.readouterr().err


def test_a_model_without_a_head_is_probed(place, monkeypatch):
    for seed, name in enumerate(("one", "two")):
        torch.manual_seed(seed)
        shape = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "mlp_ratio": 2}
        model = Dinov2Model(Dinov2Config(**shape, image_size=32, patch_size=8))
        VisionTransformer(model, *HALF, (32, 32), name=name).save(place / name)
    options = ("--folds", "3", "--preprocessing", "squashed", "--output", "run")
    assert parity(monkeypatch, *TWO, "--data", "folder:mine=photos", *options) == 0
    run = Run("run")
    table = run.table("predictions")
    assert table.groupby(["model", "head"]).size().to_dict() == {
        (model, head): 12 for model in ("before", "after") for head in ("probe", "refitted")
    }
    same = table[table["model"] == "before"].pivot(index="image", columns="head", values="p_true")
    assert same["probe"].tolist() == pytest.approx(same["refitted"].tolist())  # the reference is its own baseline
    assert run.table("parity")["head"].tolist() == ["probe", "refitted"]
    assert parity(monkeypatch, "run", "--data", "folder:mine=photos", "--corruptions", "fog") == 2
    few = ("--data", "folder:few=photos", "--limit", "6", *options[:4])  # three of each class, one a fold
    assert (
        parity(monkeypatch, "run", *few) == 0 and Run("run").table("parity").query("dataset == 'few'")["n"].eq(6).all()
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--data", "folder=photos"), "--model"),
        ((*TWO,), "--data"),
        ((*TWO, "--data", "foldr=photos"), "did you mean 'folder'"),
        ((*TWO, "--data", "folder=nowhere"), "nowhere"),
        ((*TWO, "--data", "folder=photos", "--corruptions", "fogg"), "fogg"),
        ((*TWO, "--data", "folder=photos", "--severity", "6"), "--severity"),
        ((*TWO, "--data", "folder=photos", "--severity", "high"), "--severity"),
        ((*TWO, "--data", "folder=photos", "--margin", "100"), "--margin"),
        (("--model", "one", "--model", "three", "--data", "folder=photos"), "three"),
    ],
)
def test_what_cannot_be_done_is_said(place, monkeypatch, capsys, arguments, words):
    assert parity(monkeypatch, *arguments, "--output", "run") == 2
    assert words in capsys.readouterr().err
    assert not (place / "run" / "predictions").exists()


def test_a_model_of_other_classes_is_left_out_with_its_reason_unless_it_is_mapped(place, monkeypatch, capsys):
    small_vit(2, labels=5).save(place / "five")
    models = (*TWO, "--model", "five=five")
    assert parity(monkeypatch, *models, "--data", "folder:mine=photos", "--output", "run") == 0
    run = Run("run")
    assert set(run.table("accuracy")["model"]) == {"before", "after"}
    assert [line["model"] for line in run.summary["parity_not_run"]] == ["five"]
    assert "5" in run.summary["parity_not_run"][0]["reason"] and "--class-map" in capsys.readouterr().err
    pd.DataFrame({"class": ["a", "b"], "index": [4, 2]}).to_csv("map.csv", index=False)
    mapped = ("run", "--data", "folder:mine=photos", "--class-map", "map.csv")
    assert parity(monkeypatch, *mapped) == 2 and "would replace" in capsys.readouterr().err
    assert parity(monkeypatch, *mapped, "--resume") == 0
    assert set(Run("run").table("accuracy")["model"]) == {"before", "after", "five"}


def test_a_corrupt_photo_is_named_or_left_out_with_its_reason(place, monkeypatch, capsys):
    (place / "photos" / "b" / "p3.png").write_bytes(b"no image")
    options = ("--data", "folder:mine=photos", "--output", "run")
    assert parity(monkeypatch, *TWO, *options) == 2
    assert "p3.png" in capsys.readouterr().err
    assert parity(monkeypatch, *TWO, *options, "--skip-bad", "--resume") == 0
    run = Run("run")
    assert run.table("parity")["n"].tolist() == [11]
    bad = run.table("predictions").query("image == 'b/p3.png'")
    assert "1 of 12 images left out: b/p3.png" in " ".join(capsys.readouterr().out.split())
    assert "1 of 12 images left out: b/p3.png" in run.file("report.html").read_text()
    assert len(bad) == 2 and bad["correct"].isna().all() and bad["reason"].str.contains("p3.png").all()


def test_a_plan_writes_nothing(place, monkeypatch, capsys):
    options = ("--data", "folder:mine=photos", "--corruptions", "contrast", "--output", "run", "--dry-run")
    assert parity(monkeypatch, *TWO, *options) == 0
    assert "12 images of 2 classes" in capsys.readouterr().out
    assert not (place / "run").exists()


def test_as_json(place, monkeypatch, capsys):
    assert parity(monkeypatch, *TWO, "--data", "folder:mine=photos", "--output", "run", "--json") == 0
    assert json.loads(capsys.readouterr().out)["parity"][0]["dataset"] == "mine"


def test_a_class_map_goes_before_the_order_of_the_classes(place, monkeypatch):
    pd.DataFrame({"class": ["a", "b"], "index": [1, 0]}).to_csv("swapped.csv", index=False)
    data = ("--data", "folder:mine=photos", "--output", "run")
    assert parity(monkeypatch, *TWO, *data) == 0
    before = Run("run").table("predictions")["correct"]
    assert parity(monkeypatch, *TWO, *data, "--resume", "--class-map", "swapped.csv") == 0
    assert (Run("run").table("predictions")["correct"] == ~before).all()


def test_options_without_images_to_hold_for_are_refused(place, monkeypatch, capsys):
    assert parity(monkeypatch, *TWO, "--data", "folder:mine=photos", "--output", "run") == 0
    assert parity(monkeypatch, "run", "--limit", "3") == 2
    assert "limit" in capsys.readouterr().err
    assert parity(monkeypatch, "run") == 0  # again what the run's own experiment names


def test_leaving_out_bad_images_keeps_the_shards_without_any(place, monkeypatch):
    monkeypatch.setattr("gazetune.parity.predict.SHARD", 4)
    (place / "photos" / "b" / "p11.png").write_bytes(b"no image")
    data = ("--data", "folder:mine=photos", "--output", "run", "--batch-size", "2")
    assert parity(monkeypatch, *TWO, *data) == 2
    first = place / "run" / "predictions" / "mine" / "before" / "00000.safetensors"
    made = first.stat().st_mtime_ns
    assert parity(monkeypatch, *TWO, *data, "--resume", "--skip-bad") == 0
    assert first.stat().st_mtime_ns == made
    assert list(Run("run").summary["classified"]["mine"]["missing"]) == ["b/p11.png"]
    assert parity(monkeypatch, *TWO, *data, "--resume") == 2  # and not kept where it is not to be left out


def test_no_image_that_can_be_read(place, monkeypatch, capsys):
    for photo in (place / "photos").rglob("*.png"):
        photo.write_bytes(b"no image")
    assert parity(monkeypatch, *TWO, "--data", "folder:mine=photos", "--skip-bad", "--output", "run") == 2
    assert "No image of 'mine'" in capsys.readouterr().err


@pytest.mark.slow
def test_an_experiment_with_labelled_images_and_a_second_data_set(study, monkeypatch):
    """What has a folder is done, what has none is named: `parity` and `--data NAME=PATH` of `gazetune run`."""
    photo_folder(study / "photos", n=12, size=(40, 36))
    (study / "photos" / "b").rename(study / "photos" / "c")
    settings = yaml.safe_load((study / "small.yaml").read_text())
    settings["parity"] = {
        "mine": {"kind": "folder", "class_map": str(study / "map.csv")},
        "missing": {"kind": "imagenet"},
    }
    (study / "small.yaml").write_text(yaml.safe_dump(settings))
    pd.DataFrame({"class": ["a", "c"], "index": [0, 2]}).to_csv(study / "map.csv", index=False)
    data = ("--data", f"mine={study / 'photos'}", "--data", f"table:again={study / 'study'}")
    assert gazetune(monkeypatch, "run", study / "small.yaml", "--output", study / "run", *data) == 0
    run = Run(study / "run")
    assert set(run.summary["datasets"]) == {"table", "again"}
    assert set(run.table("parity").query("unit == 'prediction'")["dataset"]) == {"table", "again", "mine"}
    assert len(run.table("predictions").query("dataset == 'mine'")) == 3 * 12
    (missing,) = run.summary["parity_not_run"]
    assert missing["dataset"] == "missing" and "--data missing=PATH" in missing["reason"]
    assert "--data missing=PATH" in run.file("report.html").read_text()
    assert gazetune(monkeypatch, "run", study / "small.yaml", "--output", study / "x", "--data", "nothing=here") == 2
