"""What a training holds on to beyond the paper."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.nn.functional import mse_loss

from gazetune import Run
from gazetune.attention import METHODS
from gazetune.backbones import load_backbone
from gazetune.backbones.vit import VisionTransformer
from gazetune.data.photos import photos_for_tuning
from gazetune.errors import InputError
from gazetune.figures.pareto import START, draw_pareto, on_front
from gazetune.loading import parse
from gazetune.training.loop import tune
from gazetune.training.loss import evaluate, loss_of
from gazetune.training.objective import Loss, logits_divergence, tokens_error, weights_distance
from gazetune.training.preservation import Others, Preserve, is_needed, others_at, require_terms
from gazetune.training.settings import Training
from test_training import GOLDEN, Memory, fast, parts_of
from worlds import gazetune, small_vit

ROLLOUT = METHODS["rollout"]
ALL = {"lambda_logits": 0.7, "lambda_tokens": 0.3, "lambda_l2": 2.0, "distil_on": "some folder"}


def held(backbone, n=6):
    """A frozen start, its weights and n other photos of noise, for a student that is a copy of `backbone`."""
    pixels = np.random.default_rng(3).integers(0, 256, (n, 3, *backbone.image_size), dtype=np.uint8)
    start = {name: value.detach().clone() for name, value in backbone.learnable().items()}
    return Preserve(load_backbone("tiny"), start, Others(pixels, np.arange(n)))


def moved(seed=0, by=0.02):
    """The tiny model with its learnable weights moved at random."""
    student = load_backbone("tiny")
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in student.learnable().values():
            parameter += by * torch.randn_like(parameter)
    return student


def test_the_terms_by_hand():
    teacher, student = torch.tensor([[0.0, np.log(3.0)]]), torch.tensor([[0.0, 0.0]])  # 1/4 and 3/4 against halves
    by_hand = 0.25 * np.log(0.25 / 0.5) + 0.75 * np.log(0.75 / 0.5)
    assert logits_divergence(student.float(), teacher.float()).item() == pytest.approx(by_hand, abs=1e-6)
    twice = logits_divergence(student.float().repeat(2, 1), torch.cat([teacher, student]).float())
    assert twice.item() == pytest.approx(by_hand / 2, abs=1e-6)  # the mean over images, one of them the same
    assert logits_divergence(teacher.float() + 5, teacher.float()).item() == pytest.approx(0, abs=1e-6)  # a constant
    tokens = torch.zeros(1, 3, 2)
    tokens[0, 0] = 100.0  # the prefix
    tokens[0, 2] = torch.tensor([1.0, 3.0])
    assert tokens_error(tokens, torch.zeros(1, 3, 2), 1).item() == pytest.approx((1 + 9) / 4)
    start = {"a": torch.tensor([1.0, 2.0]), "b": torch.tensor([[0.0]])}
    now = {"a": torch.tensor([1.5, 2.0]), "b": torch.tensor([[3.0]])}
    assert weights_distance(now, start).item() == pytest.approx((0.25 + 9) / 2)


def test_the_gradient_of_the_distance_is_the_difference_and_that_of_the_logits_the_probabilities():
    start, now = torch.tensor([1.0, -2.0]), torch.tensor([1.5, 2.0], requires_grad=True)
    weights_distance({"a": now}, {"a": start}).backward()
    assert now.grad.tolist() == pytest.approx([0.5, 4.0])
    teacher, student = torch.randn(3, 5), torch.randn(3, 5, requires_grad=True)
    logits_divergence(student, teacher).backward()
    expected = (student.softmax(1) - teacher.softmax(1)).detach() / 3
    assert torch.allclose(student.grad, expected, atol=1e-6)


def test_the_total_is_the_weighted_sum_and_every_term_is_logged():
    beyond = {"logits": (2.0, torch.tensor(0.5)), "l2": (10.0, torch.tensor(0.25))}
    loss = Loss(torch.tensor(1.0), torch.tensor(3.0), 0.5, beyond)
    assert loss.total.item() == 1 + 1.5 + 1 + 2.5
    assert loss.terms() == {"loss": 6.0, "distillation": 1.0, "attention": 3.0, "logits": 0.5, "l2": 0.25}


def test_terms_of_weight_0_leave_every_golden_loss_as_it_was():
    assert not is_needed(Training()) and all(is_needed(Training(**{k: v})) for k, v in ALL.items())
    student, memory = load_backbone("tiny"), Memory()
    plain, other = Memory(), load_backbone("tiny")
    train, validation = parts_of(student)
    few = replace(validation, rows=validation.rows[:2], teacher=validation.teacher[:2])
    settings = fast(max_steps=4, lr=3e-5)
    tune(other, train, few, ROLLOUT, settings, 42, plain.keeper)
    tune(student, train, few, ROLLOUT, settings, 42, memory.keeper, Preserve(load_backbone("tiny")))
    assert memory.losses() == plain.losses()
    np.testing.assert_allclose(memory.losses(), GOLDEN[:4], atol=1e-5, rtol=0)
    assert {key for line in plain.log for key in line} == {
        "step", "split", "loss", "distillation", "attention", "seconds",
    }  # fmt: skip


def test_at_step_0_every_term_is_exactly_0():
    student = load_backbone("tiny")
    train, _ = parts_of(student, n=8, settings=fast(**ALL))
    loss = loss_of(student, train, np.arange(8), ROLLOUT, fast(**ALL), held(student), np.arange(6))
    terms = loss.terms()
    assert [terms[name] for name in ("distillation", "logits", "tokens", "l2")] == [0.0] * 4
    assert terms["loss"] == terms["attention"] > 0.1


def test_the_terms_are_means_over_fixation_images_and_other_photos_alike():
    start, student = load_backbone("tiny"), moved()
    train, _ = parts_of(start, n=4)
    preserve = held(start)
    found = loss_of(student, train, np.arange(4), ROLLOUT, fast(**ALL), preserve, np.array([5, 0])).terms()
    images = torch.from_numpy(np.concatenate([train.pixels[:4], preserve.others.pixels[[5, 0]]]))
    with torch.no_grad():
        ours, theirs = student(images), start(images)
    p = theirs.logits.double().softmax(1)
    expected = {
        "distillation": mse_loss(ours.feature, theirs.feature).item(),
        "logits": (p * (p.log() - ours.logits.double().log_softmax(1))).sum(1).mean().item(),
        "tokens": (ours.tokens - theirs.tokens)[:, ours.prefix :].square().mean().item(),
        "l2": sum((w - preserve.start[n]).square().sum().item() for n, w in student.learnable().items()) / 2,
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-4), name
    alone = loss_of(student, train, np.arange(4), ROLLOUT, fast(**ALL), preserve).terms()
    assert alone["attention"] == found["attention"] and alone["tokens"] != found["tokens"]
    weighed = found["distillation"] + found["attention"] + 0.7 * found["logits"] + 0.3 * found["tokens"]
    assert found["loss"] == pytest.approx(weighed + 2 * found["l2"], rel=1e-5)


@pytest.mark.parametrize("term", ["lambda_logits", "lambda_tokens", "lambda_l2"])
def test_each_term_alone_pulls_a_moved_student_back_to_its_start(term):
    start, student = load_backbone("tiny"), moved()
    train, _ = parts_of(start, n=4)
    settings = fast(**{term: 1.0}, lambda_attention=0.0, batch_size=4, max_steps=6, evaluate_every=6, lr=3e-4)
    name = term.removeprefix("lambda_")
    first = evaluate(student, train, ROLLOUT, settings, None, held(start))
    tune(student, train, train, ROLLOUT, settings, 0, Memory().keeper, held(start))
    assert evaluate(student, train, ROLLOUT, settings, None, held(start))[name] < 0.9 * first[name]


def test_other_photos_come_in_an_order_of_their_own_each_once_a_round():
    seen = np.concatenate([others_at(step, 10, 4, 7) for step in range(5)])  # two rounds of ten
    assert sorted(seen[:10]) == sorted(seen[10:]) == list(range(10))
    assert (seen[:10] != seen[10:]).any()
    assert (others_at(3, 10, 4, 7) == others_at(3, 10, 4, 7)).all()
    assert (others_at(0, 10, 10, 7) != others_at(0, 10, 10, 8)).any()
    assert (others_at(0, 10, 10, 7) != np.random.default_rng([7, 0]).permutation(10)).any()  # not the fixation images'
    assert sorted(others_at(0, 3, 8, 0)[:3]) == [0, 1, 2] and len(others_at(0, 3, 8, 0)) == 8  # fewer than a batch


def test_stopping_and_going_on_with_every_term_gives_the_same_weights_bit_for_bit():
    start = load_backbone("tiny")
    parts = parts_of(start, n=5)
    all_terms = fast(**ALL, max_steps=4, batch_size=3, evaluate_every=3)
    whole, memory = load_backbone("tiny"), Memory()
    tune(whole, *parts, ROLLOUT, all_terms, 7, memory.keeper, held(start))
    first, stopped = load_backbone("tiny"), Memory()
    tune(first, *parts, ROLLOUT, all_terms.model_copy(update={"max_steps": 3}), 7, stopped.keeper, held(start))
    second, resumed = load_backbone("tiny"), Memory(stopped.state)
    tune(second, *parts, ROLLOUT, all_terms, 7, resumed.keeper, held(start))
    assert stopped.losses() + resumed.losses() == memory.losses()
    assert all("logits" in line and "tokens" in line and "l2" in line for line in memory.log)
    for (name, ours), theirs in zip(whole.model.named_parameters(), second.model.parameters(), strict=True):
        assert torch.equal(ours, theirs), name


class Bare(VisionTransformer):
    def __call__(self, images, attention="mean"):
        return replace(super().__call__(images, attention), **self.missing)


def bare(**missing):
    """A model that lacks what the terms hold on to."""
    model = small_vit()
    model.__class__, model.missing = Bare, missing
    return model


def test_a_term_that_the_model_lacks_is_refused():
    require_terms(small_vit(), Training(lambda_logits=1, lambda_tokens=1), "small")
    with pytest.raises(InputError, match=r"lambda_logits .* no classification head"):
        require_terms(bare(logits=None), Training(lambda_logits=1), "bare")
    with pytest.raises(InputError, match=r"lambda_tokens .* 'bare' has none"):
        require_terms(bare(tokens=None), Training(lambda_tokens=1), "bare")
    require_terms(bare(logits=None, tokens=None), Training(lambda_l2=1), "bare")


def test_settings_that_make_no_sense_are_named():
    data = {"kind": "synthetic", "split": {"rule": "all_test"}}
    experiment = {"name": "x", "data": data, "models": {"a": {"weights": "tiny"}}, "reference": "a"}
    for training, said in (
        ({"lambda_tokens": -1}, "training.lambda_tokens"),
        ({"lambda_token": 1}, "did you mean 'lambda_tokens'"),
        ({"max_accuracy_loss": 0.5}, "max_accuracy_loss needs accuracy_on"),
        ({"max_accuracy_loss": -1, "accuracy_on": "x"}, "max_accuracy_loss"),
    ):
        with pytest.raises(InputError, match=said):
            parse({**experiment, "training": training}, "x")
    one = {"weights": "tiny", "train": True, "training": {"lr": "2e-5", "max_steps": 3, "distil_on": "photos/2"}}
    found = parse({**experiment, "models": {"a": one}}, "x").models["a"].training
    assert found == {"lr": 2e-5, "max_steps": 3, "distil_on": "photos/2"} and type(found["max_steps"]) is int


def test_what_matters_is_that_of_older_runs_where_nothing_beyond_the_paper_is_asked_for():
    older = {
        "lr", "weight_decay", "batch_size", "epochs", "max_steps", "evaluate_every", "patience", "min_improvement",
        "lambda_attention", "precision", "shuffle_seed",
    }  # fmt: skip
    assert set(Training().what_matters()) == older
    assert set(Training(**ALL).what_matters()) == older | {"lambda_logits", "lambda_tokens", "lambda_l2"}


def write_photos(folder, n=6, border=0, names="p{:02d}.png"):
    rng = np.random.default_rng(0)
    for i in range(n):
        path = folder / names.format(i)
        path.parent.mkdir(parents=True, exist_ok=True)
        pixels = rng.integers(0, 255, (24, 20, 3), dtype=np.uint8)
        if border:
            framed = np.full_like(pixels, (255, 0, 0))
            framed[border:-border, border:-border] = pixels[border:-border, border:-border]
            pixels = framed
        Image.fromarray(pixels).save(path)
    return folder


def test_objectnet_is_refused_however_it_is_recognised(tmp_path):
    assert len(photos_for_tuning(str(write_photos(tmp_path / "mine")))) == 6
    write_photos(tmp_path / "beside" / "images", names="kind_{}/p.png")
    (tmp_path / "beside" / "objectnet_to_imagenet_1k.json").write_text("{}")
    for folder in (
        write_photos(tmp_path / "framed", border=2),
        write_photos(tmp_path / "objectnet-1.0"),
        tmp_path / "beside" / "images",
        tmp_path / "beside",
    ):
        with pytest.raises(InputError, match="forbids to tune"):
            photos_for_tuning(str(folder))
    with pytest.raises(InputError, match="has no photo"):
        (tmp_path / "empty").mkdir()
        photos_for_tuning(str(tmp_path / "empty"))


def test_a_run_with_every_term_leaves_them_in_its_log(monkeypatch, study, capsys):
    write_photos(study / "others")
    settings = ("lambda_logits=1", "lambda_tokens=1", "lambda_l2=0.1", "max_steps=2", f"distil_on={study / 'others'}")
    options = [option for s in settings for option in ("--set", f"training.{s}")]

    def train(*more):
        ended = gazetune(monkeypatch, "train", study / "small.yaml", "--output", study / "run", *options, *more)
        return ended, capsys.readouterr().err

    assert train()[0] == 0
    lines = [line for line in Run(study / "run").log_lines() if line["model"] == "after-s42"]
    assert all({"logits", "tokens", "l2", "distillation", "attention"} <= set(line) for line in lines)
    assert max(line["l2"] for line in lines) > 0
    assert "train/after-s42: done before, kept" in train("--resume")[1]
    write_photos(study / "others", n=7)
    assert "train/after-s42: done again, because its input changed (distil_on)" in train("--resume")[1]
    ended, said = train("--resume", "--set", "training.distil_on=nowhere")
    assert ended == 2 and "'nowhere' does not exist" in said


def test_the_front_is_what_nothing_else_beats():
    cc = np.array([0.1, 0.3, 0.5, 0.4, 0.5])
    change = np.array([0.0, 0.0, -5.0, -6.0, -5.0])
    assert on_front(cc, change).tolist() == [False, True, True, False, True]  # equal points are both on it


def test_the_figure_draws_a_panel_a_set():
    rows = [
        {"set": s, "term": t, "lambda": lam, "cc": 0.3, "cc_low": 0.2, "cc_high": 0.4, "difference": d, "low": d - 1,
         "high": d + 1, "n": 50, "images": 10, "on_front": t != "tokens"}
        for s in ("near", "far") for t, lam, d in ((START, np.nan, 0.0), ("none", 1.0, -2.0), ("tokens", 1.0, -1.0))
    ]  # fmt: skip
    panels = draw_pareto(pd.DataFrame(rows)).axes
    assert [panel.get_title() for panel in panels] == ["near (50 images)", "far (50 images)"]
    assert all(sorted(line.get_xdata() for line in p.lines[:1])[0].tolist() == [-2.0, 0.0] for p in panels)
