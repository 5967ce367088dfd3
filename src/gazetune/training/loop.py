"""The training loop: steps, evaluations, early stopping, and a state from which it goes on bit for bit."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from gazetune.attention import Method
from gazetune.backbones import Backbone
from gazetune.data.decoded import Pixels, batch_of
from gazetune.errors import GazetuneError, Interrupted
from gazetune.progress import track
from gazetune.training.objective import Loss, objective
from gazetune.training.settings import Precision, Training
from gazetune.training.targets import Targets


@dataclass(frozen=True)
class Part:
    """The images of one split: which of the decoded pixels are theirs, what to attend to, what the teacher sees.

    classes: what a method made of gradients explains of each image; None: the student's own predictions.
    """

    pixels: Pixels
    rows: Int[np.ndarray, " image"]
    targets: Targets
    teacher: Float[Tensor, "image dim"]
    classes: Int[Tensor, " image"] | None = None


@dataclass
class State:
    """Where a training stands, besides the tensors. The order of the images follows from seed and epoch alone."""

    step: int = 0
    best_step: int = 0
    best_loss: float = math.inf
    reference_loss: float = math.inf  # what the next evaluation must beat by min_improvement
    waited: int = 0
    stopped_early: bool = False
    evaluated: dict[str, float] = field(default_factory=dict)  # step -> validation loss


@dataclass(frozen=True)
class Keeper:
    """Where a training leaves what it has: its state, its best weights, its log."""

    save_state: Callable[[State, dict[str, Tensor]], None]
    load_state: Callable[[], tuple[State, dict[str, Tensor]] | None]
    save_best: Callable[[], None]
    log: Callable[[dict[str, float | int | str]], None]


def resolved_precision(wanted: Precision, device: torch.device) -> Precision:
    """`auto` as what it means on this device: bf16 where its matrix products have it in hardware, else fp32."""
    if wanted != "auto":
        return wanted
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    return "bf16" if device.type == "cpu" and torch.cpu.get_capabilities().get("avx512_bf16") else "fp32"


def autocast(device: torch.device, precision: Precision) -> torch.autocast:
    """Matrix products in bf16 where asked for; weights, softmax, rollout and losses stay float32."""
    return torch.autocast(device.type, torch.bfloat16, enabled=resolved_precision(precision, device) == "bf16")


def order_of(epoch: int, n: int, seed: int) -> Int[np.ndarray, " n"]:
    """The order of the images in an epoch, a function of the seed and the epoch."""
    return np.random.default_rng([seed, epoch]).permutation(n)


def teacher_features(
    teacher: Backbone, pixels: Pixels, rows: Int[np.ndarray, " image"], settings: Training, device: torch.device
) -> Float[Tensor, "image dim"]:
    """The frozen model's [CLS] state of every image, computed once; 4 bytes a dimension, kept in memory."""
    features = []
    starts = range(0, len(rows), settings.batch_size)
    with torch.no_grad(), autocast(device, settings.precision):
        for start in track(starts, "teacher", total=len(starts)):
            images = batch_of(pixels, rows[start : start + settings.batch_size], device)
            features.append(teacher(images).feature.float().cpu())
    return torch.cat(features)


def loss_of(
    student: Backbone, part: Part, index: Int[np.ndarray, " batch"], attend: Method, settings: Training
) -> Loss:
    """The objective on these images of a split."""
    device = next(student.model.parameters()).device
    with autocast(device, settings.precision):
        output = attend.forward(student, batch_of(part.pixels, part.rows[index], device))
    teacher = part.teacher[torch.from_numpy(index)].to(device)
    targets = part.targets(index).to(device)
    classes = None if part.classes is None else part.classes[torch.from_numpy(index)].to(device)
    return objective(output.feature.float(), teacher, attend.of(output, classes), targets, settings.lambda_attention)


@torch.no_grad()
def evaluate(
    student: Backbone, part: Part, attend: Method, settings: Training, stop: threading.Event | None = None
) -> dict[str, float]:
    """The mean loss over a split: `loss`, `distillation`, `attention`. Raises Interrupted if asked to stop."""
    sums = np.zeros(3)
    for start in range(0, len(part.rows), settings.batch_size):
        index = np.arange(start, min(start + settings.batch_size, len(part.rows)))
        if stop is not None and stop.is_set():
            raise Interrupted("Stopped during an evaluation; everything is saved. Go on with --resume.")
        loss = loss_of(student, part, index, attend, settings)
        sums += len(index) * np.array([loss.total.item(), loss.distillation.item(), loss.attention.item()])
    total, distillation, attention = (sums / len(part.rows)).tolist()
    return {"loss": total, "distillation": distillation, "attention": attention}


