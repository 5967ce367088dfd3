"""The paper's experiments, its protocol of stopping, and what a plan tells before anything is done."""

import hashlib
import re

import numpy as np
import pytest
import torch
import yaml
from transformers import ResNetConfig, ResNetForImageClassification

from gazetune import Run
from gazetune.attention import METHODS
from gazetune.backbones.stand_in import stand_in
from gazetune.data import load_table
from gazetune.data.places import DATA, WEIGHTS, Shape
from gazetune.data.splits import BOTH, Given, Hash, members, split_of
from gazetune.estimate import (
    Speed,
    disk_bytes,
    expected,
    in_words,
    looking_seconds,
    measure,
    predictions,
    training_seconds,
)
from gazetune.experiment import Experiment
from gazetune.loading import load_data, load_experiment, trained_on
from gazetune.prepared import chosen, load_prepared
from gazetune.report.published import published
from worlds import gazetune, run_small, small_vit, write_study

STEPS = Speed(step=2.0, image=0.1, steps=20)


@pytest.fixture
def large_study(tmp_path):
    """60 images, 20 of each part."""
    write_study(tmp_path / "study", n=60, rows_per_image=8, split=lambda i: ["train", "validation", "test"][i % 3])
    return load_table(tmp_path / "study")


def is_tenth(image):
    return int(hashlib.sha256(image.encode()).hexdigest(), 16) % 10 == 0


# the paper's experiments ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["paper_vit", "paper_resnet"])
def test_the_experiments_have_every_setting_of_the_paper(name):
    if name == "paper_resnet" and "gradcam" not in METHODS:
        pytest.skip("needs the attention method 'gradcam'")
    settings, arm = load_experiment(name).model_dump(), {"paper_vit": "vit", "paper_resnet": "cnn"}[name]
    wanted = [n for n in published() if n.table == "config" and n.arm in (arm, "people")]
    assert len(wanted) >= 10
    for number in (n for n in wanted if not n.column.startswith("parity.")):
        found = settings
        for step in number.column.split("."):
            found = found[step]
        assert found == number.value, number.id
    assert settings["data"]["options"]["gaze"] == "samples" and settings["attention"] != settings["reference"]


def test_both_experiments_see_the_same_data():
    vit, cnn = (load_experiment(name).model_dump() for name in ("paper_vit", "paper_resnet"))
    same = ("data", "human", "metrics", "image_size", "map_size", "seeds", "parity", "score_on", "target")
    assert {key: cnn[key] for key in same} == {key: vit[key] for key in same}
    differ = {key for key in vit["training"] if vit["training"][key] != cnn["training"][key]}
    assert differ == {"lr", "lambda_attention"} and cnn["attention"] == "gradcam"


def test_the_models_of_paper_vit_are_a_b_and_c():
    experiment = load_experiment("paper_vit")
    assert list(experiment.roles().values()) == ["reference", "tuned", "control"]
    assert {m.start for m in experiment.models.values()} == {"google/vit-base-patch16-224"}
    shape = WEIGHTS["google/vit-base-patch16-224"].shape
    assert shape.learnable / shape.parameters == pytest.approx(0.327, abs=5e-4)


# --protocol paper -------------------------------------------------------------------------------------------------


def test_stopping_on_test_images(large_study):
    own, paper = (split_of(large_study, Given(rule="given", stop_on=on)) for on in ("own images", "test images"))
    tenth = {i for i, image in enumerate(large_study.ids) if is_tenth(image)} & set(members(own, "test").tolist())
    assert 0 < len(tenth) < 20
    assert set(members(paper, "train").tolist()) == set(members(own, "train").tolist()) | set(
        members(own, "validation").tolist()
    )
    assert set(members(paper, "validation").tolist()) == tenth
    assert members(paper, "test").tolist() == members(own, "test").tolist()
    assert {paper[i] for i in tenth} == {BOTH}
    hashed = split_of(large_study, Hash(rule="hash", stop_on="test images"))
    assert [p == "test" or p == BOTH for p in hashed] == [p == "test" for p in split_of(large_study, Hash(rule="hash"))]


def test_a_limit_holds_for_each_part(large_study):
    rule = Given(rule="given", stop_on="test images")
    subset, parts = chosen(large_study, rule, 2)
    for name in ("train", "validation", "test"):
        assert len(members(parts, name)) == min(2, len(members(split_of(large_study, rule), name)))
        wanted = members(split_of(large_study, rule), name)[:2]
        assert [subset.ids[i] for i in members(parts, name)] == [large_study.ids[i] for i in wanted]


