"""The training loop: steps, evaluations and early stopping."""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np
import torch
from jaxtyping import Int

from gazetune import processes
from gazetune.attention import Method
from gazetune.backbones import Backbone
from gazetune.errors import GazetuneError, Interrupted
from gazetune.progress import say, track
from gazetune.training.batch_norm import by_the_batch, moving_norms, statistics_of
from gazetune.training.loss import Part, evaluate, loss_of
from gazetune.training.objective import Loss
from gazetune.training.precision import resolved_precision
from gazetune.training.preservation import Preserve, others_at
from gazetune.training.settings import Training
from gazetune.training.shares import averaging, by_main, share_of
from gazetune.training.state import Keeper, State, restore, tensors_of

__all__ = ["Keeper", "Part", "State", "order_of", "resolved_precision", "tune"]

Keeping = Callable[[], dict[str, str] | None]  # of the best weights: the files with their sha256, where there are any
Accuracy = Callable[[threading.Event], float]  # the share of right answers of the student as it is


def order_of(epoch: int, n: int, seed: int) -> Int[np.ndarray, " n"]:
    """The order of the images in an epoch, a function of the seed and the epoch."""
    return np.random.default_rng([seed, epoch]).permutation(n)


def tune(
    student: Backbone,
    train: Part,
    validation: Part,
    attend: Method,
    settings: Training,
    seed: int,
    keep: Keeper,
    preserve: Preserve | None = None,
    accuracy: Accuracy | None = None,
) -> State:
    """Tune the learnable parameters of `student` in place; its best weights reach `keep.save_best`.

    Evaluates at step 0, every `evaluate_every` steps and at the end. Stops early when `patience` evaluations in a
    row did not lower the validation loss by `min_improvement`. The best weights are those of the lowest validation
    loss; with `accuracy`, of the lowest among the evaluations that lose at most `max_accuracy_loss` points of it.
    A stop by Ctrl-C or SIGTERM saves the state and raises Interrupted; a state found by `keep` is gone on from.
    Statistics of batch norms that move do so in the steps; every evaluation uses the running ones. Several processes
    take a share of each batch: batch_size is that of all together.
    """
    learnable = student.learnable()
    for name, parameter in student.model.named_parameters():
        parameter.requires_grad_(name in learnable)
    optimiser = torch.optim.AdamW(learnable.values(), lr=settings.lr, weight_decay=settings.weight_decay, fused=True)
    norms, keep = moving_norms(student, settings), by_main(keep)
    statistics = statistics_of(norms)
    state = restore(learnable, optimiser, statistics, keep) or State()
    last = settings.steps(len(train.rows))
    note: list[str] = []

    def ask(index: Int[np.ndarray, " batch"]) -> Loss:
        others = _others(state.step, settings, seed, preserve)
        with by_the_batch(norms.values()):
            return loss_of(student, train, index, attend, settings, preserve, others)

    def save() -> None:
        keep.save_state(state, tensors_of(learnable, optimiser, statistics))

    def look() -> None:
        save()  # an evaluation can take long: what was learnt is safe before it
        losses = evaluate(student, validation, attend, settings, stop, preserve)
        if not math.isfinite(losses["loss"]):
            raise GazetuneError(f"The validation loss of step {state.step} is not a number. Lower training.lr.")
        note.append(f"validation loss {losses['loss']:.4f}")
        right = _right(state, settings, accuracy(stop), note) if accuracy else {}
        keep.log({"step": state.step, "split": "validation", **losses, **right})
        _judge(state, losses["loss"], settings, keep.save_best)
        save()

    def is_due() -> bool:
        due = state.step % settings.evaluate_every == 0 or state.step == last
        return due and str(state.step) not in state.evaluated

    with _stop_asked() as stop:
        if is_due():
            look()
        saved, ask_together = time.monotonic(), averaging(student.model, ask)
        for index in track(_batches(state, len(train.rows), last, settings, seed), "training", last, state.step, note):
            share, weight = share_of(index)
            keep.log(_step(optimiser, state, partial(ask_together, share), weight, settings.max_grad_norm))
            looks = is_due()
            if looks:
                look()  # which saves
            late = time.monotonic() - saved > settings.checkpoint_seconds
            asked = processes.mean({"stop": float(stop.is_set()), "save": float(late)})  # what is asked of one, all do
            if not looks and (asked["stop"] or asked["save"]):
                save()
                saved = time.monotonic()
            if asked["stop"]:
                raise Interrupted(f"Stopped at step {state.step} of {last}; everything is saved. Go on with --resume.")
    _say_what_is_kept(state, settings)
    return state