def tune(
    student: Backbone, train: Part, validation: Part, attend: Method, settings: Training, seed: int, keep: Keeper
) -> State:
    """Tune the learnable parameters of `student` in place; its best weights reach `keep.save_best`.

    Evaluates at step 0, every `evaluate_every` steps and at the end. Stops early when `patience` evaluations in a
    row did not lower the validation loss by `min_improvement`. The best weights are those of the lowest validation
    loss. A stop by Ctrl-C or SIGTERM saves the state and raises Interrupted; a state found by `keep` is gone on from.
    """
    learnable = student.learnable()
    for name, parameter in student.model.named_parameters():
        parameter.requires_grad_(name in learnable)
    optimiser = torch.optim.AdamW(learnable.values(), lr=settings.lr, weight_decay=settings.weight_decay)
    state = _restore(learnable, optimiser, keep) or State()
    last = settings.steps(len(train.rows))
    note: list[str] = []

    def save() -> None:
        keep.save_state(state, _tensors(learnable, optimiser))

    def look() -> None:
        save()  # an evaluation can take long: what was learnt is safe before it
        losses = evaluate(student, validation, attend, settings, stop)
        if not math.isfinite(losses["loss"]):
            raise GazetuneError(f"The validation loss of step {state.step} is not a number. Lower training.lr.")
        keep.log({"step": state.step, "split": "validation", **losses})
        note.append(f"validation loss {losses['loss']:.4f}")
        _judge(state, losses["loss"], settings, keep.save_best)
        save()

    def is_due() -> bool:
        due = state.step % settings.evaluate_every == 0 or state.step == last
        return due and str(state.step) not in state.evaluated

    with _stop_asked() as stop:
        if is_due():
            look()
        saved = time.monotonic()
        for index in track(_batches(state, len(train.rows), last, settings, seed), "training", last, state.step, note):
            keep.log(_step(optimiser, state, loss_of(student, train, index, attend, settings)))
            if is_due():
                look()
            elif stop.is_set() or time.monotonic() - saved > settings.checkpoint_seconds:
                save()
                saved = time.monotonic()
            if stop.is_set():
                raise Interrupted(f"Stopped at step {state.step} of {last}; everything is saved. Go on with --resume.")
    return state


def _step(optimiser: torch.optim.Optimizer, state: State, loss: Loss) -> dict[str, float | int | str]:
    """One step of the optimiser; what to log of it."""
    start = time.monotonic()
    if not torch.isfinite(loss.total):
        raise GazetuneError(f"The loss of step {state.step + 1} is not a number. Lower training.lr and start anew.")
    optimiser.zero_grad(set_to_none=True)
    loss.total.backward()
    optimiser.step()
    state.step += 1
    terms = {"loss": loss.total.item(), "distillation": loss.distillation.item(), "attention": loss.attention.item()}
    return {"step": state.step, "split": "train", **terms, "seconds": round(time.monotonic() - start, 4)}


def _batches(state: State, n: int, last: int, settings: Training, seed: int) -> Iterator[Int[np.ndarray, " batch"]]:
    """The batches from where the state stands to the last step; ends when training has stopped early."""
    per_epoch = -(-n // settings.batch_size)
    while state.step < last and not state.stopped_early:
        epoch, place = divmod(state.step, per_epoch)
        yield order_of(epoch, n, seed)[place * settings.batch_size : (place + 1) * settings.batch_size]


def _judge(state: State, loss: float, settings: Training, save_best: Callable[[], None]) -> None:
    state.evaluated[str(state.step)] = loss
    if loss < state.best_loss:
        state.best_loss, state.best_step = loss, state.step
        save_best()
    if loss <= state.reference_loss - settings.min_improvement:
        state.reference_loss, state.waited = loss, 0
    else:
        state.waited += 1
        state.stopped_early = state.waited >= settings.patience


def _tensors(learnable: dict[str, nn.Parameter], optimiser: torch.optim.Optimizer) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {f"weight/{name}": parameter for name, parameter in learnable.items()}
    for name, parameter in learnable.items():
        tensors |= {f"{key}/{name}": value for key, value in optimiser.state[parameter].items()}
    return tensors


def _restore(learnable: dict[str, nn.Parameter], optimiser: torch.optim.Optimizer, keep: Keeper) -> State | None:
    found = keep.load_state()
    if found is None:
        return None
    state, tensors = found
    with torch.no_grad():
        for name, parameter in learnable.items():
            parameter.copy_(tensors.pop(f"weight/{name}"))
    for key, value in tensors.items():
        kind, name = key.split("/", 1)
        where = "cpu" if kind == "step" else learnable[name].device
        optimiser.state[learnable[name]][kind] = value.to(where)
    return state


@contextmanager
def _stop_asked() -> Iterator[threading.Event]:
    """Ctrl-C and SIGTERM set the event instead of striking in the middle of a step; the loop ends at the next one."""
    event = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield event
        return
    before = {s: signal.signal(s, lambda *_: event.set()) for s in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield event
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
