"""Tuning as long as it costs no more accuracy than allowed."""

import html
import threading

import numpy as np
import pytest
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold
from transformers import ViTConfig, ViTModel

from gazetune import Run
from gazetune.attention import METHODS
from gazetune.backbones import load_backbone
from gazetune.backbones.vit import HALF, VisionTransformer
from gazetune.data.labelled import load_image_folder, squashed_crop
from gazetune.data.photos import as_classified, labels_for_tuning
from gazetune.errors import InputError, Interrupted
from gazetune.report.words import accuracy_lines
from gazetune.training.accuracy import asked, heads_on, logits_of, right
from gazetune.training.loop import tune
from test_training import Memory, fast, parts_of
from worlds import gazetune, small_vit

SETTINGS = {"lr": 3e-3, "batch_size": 4, "evaluate_every": 1, "accuracy_on": "somewhere"}


@pytest.fixture(scope="module")
def parts():
    return parts_of(load_backbone("tiny"), n=4)


def tuned(parts, course, monkeypatch=None, losses=None, state=None, **changed):
    """A training of the tiny model whose accuracy takes this course; what it left."""
    student, memory = load_backbone("tiny"), Memory(state)
    course = iter(course)
    if losses is not None:
        following = iter(losses)
        monkeypatch.setattr("gazetune.training.loop.evaluate", lambda *_: {"loss": next(following)})
    settings = fast(**{**SETTINGS, "patience": 9, **changed})
    state = tune(student, *parts, METHODS["rollout"], settings, 0, memory.keeper, None, lambda _: next(course))
    return state, memory


def test_the_best_that_respects_it_is_kept(parts, monkeypatch):
    state, memory = tuned(
        parts, [0.9, 0.896, 0.88, 0.895, 0.8949], monkeypatch, [1.0, 0.8, 0.5, 0.7, 0.6], max_steps=4,
        max_accuracy_loss=0.5,
    )  # fmt: skip
    assert (state.best_step, state.best_loss) == (3, 0.7)  # .5 points below exactly is allowed
    assert state.refused == [2, 4] and memory.best == 3  # at steps 0, 1 and 3
    assert state.accuracy == {"0": 0.9, "1": 0.896, "2": 0.88, "3": 0.895, "4": 0.8949}
    logged = [line for line in memory.log if line["split"] == "validation"]
    assert [line["refused"] for line in logged] == [False, False, True, False, True]
    assert [line["accuracy"] for line in logged] == [0.9, 0.896, 0.88, 0.895, 0.8949]


def test_where_nothing_respects_it_the_start_is_kept_and_that_is_said(parts, monkeypatch, capsys):
    state, memory = tuned(parts, [0.9, 0.8, 0.7], monkeypatch, [1.0, 0.8, 0.5], max_steps=2, max_accuracy_loss=1)
    assert (state.best_step, state.best_loss, memory.best) == (0, 1, 1)
    said = capsys.readouterr().err
    assert "every evaluation after step 0 lost more than 1 points of accuracy on 'somewhere'" in said
    assert "the start weights are what is kept" in said


def test_early_stopping_does_not_look_at_accuracy(parts, monkeypatch):
    losses = [1.0, 0.9, 0.9, 0.9, 0.1]
    state, _ = tuned(parts, [0.9] + [0.1] * 4, monkeypatch, losses, max_steps=9, max_accuracy_loss=1, patience=2)
    assert state.stopped_early and state.step == 3 and state.best_step == 0


def test_without_a_limit_accuracy_is_measured_and_nothing_refused(parts, monkeypatch):
    state, memory = tuned(parts, [0.9, 0.1], monkeypatch, [1.0, 0.5], max_steps=1)
    assert state.best_step == 1 and state.refused == [] and state.accuracy == {"0": 0.9, "1": 0.1}
    assert all("refused" not in line for line in memory.log)


def test_going_on_knows_the_start_and_what_was_refused(parts):
    course = [0.9, 0.8, 0.9, 0.7]
    whole, _ = tuned(parts, course, max_steps=3, max_accuracy_loss=1)
    _, stopped = tuned(parts, course[:2], max_steps=1, max_accuracy_loss=1)
    after, _ = tuned(parts, course[2:], state=stopped.state, max_steps=3, max_accuracy_loss=1)
    assert vars(after) == vars(whole) and after.refused == [1, 3]


