import os
import signal
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch

from gazetune.attention import METHODS
from gazetune.attention.rollout import rollout
from gazetune.backbones import load_backbone
from gazetune.data.synthetic import World, load_synthetic
from gazetune.errors import GazetuneError, InputError, Interrupted
from gazetune.experiment import with_controls
from gazetune.maps import densities, grid_points, upsampled
from gazetune.metrics.saliency import kl
from gazetune.training.loop import Keeper, Part, State, order_of, tune
from gazetune.training.loss import kept_of, loss_of, teacher_features
from gazetune.training.objective import objective
from gazetune.training.settings import Training
from gazetune.training.targets import TARGETS, derangement
from worlds import small_vit

ROLLOUT = METHODS["rollout"]
CPU = torch.device("cpu")


class Memory:
    """A keeper that remembers instead of writing."""

    def __init__(self, state=None):
        self.state, self.best, self.log = state, 0, []
        self.keeper = Keeper(self.save_state, lambda: self.state, self.save_best, self.log.append)

    def save_state(self, state, tensors):
        copied = {name: tensor.detach().clone() for name, tensor in tensors.items()}
        self.state = (State(**{**vars(state), "evaluated": dict(state.evaluated)}), copied)

    def save_best(self):
        self.best += 1

    def losses(self):
        return [line["loss"] for line in self.log if line["split"] == "train"]


def parts_of(backbone, n=20, targets="true_pairs", settings=None):
    """Training and validation parts of n generated scenes each."""
    settings = settings or Training(precision="fp32")
    world = load_synthetic(World(images=2 * n, seed=5))
    pixels = np.stack([world.pixels(i, backbone.image_size).transpose(2, 0, 1) for i in range(2 * n)])
    points = grid_points(world)
    both = []
    for rows in (np.arange(n), np.arange(n, 2 * n)):
        features = torch.cat(list(teacher_features(backbone, pixels, rows, settings, CPU, kept_of(settings))))
        drawn_to = TARGETS[targets](points.take(rows), points.take(np.arange(n)), 42)
        both.append(Part(pixels, rows, drawn_to, features))
    return both


def fast(**changed):
    return Training(**{"lr": 1e-3, "batch_size": 8, "epochs": 50, "evaluate_every": 5, "precision": "fp32", **changed})


# golden: 20 steps of the tiny model on 20 scenes of seed 5, batch 8, lr 3e-5, float32 on a CPU
GOLDEN = [
    1.136386, 1.321474, 0.867276, 1.110613, 1.247856, 1.003103, 1.096838, 1.281701, 0.909175, 1.189709,
    1.074711, 1.08489, 1.157377, 1.000577, 1.247315, 1.109048, 1.164074, 0.969927, 1.051248, 1.209527,
]  # fmt: skip


def test_golden_losses_of_the_tiny_model():
    student, memory = load_backbone("tiny"), Memory()
    tune(student, *parts_of(student), ROLLOUT, fast(max_steps=20, lr=3e-5), 42, memory.keeper)
    np.testing.assert_allclose(memory.losses(), GOLDEN, atol=1e-5, rtol=0)


def test_distillation_is_exactly_zero_at_step_0():
    for backbone in (load_backbone("tiny"), small_vit()):
        train, _ = parts_of(backbone, n=12)
        loss = loss_of(backbone, train, order_of(0, 12, 42)[:8], ROLLOUT, fast())
        assert loss.distillation.item() == 0.0
        assert loss.attention.item() > 0.1


def test_frozen_parameters_stay_bit_identical_and_the_learnable_move():
    student, memory = load_backbone("tiny"), Memory()
    before = {name: p.detach().clone() for name, p in student.model.named_parameters()}
    tune(student, *parts_of(student), ROLLOUT, fast(max_steps=6), 42, memory.keeper)
    learnable = student.learnable()
    assert 0 < len(learnable) < len(before)
    for name, parameter in student.model.named_parameters():
        assert torch.equal(parameter, before[name]) == (name not in learnable), name


