"""The AUC family: does a map rank the pixels where people looked above others? Exact, with ties, batched over images.

All of these need the values of a few hundred fixated pixels among the sorted values of a map, so a map is sorted once
and each fixated value is looked up twice: the weight below it, and the weight up to and including its equals.
"""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn.functional import pad

from gazetune.maps import is_constant

Maps = Float[Tensor, "image height width"]
Scores = Float[Tensor, " image"]
Shared = Float[Tensor, "#image height width"]  # one for all images, or one for each
Flat = Float[Tensor, "image pixel"]
Sample = Float[Tensor, "image fixated"]


def auc(attention: Maps, positives: Shared, negatives: Shared) -> Scores:
    """Area under the ROC curve of the map's values, exact: P(positive > negative) + P(equal) / 2.

    `positives` and `negatives` are weights per pixel, 0 where a pixel is not in the sample; a pixel may be in both.
    """
    flat = attention.detach().flatten(1).contiguous()
    minus = negatives.expand_as(attention).flatten(1).double()
    values, order = _sorted(flat)
    below = pad(minus.gather(1, order).cumsum(1), (1, 0))  # weight of the negatives among the k lowest pixels
    seen, weight = _sample(flat, positives.expand_as(attention).flatten(1))
    lower, up_to = (below.gather(1, torch.searchsorted(values, seen, right=right)) for right in (False, True))
    area = (weight * (lower + up_to)).sum(1) / 2 / (weight.sum(1) * minus.sum(1))
    return _unless_constant(area, attention)


def auc_judd(
    attention: Maps,
    fixations: Maps,
    duplicates: bool = False,
    negatives: Literal["rest", "all"] = "rest",
    mit: bool = False,
) -> Scores:
    """AUC of fixated pixels against all other pixels; .5 is chance, 0..1, higher is better.

    P(fixated > other) + P(equal) / 2, exact and rank-based. Judd, Ehinger, Durand & Torralba (2009).

    Args:
        attention: maps; only the order of their values counts.
        fixations: fixations per pixel.
        duplicates: a pixel fixated twice counts twice. MIT: no. pysaliency: yes.
        negatives: `rest`: the pixels never fixated (MIT; pysaliency's AUC_Judd, `unfixated`); `all`: every pixel, the
            fixated ones too (pysaliency's default, `uniform`).
        mit: the trapezoid under thresholds at the fixated values only, as MIT's AUC_Judd.m and pysaliency's AUC_Judd;
            about 1/(2n) higher for n fixations. Both also add noise of 1e-7 against ties (`jitter`); we never do.
    """
    flat = attention.detach().flatten(1).contiguous()
    values = _ascending(flat)
    seen, weight = _sample(flat, fixations.flatten(1))
    fixated = (weight > 0).double()
    weight = weight if duplicates else fixated
    lower, up_to = (torch.searchsorted(values, seen, right=right).double() for right in (False, True))
    first = torch.searchsorted(seen, seen)  # fixated pixels below each
    total = fixated.new_full((len(flat), 1), flat.shape[1])
    if negatives == "rest":
        lower, up_to = lower - first, up_to - torch.searchsorted(seen, seen, right=True)
        total = total - fixated.sum(1, keepdim=True)
    if mit:
        area = _trapezoid(1 - lower / total, 1 - pad(weight.cumsum(1), (1, 0)).gather(1, first) / _total(weight))
    else:
        area = (weight * (lower + up_to)).sum(1) / 2 / (weight.sum(1) * total[:, 0])
    return _unless_constant(area, attention)


def sauc(attention: Maps, fixations: Maps, elsewhere: Shared, duplicates: bool = False) -> Scores:
    """Shuffled AUC: fixated pixels against where people fixate in other images; .5 is chance or pure centre bias.

    Positives are this image's fixated pixels (each once; `duplicates`: as often as fixated, as pysaliency), negatives
    the fixations of other images (here: all training images; pysaliency: all other images of the data set), weighted by
    how often each pixel was fixated. So what every image shares earns nothing. MIT and others draw random samples of
    the negatives; all of them, weighted, need no seed. 0..1, higher is better.
    Zhang, Tong, Marks, Shan & Cottrell (2008), Journal of Vision 8(7).
    """
    return auc(attention, fixations if duplicates else (fixations > 0).to(attention.dtype), elsewhere)


def _total(weight: Sample) -> Float[Tensor, "image 1"]:
    return weight.sum(1, keepdim=True)


def _trapezoid(false_positives: Sample, hits: Sample) -> Float[Tensor, " image"]:
    """Area under the rates at ascending thresholds, from (1, 1) down to (0, 0)."""
    x, y = (torch.cat([torch.ones_like(r[:, :1]), r, torch.zeros_like(r[:, :1])], 1) for r in (false_positives, hits))
    return -torch.trapezoid(y, x, dim=1)


def _unless_constant(area: Float[Tensor, " image"], attention: Maps) -> Scores:
    return torch.where(is_constant(attention) | attention.isnan().any(dim=(1, 2)), torch.nan, area).float()


def _ascending(flat: Flat) -> Flat:
    """The values of each map, sorted. numpy does it with vector instructions, ten times as fast as torch on a CPU."""
    return torch.from_numpy(np.sort(flat.numpy(), axis=1)) if flat.device.type == "cpu" else flat.sort(dim=1).values


def _sorted(flat: Flat) -> tuple[Flat, Int[Tensor, "image pixel"]]:
    if flat.device.type != "cpu":
        return flat.sort(dim=1)
    order = torch.from_numpy(np.argsort(flat.numpy(), axis=1))
    return flat.gather(1, order), order


def _sample(flat: Flat, weights: Flat) -> tuple[Sample, Float[Tensor, "image fixated"]]:
    """The values of the pixels that have a weight, ascending, and their weights; filled up with (infinity, 0)."""
    image, pixel = weights.nonzero(as_tuple=True)
    number = image.bincount(minlength=len(flat))
    place = torch.arange(len(image), device=flat.device) - (number.cumsum(0) - number)[image]
    values = flat.new_full((len(flat), int(number.max())), torch.inf)
    weight = torch.zeros_like(values, dtype=torch.float64)
    values[image, place] = flat[image, pixel]
    weight[image, place] = weights[image, pixel].double()
    values, order = values.sort(dim=1)
    return values, weight.gather(1, order)