def _step(
    optimiser: torch.optim.Optimizer, state: State, ask: Callable[[], Loss], weight: float, longest: float | None
) -> dict[str, float | int | str]:
    """One step of the optimiser along a gradient of at most this length, on a share of this weight; what to log of it,
    over all shares."""
    start, loss = time.monotonic(), ask()
    terms = processes.mean(loss.terms(), weight)
    if not math.isfinite(terms["loss"]):
        raise GazetuneError(f"The loss of step {state.step + 1} is not a number. Lower training.lr and start anew.")
    optimiser.zero_grad(set_to_none=True)
    (weight * loss.total).backward()
    if longest is not None:
        learnt = [p for group in optimiser.param_groups for p in group["params"]]
        if not torch.isfinite(torch.nn.utils.clip_grad_norm_(learnt, longest)):
            raise GazetuneError(
                f"The gradient of step {state.step + 1} is not a number. Lower training.lr and start anew."
            )
    optimiser.step()
    state.step += 1
    return {"step": state.step, "split": "train", **terms, "seconds": round(time.monotonic() - start, 4)}


def _batches(state: State, n: int, last: int, settings: Training, seed: int) -> Iterator[Int[np.ndarray, " batch"]]:
    """The batches from where the state stands to the last step; ends when training has stopped early."""
    per_epoch = -(-n // settings.batch_size)
    while state.step < last and not state.stopped_early:
        epoch, place = divmod(state.step, per_epoch)
        yield order_of(epoch, n, seed)[place * settings.batch_size : (place + 1) * settings.batch_size]


def _others(step: int, settings: Training, seed: int, preserve: Preserve | None) -> Int[np.ndarray, " batch"] | None:
    """Which other photos take part in this step; None where there are none."""
    if preserve is None or preserve.others is None:
        return None
    return others_at(step, len(preserve.others.rows), settings.batch_size, seed)


def _right(state: State, settings: Training, accuracy: float, note: list[str]) -> dict[str, float | int | str]:
    """Take in the accuracy of an evaluation and whether its weights may be kept; what to log of it."""
    state.accuracy[str(state.step)] = accuracy
    lost = 100 * (state.accuracy["0"] - accuracy)
    note.append(f"accuracy {accuracy:.1%}")
    if settings.max_accuracy_loss is None:
        return {"accuracy": accuracy}
    if lost > settings.max_accuracy_loss + 1e-9:  # one image of 1,000 lost is .1 points, but for rounding
        state.refused.append(state.step)
    return {"accuracy": accuracy, "refused": state.step in state.refused}


def _judge(state: State, loss: float, settings: Training, save_best: Keeping) -> None:
    state.evaluated[str(state.step)] = loss
    if loss < state.best_loss and state.step not in state.refused:
        state.best_loss, state.best_step = loss, state.step
        state.best_files = save_best() or {}
    if loss <= state.reference_loss - settings.min_improvement:
        state.reference_loss, state.waited = loss, 0
    else:
        state.waited += 1
        state.stopped_early = state.waited >= settings.patience


def _say_what_is_kept(state: State, settings: Training) -> None:
    """Say aloud if the stop rule left nothing but the start weights."""
    if state.refused and len(state.refused) == len(state.evaluated) - 1:
        say(
            f"warning: every evaluation after step 0 lost more than {settings.max_accuracy_loss:g} points of accuracy "
            f"on '{settings.accuracy_on}'; the start weights are what is kept. Evaluate more often "
            f"(training.evaluate_every), lower training.lr or lambda_attention, or hold on to more (docs/training.md)."
        )


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