def test_the_protocol_of_the_paper_in_a_run(monkeypatch, tmp_path, study, capsys):
    write_study(study / "study", n=60, split=lambda i: ["train", "validation", "test"][i % 3])
    small = ("--set", "training.max_steps=2", "--set", "heads=false", "--protocol", "paper")
    assert run_small(monkeypatch, study, *small) == 0
    run = Run(study / "run")
    data = load_prepared(run, "table", [(32, 32)])
    ids = data.table["image"]
    tenth = [image for image in ids.iloc[data.rows("test")] if is_tenth(image)]
    assert tenth and ids.iloc[data.rows("validation")].tolist() == tenth
    assert [len(data.rows(name)) for name in ("train", "test")] == [40, 20]
    about = run.summary["datasets"]["table"]
    assert about["tested_and_stopped_on"] == len(tenth) and about["images"]["test"] == 20
    assert run.tests.query("metric == 'cc'")["n"].unique().tolist() == [20]  # all test images are tested
    assert f"by the loss on {len(tenth)} of the test images" in run.file("report.html").read_text()
    config = yaml.safe_load(run.file("config.yaml").read_text())
    assert config["data"]["split"]["stop_on"] == "test images"
    used = trained_on(run, "table")
    assert {image for image, part in used.items() if part == "validation"} == set(tenth)
    held = load_experiment(f"{run.path}/config.yaml").data.model_copy(
        update={"held_out": (str(run.path),), "split": Given(rule="given")}
    )
    tested = members(split_of(load_data(held), held.split), "test")  # images that no model was chosen on
    assert len(tested) == 20 - len(tenth)
    assert run_small(monkeypatch, study, "--protocol", "mine", output="other") == 2
    assert "--protocol can be 'paper'" in capsys.readouterr().err
    disk_is_what_the_plan_said(run, study, {"train": 40, "validation": len(tenth), "test": 20})


def disk_is_what_the_plan_said(run, study, counts):
    model = small_vit()
    learnable, total = (sum(p.numel() for p in ps) for ps in (model.learnable().values(), model.model.parameters()))
    shapes = {f"{study}/weights": Shape(total, learnable, (32, 32), 16, 3)}
    told = list(disk_bytes(load_experiment(f"{run.path}/config.yaml"), counts, shapes).values())
    there = [sum(p.stat().st_size for p in run.path.glob(g)) for g in ("cache/*.npy", "checkpoints/*/best/model.*")]
    assert np.allclose(there, told[:2], rtol=0.05)  # the files have headers


# the plan -----------------------------------------------------------------------------------------------------------


def an_experiment(**changed):
    models = {
        "a": {"weights": "google/vit-base-patch16-224"},
        "b": {"weights": "google/vit-base-patch16-224", "train": True},
        "c": {"weights": "google/vit-base-patch16-224", "train": True, "targets": "shuffled"},
    }
    return Experiment.model_validate(
        {"name": "x", "data": {"kind": "osie", "split": {"rule": "hash"}}, "models": models, "reference": "a"} | changed
    )


def test_seconds_by_hand():
    counts = {"train": 80, "validation": 20, "test": 30}
    experiment = an_experiment(training={"epochs": 3, "evaluate_every": 10})
    # each: 30 steps of 2 s, 5 evaluations (0, 10, 20, 30 and the end) of 20 images; the teacher's 100 images once
    assert training_seconds(experiment, counts, {"google/vit-base-patch16-224": STEPS}) == pytest.approx(
        2 * (60 + 10) + 10
    )
    assert looking_seconds(experiment, 30, {"google/vit-base-patch16-224": STEPS}) == pytest.approx(3 * 3)
    assert [in_words(s) for s in (4.0, 600.0, 7200.0)] == ["4 s", "10 min", "2.0 h"]


def test_bytes_by_hand():
    counts = {"train": 80, "validation": 20, "test": 30}
    shape = Shape(parameters=1000, learnable=300, size=(10, 20), cells=6, classes=4)
    found = disk_bytes(an_experiment(), counts, {"google/vit-base-patch16-224": shape})
    assert list(found.values()) == [130 * 600, 2 * 4000, 3600, 3 * 30 * 4 * 10]


