"""What a training holds on to beyond the paper's [CLS] states: logits, patch tokens, start weights, other photos."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor
from torch.nn.functional import mse_loss

from gazetune.backbones import Backbone, Output
from gazetune.data.decoded import Pixels, batch_of
from gazetune.errors import InputError
from gazetune.training.objective import Loss, logits_divergence, tokens_error, weights_distance
from gazetune.training.precision import autocast
from gazetune.training.settings import Training

Pair = tuple[Output, Output]  # what student and teacher say of the same images


@dataclass(frozen=True)
class Others:
    """The other photos: which of the decoded pixels are theirs."""

    pixels: Pixels
    rows: Int[np.ndarray, " photo"]


@dataclass(frozen=True)
class Preserve:
    """What the terms beyond the paper need.

    teacher: the frozen start, asked in every step: its patch tokens of all images would be 0.4 MB an image (ViT-S/14)
    on disk. start: the learnable parameters as they were. others: photos besides the fixation images.
    """

    teacher: Backbone | None = None
    start: Mapping[str, Tensor] = field(default_factory=dict)
    others: Others | None = None


def is_needed(settings: Training) -> bool:
    """Whether a training holds on to anything beyond the paper."""
    return asks_teacher(settings) or settings.lambda_l2 > 0


def asks_teacher(settings: Training) -> bool:
    """Whether the frozen start is needed during a training, besides its kept [CLS] states."""
    return settings.lambda_logits > 0 or settings.lambda_tokens > 0 or settings.distil_on is not None


def require_terms(backbone: Backbone, settings: Training, name: str) -> None:
    """Raises InputError if the model lacks what a term holds on to: logits without a head, patch tokens of a CNN."""
    if not settings.lambda_logits and not settings.lambda_tokens:
        return
    device = next(backbone.model.parameters()).device
    with torch.no_grad():
        output = backbone(torch.zeros(1, 3, *backbone.image_size, dtype=torch.uint8, device=device))
    if settings.lambda_logits and output.logits is None:
        raise InputError(
            f"training.lambda_logits holds on to a model's logits, and '{name}' has no classification head. Take "
            f"lambda_tokens, lambda_l2 or distil_on, or weights with a head."
        )
    if settings.lambda_tokens and output.tokens is None:
        raise InputError(
            f"training.lambda_tokens holds on to patch tokens, and '{name}' has none. Take lambda_logits, lambda_l2 or "
            f"distil_on, or a vision transformer."
        )


def others_at(step: int, n: int, batch_size: int, seed: int) -> Int[np.ndarray, " batch_size"]:
    """Which of n other photos take part in a step (counted from 0), a function of the seed and the step.

    One random order of all of them after the other; every batch is full. Their orders have a stream of random numbers
    of their own.
    """
    rounds, places = np.divmod(np.arange(step * batch_size, (step + 1) * batch_size), n)
    orders = {r: np.random.default_rng([seed, int(r), 1]).permutation(n) for r in np.unique(rounds)}
    return np.array([orders[r][p] for r, p in zip(rounds, places, strict=True)])


def preserved(
    loss: Loss,
    student: Backbone,
    images: UInt8[Tensor, "batch 3 height width"],
    output: Output,
    preserve: Preserve,
    settings: Training,
    others: Int[np.ndarray, " other"] | None = None,
) -> Loss:
    """The loss with the terms beyond the paper.

    With other photos, what is held on to (the [CLS] state, logits, patch tokens) is the mean over these and the
    fixation images alike; only the attention term is of the fixation images alone. Terms of weight 0 are not computed.
    """
    pairs: list[Pair] = []
    if preserve.teacher is not None and (settings.lambda_logits or settings.lambda_tokens):
        pairs.append((output, _asked(preserve.teacher, images, settings)))
    distillation = loss.distillation
    if others is not None and preserve.others is not None and preserve.teacher is not None:
        photos = batch_of(preserve.others.pixels, preserve.others.rows[others], images.device)
        with autocast(images.device, settings.precision):
            seen = student(photos)
        pairs.append((seen, _asked(preserve.teacher, photos, settings)))
        error = mse_loss(seen.feature.float(), pairs[-1][1].feature.float())
        distillation = _pooled([distillation, error], [len(images), len(photos)])
    beyond: dict[str, tuple[float, Float[Tensor, ""]]] = {}
    if settings.lambda_logits:
        beyond["logits"] = (settings.lambda_logits, _over(pairs, _logits))
    if settings.lambda_tokens:
        beyond["tokens"] = (settings.lambda_tokens, _over(pairs, _tokens))
    if settings.lambda_l2:
        beyond["l2"] = (settings.lambda_l2, weights_distance(student.learnable(), preserve.start))
    return replace(loss, distillation=distillation, beyond=beyond)


@torch.no_grad()
def _asked(teacher: Backbone, images: UInt8[Tensor, "batch 3 height width"], settings: Training) -> Output:
    with autocast(images.device, settings.precision):
        return teacher(images)


def _over(pairs: Sequence[Pair], error: Callable[[Output, Output], Float[Tensor, ""]]) -> Float[Tensor, ""]:
    return _pooled([error(*pair) for pair in pairs], [len(student.feature) for student, _ in pairs])


def _pooled(means: Sequence[Float[Tensor, ""]], counts: Sequence[int]) -> Float[Tensor, ""]:
    """The mean over all images from the means of their batches."""
    total = torch.stack([mean * n for mean, n in zip(means, counts, strict=True)]).sum()
    return total / sum(counts)


def _logits(student: Output, teacher: Output) -> Float[Tensor, ""]:
    if student.logits is None or teacher.logits is None:
        raise ValueError("no head; see require_terms")
    return logits_divergence(student.logits.float(), teacher.logits.float())


def _tokens(student: Output, teacher: Output) -> Float[Tensor, ""]:
    if student.tokens is None or teacher.tokens is None:
        raise ValueError("no tokens; see require_terms")
    return tokens_error(student.tokens.float(), teacher.tokens.float(), student.prefix)