def test_the_objective_is_that_of_the_paper():
    backbone = load_backbone("tiny")
    train, _ = parts_of(backbone, n=4)
    output = backbone(torch.from_numpy(train.pixels[:4]))
    target = train.targets(np.arange(4))
    loss = objective(output.feature + 0.5, output.feature, rollout(output), target, weight=2.0)
    human, model = target.double() + 1e-10, upsampled(rollout(output)).double() + 1e-10
    human, model = (m / m.sum((1, 2), keepdim=True) for m in (human, model))
    expected = (human * (human / model).log()).sum((1, 2)).mean()
    assert loss.distillation.item() == pytest.approx(0.25, abs=1e-6)
    assert loss.attention.item() == pytest.approx(expected.item(), abs=1e-5)
    assert loss.total.item() == pytest.approx(0.25 + 2 * expected.item(), abs=1e-5)


def test_a_stop_while_the_last_evaluation_is_written_down_is_heard():
    student, memory = load_backbone("tiny"), Memory()

    def save_best():
        if memory.state[0].step == 5:  # Ctrl-C when nothing but writing is left
            os.kill(os.getpid(), signal.SIGINT)

    keeper = replace(memory.keeper, save_best=save_best)
    with pytest.raises(Interrupted, match="Stopped at step 5 of 5"):
        tune(student, *parts_of(student, n=8), ROLLOUT, fast(max_steps=5, lr=3e-5), 42, keeper)
    assert set(memory.state[0].evaluated) == {"0", "5"}  # and saved


def test_an_infinite_gradient_stops_the_training_before_its_step():
    student, memory = load_backbone("tiny"), Memory()
    weights = {n: p.detach().clone() for n, p in student.learnable().items()}
    next(iter(student.learnable().values())).register_hook(lambda gradient: gradient * float("inf"))
    with pytest.raises(GazetuneError, match="gradient of step 1 is not a number"):
        tune(student, *parts_of(student, n=8), ROLLOUT, fast(max_grad_norm=1.0), 42, memory.keeper)
    assert all(torch.equal(p, weights[n]) for n, p in student.learnable().items())


def test_stopping_and_going_on_gives_the_same_weights_bit_for_bit():
    settings = fast(max_steps=12)
    whole, memory = load_backbone("tiny"), Memory()
    parts = parts_of(whole)
    tune(whole, *parts, ROLLOUT, settings, 7, memory.keeper)
    first, stopped = load_backbone("tiny"), Memory()
    tune(first, *parts, ROLLOUT, fast(max_steps=5), 7, stopped.keeper)  # as if stopped after an evaluation
    second, resumed = load_backbone("tiny"), Memory(stopped.state)
    state = tune(second, *parts, ROLLOUT, settings, 7, resumed.keeper)
    assert state.step == 12
    assert stopped.losses() + resumed.losses() == memory.losses()
    for (name, ours), theirs in zip(whole.model.named_parameters(), second.model.parameters(), strict=True):
        assert torch.equal(ours, theirs), name


def test_early_stopping_follows_the_rule(monkeypatch):
    losses = iter([1.0, 0.9, 0.8995, 0.8993, 0.8991, 0.5])  # after .9 no step of .001 for three evaluations
    monkeypatch.setattr("gazetune.training.loop.evaluate", lambda *_: {"loss": next(losses)})
    student, memory = load_backbone("tiny"), Memory()
    state = tune(student, *parts_of(student, n=8), ROLLOUT, fast(evaluate_every=1, max_steps=50), 0, memory.keeper)
    assert state.stopped_early and state.step == 4
    assert (state.best_step, state.best_loss) == (4, 0.8991)  # the best weights are those of the lowest loss


