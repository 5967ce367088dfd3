"""The loss of images: what student and teacher say of them, put into the objective; its mean over a split."""

import threading
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gazetune import processes
from gazetune.attention import Method
from gazetune.backbones import Backbone
from gazetune.data.decoded import Pixels, batch_of
from gazetune.errors import Interrupted
from gazetune.progress import track_all
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
    teacher: Backbone, pixels: Pixels, rows: Int[np.ndarray, " image"], settings: Training, device: torch.device
) -> Float[Tensor, "image dim"]:
    """The frozen model's [CLS] state of every image, computed once; 4 bytes a dimension, kept in memory."""
    starts = range(0, len(rows), settings.batch_size)

    def features(start: int) -> Float[Tensor, "batch dim"]:
        images = batch_of(pixels, rows[start : start + settings.batch_size], device)
        return teacher(images).feature.float().cpu()

    with torch.no_grad(), autocast(device, settings.precision):
        return torch.cat(processes.dealt(features, starts, partial(track_all, what="teacher")))


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