def test_expected_images():
    assert expected(load_experiment("paper_vit")) == {"train": 9000, "validation": 1000, "test": 5000}
    limited = load_experiment("paper_vit", ("limit=16", "data.split.stop_on=test images"))
    assert expected(limited) == {"train": 16, "validation": 16, "test": 16}
    paper = load_experiment("paper_vit", ("data.split.stop_on=test images",))
    assert expected(paper) == {"train": 10_000, "validation": 500, "test": 5000}
    assert sum(DATA["osie"].images.values()) == 700


def test_measuring_trains_on_random_pixels():
    model = small_vit()
    before = {name: p.clone() for name, p in model.model.named_parameters()}
    speed = measure(model, an_experiment(training={"batch_size": 2, "precision": "fp32"}), torch.device("cpu"))
    assert 2 <= speed.steps <= 20 and 0 < speed.image < speed.step
    moved = {name for name, p in model.model.named_parameters() if not torch.equal(before[name], p)}
    assert moved == set(model.learnable())


def test_predictions_by_hand():
    assert predictions(load_experiment("paper_vit")) == 143_500  # 50,000 + 15 corruptions of 5,000 + 18,500
    few = {"x": {"kind": "imagenet", "limit": 7, "corruptions": ["fog", "snow"]}, "y": {"kind": "folder"}}
    assert predictions(an_experiment(parity=few)) == 14
    assert predictions(an_experiment(parity=few, limit=3)) == 6


@pytest.mark.parametrize("name", sorted(WEIGHTS))
def test_a_stand_in_has_the_shape_of_the_weights(name):
    backbone, shape = stand_in(name), WEIGHTS[name].shape
    assert sum(p.numel() for p in backbone.model.parameters()) == shape.parameters
    assert sum(p.numel() for p in backbone.learnable().values()) == shape.learnable
    assert (backbone.image_size, backbone.grid[0] * backbone.grid[1]) == (shape.size, shape.cells)
    assert stand_in("nobody/knows") is None


def test_a_plan_measures_each_model_by_its_own_method(monkeypatch, study, capsys):
    """A CNN by Grad-CAM in an experiment whose method is the rollout, as in docs/cnn.md."""
    shape = ResNetConfig(embedding_size=4, hidden_sizes=[4, 4, 4, 8], depths=[1, 1, 1, 1], num_labels=3)
    ResNetForImageClassification(shape).save_pretrained(study / "cnn")
    cnn = {"weights": str(study / "cnn"), "attention": "gradcam", "train": True}
    experiment = yaml.safe_load((study / "small.yaml").read_text())
    experiment["models"] |= {"cnn": cnn}
    experiment["image_size"] = 32
    (study / "small.yaml").write_text(yaml.safe_dump(experiment))
    assert run_small(monkeypatch, study, "--dry-run") == 0
    said = capsys.readouterr().out
    assert len(re.findall(r"^time of .*/(cnn|weights): [\d.]+ s a step \(median of", said, flags=re.M)) == 2


