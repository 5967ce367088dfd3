"""The loss of images: what student and teacher say of them, put into the objective; its mean over a split."""

import threading
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gazetune.attention import Method
from gazetune.backbones import Backbone, Kept
from gazetune.data.decoded import Pixels, batch_of
from gazetune.errors import Interrupted
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
) -> Float[Tensor, "image dim"]:
    """The frozen model's [CLS] state of every image, computed once; 4 bytes a dimension, kept in memory."""
    features = []
    starts = range(0, len(rows), settings.batch_size)
    with torch.no_grad(), autocast(device, settings.precision):
        for start in track(starts, "teacher", total=len(starts)):
            images = batch_of(pixels, rows[start : start + settings.batch_size], device)
            features.append(teacher(images, kept).feature.float().cpu())
    return torch.cat(features)


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
    sums: dict[str, float] = {}
    for start in range(0, len(part.rows), settings.batch_size):
        index = np.arange(start, min(start + settings.batch_size, len(part.rows)))
        if stop is not None and stop.is_set():
            raise Interrupted("Stopped during an evaluation; everything is saved. Go on with --resume.")
        terms = loss_of(student, part, index, attend, settings, preserve).terms()
        sums = {name: sums.get(name, 0.0) + len(index) * value for name, value in terms.items()}
    return {name: value / len(part.rows) for name, value in sums.items()}