def test_tuning_lowers_the_loss_in_both_precisions():
    for precision in ("fp32", "bf16"):
        student, memory = load_backbone("tiny"), Memory()
        state = tune(student, *parts_of(student), ROLLOUT, fast(max_steps=20, precision=precision), 0, memory.keeper)
        assert state.best_loss < state.evaluated["0"] - 0.03


def test_settings_count_steps():
    assert Training().steps(500) == 20 * 63
    assert Training(max_steps=600).steps(500) == 600


def test_derangements_have_no_fixed_point_and_are_seeded():
    for n in (2, 3, 10, 500):
        order = derangement(n, 42)
        assert sorted(order) == list(range(n)) and (order != np.arange(n)).all()
    assert (np.random.default_rng(42).permutation(20) == np.arange(20)).any()  # the trap is real
    assert (derangement(500, 42) == derangement(500, 42)).all() and (derangement(500, 42) != derangement(500, 1)).any()
    assert {tuple(derangement(3, seed)) for seed in range(40)} == {(1, 2, 0), (2, 0, 1)}
    with pytest.raises(InputError, match="at least two"):
        derangement(1, 0)


def test_shuffled_targets_are_the_same_maps_of_other_images():
    points = grid_points(load_synthetic(World(images=6)))
    own, others = (densities(points), TARGETS["shuffled"](points, points, 42)(np.arange(6)))
    same = torch.stack([torch.stack([torch.equal(a, b) * torch.ones(()) for b in own]) for a in others])
    assert same.sum(0).tolist() == same.sum(1).tolist() == [1] * 6
    assert same.diagonal().sum() == 0


def test_centre_targets_are_the_mean_training_map_in_both_splits():
    points = grid_points(load_synthetic(World(images=6)))
    training, validation = points.take(np.arange(4)), points.take(np.arange(4, 6))
    shares = densities(training).double()
    mean = (shares / shares.sum((1, 2), keepdim=True)).mean(0)
    expected = ((mean - mean.min()) / (mean.max() - mean.min())).float()
    for part in (training, validation):
        found = TARGETS["centre"](part, training, 42)(np.array([1, 0, 1]))
        assert found.shape == (3, 224, 224)
        assert all(torch.allclose(one, expected, atol=1e-6) for one in found)


def test_uniform_targets_are_flat_and_their_divergence_is_a_number():
    points = grid_points(load_synthetic(World(images=3)))
    found = TARGETS["uniform"](points, points, 42)(np.array([0, 2]))
    assert found.shape == (2, 224, 224) and (found == 1).all()
    assert kl(found, found).tolist() == pytest.approx([0, 0], abs=1e-6)
    # a model on half of n pixels: q = 2/n there and 2e-10/n elsewhere, p = 1/n: KL = (ln(1/2) + ln(1/2e-10)) / 2
    half = torch.zeros(1, 224, 224)
    half[:, :112] = 1
    assert kl(half, found[:1]).item() == pytest.approx((np.log(1 / 2) - np.log(2e-10)) / 2, abs=1e-3)


@pytest.mark.parametrize("targets", ["centre", "uniform"])
def test_controls_without_correspondence_can_be_learnt(targets):
    student, memory = load_backbone("tiny"), Memory()
    parts = parts_of(student, n=12, targets=targets)
    state = tune(student, *parts, ROLLOUT, fast(max_steps=15), 0, memory.keeper)
    assert state.best_loss < state.evaluated["0"]


def test_centre_targets_need_fixations_to_average():
    points = grid_points(load_synthetic(World(images=3)))
    with pytest.raises(InputError, match="at least one training image"):
        TARGETS["centre"](points, points.take(np.array([], dtype=int)), 0)