def test_heads_judge_each_image_by_the_fold_that_has_not_seen_it():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1, 2], 20)
    features = rng.normal(size=(60, 8)) + 1.5 * np.eye(8)[labels]
    heads = heads_on(torch.from_numpy(features).float(), labels)
    scores = torch.einsum("bcd,bd->bc", heads.weight[heads.fold], torch.from_numpy(features).float())
    found = (scores + heads.bias[heads.fold]).argmax(1).numpy()
    expected = np.empty(60, dtype=int)
    for seen, unseen in StratifiedKFold(5, shuffle=True, random_state=0).split(features, labels):
        fitted = LogisticRegression(C=0.01, max_iter=5000).fit(features[seen].astype(np.float32), labels[seen])
        expected[unseen] = fitted.predict(features[unseen].astype(np.float32))
    assert (found == expected).all() and 0.5 < (found == labels).mean() < 1
    two = labels < 2
    heads = heads_on(torch.from_numpy(features[two]).float(), labels[two])  # two classes have one row in scikit-learn
    scores = torch.einsum("bcd,bd->bc", heads.weight[heads.fold], torch.from_numpy(features[two]).float())
    assert (((scores + heads.bias[heads.fold]).argmax(1).numpy()) == labels[two]).mean() > 0.8


def test_heads_need_enough_images_of_each_class():
    with pytest.raises(InputError, match="the smallest with 3"):
        heads_on(torch.randn(12, 4), np.repeat([0, 1], [9, 3]))
    with pytest.raises(InputError, match="there are 1"):
        heads_on(torch.randn(12, 4), np.zeros(12, dtype=int))


def test_right_is_any_of_the_answers_and_the_filling_is_none():
    scores = torch.tensor([[0.1, 0.9, 0.0], [0.8, 0.1, 0.1], [0.0, 0.0, 1.0]])
    assert right(scores, np.array([[0, 1], [1, -1], [2, -1]])).tolist() == [True, False, True]


def test_asking_can_be_stopped():
    stop = threading.Event()
    stop.set()
    with pytest.raises(Interrupted):
        asked(small_vit(), np.zeros((2, 3, 32, 32), np.uint8), np.arange(2), logits_of, 2, stop)


