"""How often a model is right about labelled images, as it stands in the middle of a training."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from gazetune import processes
from gazetune.backbones import Backbone, Output
from gazetune.data.decoded import Pixels, batch_of
from gazetune.errors import InputError, Interrupted
from gazetune.progress import track_all

FOLDS, C, MAX_ITER = 5, 0.01, 5000  # the rule of the linear probe

# what a model says of a batch, and which images these are -> scores of the classes
Answers = Callable[[Output, Int[np.ndarray, " batch"]], Float[Tensor, "batch classes"]]


@dataclass(frozen=True)
class Heads:
    """Linear heads on a frozen model, one a fold; `fold` says which of them has not seen an image."""

    weight: Float[Tensor, "fold classes dim"]
    bias: Float[Tensor, "fold classes"]
    fold: Int[Tensor, " image"]

    def __call__(self, output: Output, index: Int[np.ndarray, " batch"]) -> Float[Tensor, "batch classes"]:
        """The scores that each image gets from the head that has not seen it."""
        if output.representation is None:
            raise InputError("A model without a head must give its representation; this one has neither.")
        fold = self.fold[torch.from_numpy(index)]
        features = output.representation.float().cpu()
        return torch.einsum("bcd,bd->bc", self.weight[fold], features) + self.bias[fold]


def heads_on(features: Float[Tensor, "image dim"], labels: Int[np.ndarray, " image"]) -> Heads:
    """Linear heads fitted once: five folds, stratified, shuffled with seed 0; logistic regression, C = 0.01.

    Raises InputError for fewer than two classes or a class with fewer than five images.
    """
    from sklearn.linear_model import LogisticRegression  # takes a second to import, and few trainings need it
    from sklearn.model_selection import StratifiedKFold

    present, counts = np.unique(labels, return_counts=True)
    if len(present) < 2 or counts.min() < FOLDS:
        raise InputError(
            f"A linear head is fitted on {FOLDS} folds of the labelled images, so that at least two classes with "
            f"{FOLDS} images each are needed; there are {len(present)}, the smallest with {counts.min()}."
        )
    x, fold = features.double().numpy(), np.zeros(len(labels), dtype=np.int64)
    classes = int(labels.max()) + 1
    weight, bias = torch.zeros(FOLDS, classes, x.shape[1]), torch.full((FOLDS, classes), -torch.inf)
    parts = StratifiedKFold(FOLDS, shuffle=True, random_state=0).split(x, labels)
    for number, (seen, unseen) in enumerate(parts):
        fitted = LogisticRegression(C=C, max_iter=MAX_ITER).fit(x[seen], labels[seen])
        fold[unseen] = number
        one = len(fitted.classes_) == 2  # two classes have one row of weights, for the second of them
        rows = np.concatenate([-fitted.coef_, fitted.coef_]) / 2 if one else fitted.coef_
        offsets = np.concatenate([-fitted.intercept_, fitted.intercept_]) / 2 if one else fitted.intercept_
        weight[number, fitted.classes_] = torch.from_numpy(rows).float()
        bias[number, fitted.classes_] = torch.from_numpy(offsets).float()
    return Heads(weight, bias, torch.from_numpy(fold))


@torch.no_grad()
def asked(
    backbone: Backbone,
    pixels: Pixels,
    rows: Int[np.ndarray, " image"],
    answer: Answers,
    batch_size: int,
    stop: threading.Event | None = None,
) -> Float[Tensor, "image classes"]:
    """What a model answers to every image, in float32, whatever the precision of the training.

    Raises Interrupted if asked to stop.
    """
    device = next(backbone.model.parameters()).device

    def scores(start: int) -> Float[Tensor, "batch classes"]:
        if stop is not None and stop.is_set():
            raise Interrupted("Stopped while accuracy was measured; everything is saved. Go on with --resume.")
        index = np.arange(start, min(start + batch_size, len(rows)))
        return answer(backbone(batch_of(pixels, rows[index], device)), index).float().cpu()

    starts = range(0, len(rows), batch_size)
    return torch.cat(processes.dealt(scores, starts, partial(track_all, what="accuracy")))


def logits_of(output: Output, index: Int[np.ndarray, " batch"]) -> Float[Tensor, "batch classes"]:
    """The model's own head."""
    if output.logits is None:
        raise ValueError("no head")
    return output.logits


def representation_of(output: Output, index: Int[np.ndarray, " batch"]) -> Float[Tensor, "batch dim"]:
    """What a head would sit on. Raises InputError if the model does not show it."""
    if output.representation is None:
        raise InputError("training.accuracy_on needs a model with a classification head or with a representation.")
    return output.representation


def right(
    scores: Float[Tensor, "image classes"], answers: Int[np.ndarray, "image answer"]
) -> Bool[np.ndarray, " image"]:
    """Whether the class with the highest score is one of the right answers (filled up with -1)."""
    return (scores.argmax(1).numpy()[:, None] == answers).any(1)