@pytest.mark.slow
def test_time_is_told_without_data_and_weights(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("gazetune.estimate.AT_MOST_SECONDS", 1.0)
    assert gazetune(monkeypatch, "run", "paper_resnet", "--dry-run", "--output", tmp_path / "run") == 2
    said = capsys.readouterr().out
    assert "random weights of this shape" in said or "microsoft/resnet-50 - missing" not in said
    assert "training at most" in said and "143,500 predictions of each model" in said


def test_a_plan_without_anything_lists_what_is_missing(monkeypatch, tmp_path, capsys):
    code = gazetune(
        monkeypatch,
        "run",
        "paper_vit",
        "--dry-run",
        "--output",
        tmp_path / "run",
        "--protocol",
        "paper",
        "--no-measure",
    )
    said = capsys.readouterr()
    assert code == 2 and not (tmp_path / "run").exists()
    for text in ("http://salicon.net/download", "CC BY 4.0", "gazetune fetch salicon", "gaze 1.3 GB"):
        assert text in said.out
    photos = float(re.search(r"decoded photos .*: ([\d.]+) GB", said.out)[1])
    assert photos == pytest.approx(15_000 * 3 * 224 * 224 / 1e9, abs=0.001)
    assert "'salicon' needs its folder: --data PATH. 'gazetune fetch salicon' gets COCO's part and says" in said.err
    assert "imagenet_c: not run: no folder (--data imagenet_c=PATH; PATH may be the folder of imagenet)" in said.out
    missing = re.findall(r"^- .*", said.err, flags=re.M)
    if "- missing" in said.out:  # the weights may be on this machine
        assert len(missing) == 2 and "google/vit-base-patch16-224" in missing[1]
        assert "346 MB; licence: Apache 2.0" in said.out
    else:
        assert len(missing) == 1


def test_a_plan_lists_images_that_are_not_there(monkeypatch, study, capsys):
    gone = (
        "--set",
        f"parity.imagenet={{kind: imagenet, path: {study}/gone}}",
        "--set",
        "parity.objectnet.kind=objectnet",
    )
    other = ("--set", "score_on.examples={kind: osie}")
    assert run_small(monkeypatch, study, "--dry-run", "--no-measure", *gone, *other) == 2
    said = capsys.readouterr()
    assert "gone - missing" in said.out and "parity objectnet: not run: no folder (--data objectnet=PATH)" in said.out
    missing = re.findall(r"^- .*", said.err, flags=re.M)
    assert len(missing) == 2 and f"{study}/gone" in missing[0] and "'osie' needs its folder" in missing[1]
    there = ("--set", f"score_on.again={{kind: table, path: {study}/study}}")
    assert run_small(monkeypatch, study, "--dry-run", "--no-measure", *there) == 0
    assert re.search(r"also scored on again: .*study, \d+ images", capsys.readouterr().out)


def test_a_plan_tells_what_is_known_and_what_cannot_be_used(monkeypatch, study, capsys):
    """Steps without the data, by their number as released; a folder that is there but of no use is not missing."""
    given = ("--weights", study / "weights", "--data", f"imagenet={study}/gone", "--data", f"objectnet={study}/study")
    assert gazetune(monkeypatch, "run", "paper_vit", "--dry-run", "--no-measure", "--set", "image_size=32", *given) == 2
    said = capsys.readouterr()
    assert "at most 22500 steps of 8 images" in said.out  # 20 times 9,000 images
    assert "parity imagenet: " in said.out and "gone - missing" in said.out
    assert "study - unusable: " in said.out and "to get: ObjectNet" not in said.out
    assert "to get: ImageNet-1k" in said.out
    assert len(re.findall(r"^- .*", said.err, flags=re.M)) == 3  # SALICON and the two folders, each by name
    (study / "empty").mkdir()
    assert run_small(monkeypatch, study, "--dry-run", "--no-measure", "--weights", study / "empty") == 2
    said = capsys.readouterr()
    assert said.out.count("empty - unusable: No usable weights at") == 3 and "there is no config.json" in said.err


def test_a_plan_asks_no_hub(monkeypatch, study, capsys):
    asked = []
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("socket.getaddrinfo", lambda *where, **how: asked.append(where))
    for weights, wanted in {
        "timm:resnet50": "architecture 'resnet50', which is not read",
        "timm:vit_tiny_patch16_224.lab": "hf download timm/vit_tiny_patch16_224.lab",
        f"{study.name}/weigths": "did you mean",
    }.items():
        monkeypatch.chdir(study.parent)
        assert run_small(monkeypatch, study, "--dry-run", "--no-measure", "--weights", weights) == 2
        said = capsys.readouterr()
        assert wanted in said.err and f"{weights} - missing" in said.out and not asked


def test_too_few_images_for_shuffled_maps(monkeypatch, tmp_path, study, capsys):
    """Said by the plan and before anything is written, with the part, the number and what to do."""
    write_study(study / "study", n=14, split=lambda i: ["train", "test", "validation"][(i > 6) + (i > 12)])
    for options in (["--dry-run", "--no-measure"], []):
        assert run_small(monkeypatch, study, *options, "--controls", "shuffled") == 2
        said = capsys.readouterr().err
        assert "needs at least 2 validation images with fixations; the split leaves 1" in said
        assert "--set 'data.split=" in said and not (study / "run").exists()


def test_a_plan_tells_disk_and_time(monkeypatch, study, capsys):
    assert run_small(monkeypatch, study, "--dry-run") == 0
    said = capsys.readouterr().out
    assert "disk: " in said and "s a step (median of" in said and "training at most" in said
    assert run_small(monkeypatch, study, "--dry-run", "--no-measure", "--protocol", "paper") == 0
    said = capsys.readouterr().out
    assert "time: not measured" in said and "weights are chosen on images that they are tested on" in said
    assert "16 train, 2 validation, 8 test" in said