def test_a_checkpoint_loads_with_plain_transformers_alone(tmp_path):
    student, memory = load_backbone("tiny"), Memory()
    tune(student, *parts_of(student, n=8), ROLLOUT, fast(max_steps=2), 0, memory.keeper)
    student.save(tmp_path)
    photo = np.random.default_rng(0).integers(0, 256, (1, 3, *student.image_size), dtype=np.uint8)
    np.save(tmp_path / "photo.npy", photo)
    plain = """
import sys, numpy as np, torch, transformers
folder = sys.argv[1]
model = transformers.AutoModelForImageClassification.from_pretrained(folder).eval()
pixels = torch.from_numpy(np.load(folder + "/photo.npy").astype(np.float32) / 127.5 - 1)
with torch.no_grad():
    np.save(folder + "/logits.npy", model(pixels).logits.numpy())
assert "gazetune" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", plain, str(tmp_path)], check=True, capture_output=True)
    with torch.no_grad():
        ours = student(torch.from_numpy(photo)).logits.numpy()
    np.testing.assert_allclose(np.load(tmp_path / "logits.npy"), ours, atol=1e-5)
    again = load_backbone(tmp_path)
    with torch.no_grad():
        assert torch.equal(again(torch.from_numpy(photo)).logits, torch.from_numpy(ours))


def test_a_loss_that_is_not_a_number_ends_the_training():
    student, memory = load_backbone("tiny"), Memory()
    parts = parts_of(student, n=8)
    with torch.no_grad():
        next(iter(student.learnable().values())).fill_(float("nan"))
    with pytest.raises(GazetuneError, match="not a number"):
        tune(student, *parts, ROLLOUT, fast(max_steps=2), 0, memory.keeper)


def test_a_control_is_the_tuned_model_but_for_its_targets():
    slow = {"lr": 0.003, "epochs": 2}
    start = {"weights": "base", "train": "none"}
    tuned = {"weights": "tiny", "train": True, "training": slow}
    models = {"before": start, "shuffled": {**tuned, "targets": "shuffled", "training": {"lr": 1.0}}, "tuned": tuned}
    found = with_controls({"models": models}, ("shuffled", "centre", "distillation"))["models"]
    assert list(found) == ["before", "shuffled", "tuned", "control_centre", "control_distillation"]  # one is there
    assert found["control_centre"] == {"weights": "tiny", "train": True, "targets": "centre", "training": slow}
    assert found["control_distillation"]["training"] == {**slow, "lambda_attention": 0.0}
    again = with_controls({"models": found}, ("shuffled", "centre", "distillation"))["models"]
    assert again == found
    weak = {**tuned, "training": {"lambda_attention": 0.5}}  # the shuffled model is drawn twice as strongly
    added = with_controls({"models": {**models, "tuned": weak}}, ("shuffled",))["models"]
    assert added["control_shuffled"]["training"] == {"lambda_attention": 0.5}
    half = {"training": {"lambda_attention": 0.5}}  # said of one model, or of all: the same
    there = {"models": {"tuned": tuned, "flat": {**tuned, "targets": "uniform", **half}}, **half}
    assert with_controls(there, ("uniform",)) == there
    with pytest.raises(ValueError, match="another model 'control_centre'"):
        with_controls({"models": {"tuned": tuned, "control_centre": start}}, ("centre",))


def test_a_gradient_that_is_too_long_is_shortened():
    losses = {}
    for longest in (None, 1e6, 1e-9):
        student, memory = load_backbone("tiny"), Memory()
        asked = fast(max_steps=3, lr=3e-5, weight_decay=0, max_grad_norm=longest)
        tune(student, *parts_of(student), ROLLOUT, asked, 42, memory.keeper)
        losses[longest] = memory.losses()
    assert losses[1e6] == losses[None]  # none is that long
    moved = np.abs(np.subtract(losses[1e-9], losses[None]))
    assert moved[0] == 0
    assert moved[1] > 1e-3  # 1e-9 in all is below Adam's epsilon of 1e-8: hardly a step
    assert "max_grad_norm" not in fast().what_matters()
    assert fast(max_grad_norm=1.0).what_matters()["max_grad_norm"] == 1.0