def write_classes(folder, classes=("a", "b", "c"), n=6):
    """Noise photos in one sub-folder a class."""
    rng = np.random.default_rng(1)
    for shade, name in enumerate(classes):
        (folder / name).mkdir(parents=True)
        for i in range(n):
            pixels = rng.integers(0, 120 + 40 * shade, (40, 30, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    return folder


def test_labelled_images_come_with_the_preprocessing_of_classification(tmp_path):
    labelled = labels_for_tuning(str(write_classes(tmp_path / "x", n=1)))
    photos = as_classified(labelled)
    expected = squashed_crop(labelled.pixels(1)[0], 73, 64)  # 256 to 224 is 73 to 64
    assert photos.ids == labelled.ids and (photos.pixels(1, (64, 64)) == expected).all()
    with pytest.raises(InputError, match="square input, not 32x64"):
        photos.pixels(0, (32, 64))
    with pytest.raises(InputError, match="does not exist"):
        labels_for_tuning(str(tmp_path / "nowhere"))


def of_study(monkeypatch, study, *settings, output="run"):
    given = [option for s in ("max_steps=4", *settings) for option in ("--set", f"training.{s}")]
    return gazetune(monkeypatch, "run", study / "small.yaml", "--output", study / output, "--set", "heads=false",
                    "--set", "metrics=[cc]", *given)  # fmt: skip


def test_a_run_says_what_was_refused_everywhere(monkeypatch, study, capsys):
    folder = write_classes(study / "labelled")
    assert of_study(monkeypatch, study, f"accuracy_on={folder}", "max_accuracy_loss=0", "lr=0.05") == 0
    run = Run(study / "run")
    state = run.json("checkpoints/after-s42/training.json")
    assert state["accuracy_on"]["n"] == 18 and state["accuracy_on"]["head"] == "the model's own head"
    assert list(state["accuracy"]) == ["0", "2", "4"] and run.summary["training"]["after-s42"] == state
    start = state["accuracy"]["0"]
    assert state["refused"] == [int(s) for s, share in state["accuracy"].items() if share < start]
    allowed = {s: loss for s, loss in state["evaluated"].items() if int(s) not in state["refused"]}
    assert str(state["best_step"]) == min(allowed, key=allowed.get)
    labels = {"after-s42": "after", "shuffled-s42": "shuffled"}
    line = accuracy_lines(run.summary, labels)[0]
    assert f"step 0 {start:.1%}" in line and line.count("(refused)") == len(state["refused"])
    report = html.unescape((study / "run" / "report.html").read_text())
    assert line in report and "".join(line.split()) in "".join(capsys.readouterr().out.split())
    logged = [entry for entry in run.log_lines() if entry["split"] == "validation" and entry["model"] == "after-s42"]
    assert [entry["accuracy"] for entry in logged] == list(state["accuracy"].values())
    photos = load_image_folder(folder)
    backbone = load_backbone(study / "weights")  # and the accuracy is that of the model itself, worked out anew
    pixels = np.stack([squashed_crop(photos.pixels(i)[0], 37, 32) for i in range(18)]).transpose(0, 3, 1, 2)
    with torch.no_grad():
        said = backbone(torch.from_numpy(pixels.copy())).logits.argmax(1).numpy()
    assert start == pytest.approx((said == photos.answers[:, 0]).mean())


def test_labels_that_the_model_does_not_know_are_named(monkeypatch, study, capsys):
    folder = write_classes(study / "four", classes=("a", "b", "c", "zebra"))
    assert of_study(monkeypatch, study, f"accuracy_on={folder}") == 2
    assert "The data set has 4 classes, the model 3" in capsys.readouterr().err
    ended = gazetune(monkeypatch, "run", study / "small.yaml", "--dry-run", "--set", "training.accuracy_on=nowhere")
    assert ended == 2 and "accuracy_on: 'nowhere' does not exist" in capsys.readouterr().err
    broken = write_classes(study / "broken")
    (broken / "a" / "0.png").write_bytes(b"no image")
    assert of_study(monkeypatch, study, f"accuracy_on={broken}", output="other") == 2
    assert "0.png' cannot be read as an image" in capsys.readouterr().err
    (study / "objectnet").mkdir()
    write_classes(study / "objectnet" / "images")
    assert of_study(monkeypatch, study, f"accuracy_on={study / 'objectnet' / 'images'}", output="third") == 2
    assert "forbids to tune" in capsys.readouterr().err


def test_a_model_without_a_head_gets_one_that_is_fitted_once(monkeypatch, study):
    torch.manual_seed(0)
    shape = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
    model = ViTModel(ViTConfig(**shape, image_size=32, patch_size=8), add_pooling_layer=False)
    VisionTransformer(model, *HALF, (32, 32)).save(study / "headless")
    folder = write_classes(study / "labelled")
    settings = [f"models.{name}.weights={study / 'headless'}" for name in ("before", "after", "shuffled")]
    settings += [f"training.{s}" for s in (f"accuracy_on={folder}", "max_steps=1", "lr=0.05")]
    options = [option for s in settings for option in ("--set", s)]
    assert gazetune(monkeypatch, "train", study / "small.yaml", "--output", study / "run", *options) == 0
    run = Run(study / "run")
    state = run.json("checkpoints/after-s42/training.json")
    assert "5 folds" in state["accuracy_on"]["head"] and list(state["accuracy"]) == ["0", "1"]
    photos = load_image_folder(folder)
    pixels = np.stack([squashed_crop(photos.pixels(i)[0], 37, 32) for i in range(18)]).transpose(0, 3, 1, 2)
    labels = photos.answers[:, 0]

    def features(weights):
        with torch.no_grad():
            return load_backbone(weights)(torch.from_numpy(pixels.copy())).representation.double().numpy()

    start, after = features(study / "headless"), features(run.checkpoint("after"))
    hits = np.zeros(2, dtype=int)
    for seen, unseen in StratifiedKFold(5, shuffle=True, random_state=0).split(start, labels):
        fitted = LogisticRegression(C=0.01, max_iter=5000).fit(start[seen], labels[seen])
        hits += [(fitted.predict(x[unseen]) == labels[unseen]).sum() for x in (start, after)]
    expected = hits[0] if state["best_step"] == 0 else hits[1]
    assert state["accuracy"]["0"] == hits[0] / 18 and state["accuracy"][str(state["best_step"])] == expected / 18
