"""The loss of images: what student and teacher say of them, put into the objective; its mean over a split."""

import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gazetune import processes
from gazetune.attention import Method
from gazetune.backbones import Backbone, Kept
from gazetune.data.decoded import Pixels, batch_of, room_for
from gazetune.errors import Interrupted
from gazetune.files import move
from gazetune.progress import track
from gazetune.training.objective import Loss, objective
from gazetune.training.precision import autocast
from gazetune.training.preservation import Preserve, preserved
from gazetune.training.settings import Training
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


def teacher_features(
    teacher: Backbone,
    pixels: Pixels,
    rows: Int[np.ndarray, " image"],
    settings: Training,
    device: torch.device,
    kept: Kept = "read",
) -> Iterator[Float[Tensor, "batches dim"]]:
    """The frozen model's [CLS] state of every image, computed once, a batch of each process at a time."""

    def features(start: int) -> Float[Tensor, "batch dim"]:
        images = batch_of(pixels, rows[start : start + settings.batch_size], device)
        with torch.no_grad(), autocast(device, settings.precision):
            return teacher(images, kept).feature.float().cpu()

    starts, together = range(0, len(rows), settings.batch_size), processes.count()
    rounds = [starts[first : first + together] for first in range(0, len(starts), together)]
    for some in track(rounds, "teacher", total=len(rounds)):
        yield torch.cat(processes.dealt(features, some))


def keep_features(path: Path, parts: Iterable[Float[Tensor, "batches dim"]], n: int) -> None:
    """Write the features of n images, at least one, to an .npy file: 4 bytes a dimension, 4 GB for all of ImageNet.

    The file is written beside and renamed when whole; of several processes, the main one writes. Raises GazetuneError
    where the disk has no room for it.
    """
    beside, done = path.with_name(f".{path.name}.part"), 0
    kept: list[np.memmap] = []

    def put(part: Float[Tensor, "batches dim"], first: int) -> None:
        if not kept:
            path.parent.mkdir(parents=True, exist_ok=True)
            kept.append(room_for(beside, (n, part.shape[1]), np.float32))
        kept[0][first : first + len(part)] = part.numpy()

    def finish() -> None:
        kept[0].flush()
        move(beside, path)

    for part in parts:
        processes.on_main(partial(put, part, done))
        done += len(part)
    if done != n or not n:
        raise ValueError(f"needed the features of {n} images; got {done}")
    processes.on_main(finish)


def open_features(path: Path) -> Float[Tensor, "image dim"]:
    """What `keep_features` wrote, mapped from disk: memory holds only what is being used."""
    # copy on write, or torch would warn of an array that cannot be written to; nothing is
    return torch.from_numpy(np.load(path, mmap_mode="c", allow_pickle=False))


def kept_of(settings: Training) -> Kept:
    """What is kept of the attention: all tokens of the last block only where they are held on to.

    Teacher and student keep the same, so that their features are the same bit for bit before the first step.
    """
    return "mean" if settings.lambda_tokens else "read"


def loss_of(
    student: Backbone,
    part: Part,
    index: Int[np.ndarray, " batch"],
    attend: Method,
    settings: Training,
    preserve: Preserve | None = None,
    others: Int[np.ndarray, " other"] | None = None,
) -> Loss:
    """The objective on these images of a split; `others`: positions of the other photos that are held on to as well."""
    device = next(student.model.parameters()).device
    images = batch_of(part.pixels, part.rows[index], device)
    if attend.keeps == "read":
        attend = replace(attend, keeps=kept_of(settings))
    with autocast(device, settings.precision):
        output = attend.forward(student, images)
    teacher = part.teacher[torch.from_numpy(index)].to(device)
    targets = part.targets(index).to(device)
    classes = None if part.classes is None else part.classes[torch.from_numpy(index)].to(device)
    loss = objective(output.feature.float(), teacher, attend.of(output, classes), targets, settings.lambda_attention)
    return loss if preserve is None else preserved(loss, student, images, output, preserve, settings, others)


@torch.no_grad()
def evaluate(
    student: Backbone,
    part: Part,
    attend: Method,
    settings: Training,
    stop: threading.Event | None = None,
    preserve: Preserve | None = None,
) -> dict[str, float]:
    """The mean loss over a split and its terms: `loss`, `distillation`, `attention` and what is beyond the paper.

    Raises Interrupted if asked to stop.
    """

    def terms(start: int) -> tuple[int, dict[str, float]]:
        index = np.arange(start, min(start + settings.batch_size, len(part.rows)))
        if stop is not None and stop.is_set():
            raise Interrupted("Stopped during an evaluation; everything is saved. Go on with --resume.")
        return len(index), loss_of(student, part, index, attend, settings, preserve).terms()

    sums: dict[str, float] = {}
    for n, found in processes.dealt(terms, range(0, len(part.rows), settings.batch_size)):
        sums = {name: sums.get(name, 0.0) + n * value for name, value in found.items()}
    return {name: value / len(part.rows) for name, value in sums.items()}
