"""The AUC family: does a map rank the pixels where people looked above others? Exact, with ties, batched over images.

The area is a mean over the negatives: of a step function of their value, the share of the positives that lie above it,
with steps at the few hundred fixated values. So no map is sorted. The range of its values is cut into equal bins; in
nearly all of them the function is constant and is looked up by bin, and only the pixels that share a bin with a fixated
value are compared with it. The plain version by a full sort is the reference in tests/test_saliency.py.
"""

from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.functional import pad

from gazetune.maps import is_constant

Maps = Float[Tensor, "image height width"]
Scores = Float[Tensor, " image"]
Shared = Float[Tensor, "#image height width"]  # one for all images, or one for each
Flat = Float[Tensor, "image pixel"]
Sample = Float[Tensor, "image fixated"]
Places = tuple[Int[Tensor, " place"], Int[Tensor, " place"]]  # image and pixel

BINS = 65536  # 450 fixated values share theirs with about 400 other pixels of 50,176; the table fits into the cache
UNKNOWN = 2.0  # in place of a share


def auc(attention: Maps, positives: Shared, negatives: Shared) -> Scores:
    """Area under the ROC curve of the map's values, exact: P(positive > negative) + P(equal) / 2.

    `positives` and `negatives` are weights per pixel, 0 where a pixel is not in the sample; a pixel may be in both.
    """
    flat = _flat(attention)
    weights = positives.expand_as(attention).flatten(1)
    minus = negatives.flatten(1).to(flat.dtype)
    shares = _shares_above(flat, weights, _places(weights, 0.0))
    return _unless_constant((shares * minus).sum(1) / minus.sum(1), attention)


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
    flat, weights = _flat(attention), fixations.flatten(1)
    fixated = _places(weights, 0.0)
    shares = _shares_above(flat, weights, fixated, duplicates, mit, skip=negatives == "rest")
    total = flat.shape[1] - (fixated[0].bincount(minlength=len(flat)) if negatives == "rest" else 0)
    return _unless_constant(shares.sum(1) / total, attention)


def sauc(attention: Maps, fixations: Maps, elsewhere: Shared, duplicates: bool = False) -> Scores:
    """Shuffled AUC: fixated pixels against where people fixate in other images; .5 is chance or pure centre bias.

    Positives are this image's fixated pixels (each once; `duplicates`: as often as fixated, as pysaliency), negatives
    the fixations of other images (here: all training images; pysaliency: all other images of the data set), weighted by
    how often each pixel was fixated. So what every image shares earns nothing. MIT and others draw random samples of
    the negatives; all of them, weighted, need no seed. 0..1, higher is better.
    Zhang, Tong, Marks, Shan & Cottrell (2008), Journal of Vision 8(7).
    """
    return auc(attention, fixations if duplicates else (fixations > 0).to(attention.dtype), elsewhere)


def _shares_above(
    flat: Flat, weights: Flat, fixated: Places, duplicates: bool = True, mit: bool = False, skip: bool = False
) -> Flat:
    """For each pixel the share of the fixations that lie above its value, equal ones counted half.

    `mit`: of those at the next lower fixated value, too, a half counts: the trapezoid under thresholds at the fixated
    values only. `skip`: 0 at the fixated pixels. NaN in maps without a fixation.
    """
    values, pixel, real = _ascending(flat, fixated)
    weight = torch.where(real, weights.gather(1, pixel).double() if duplicates else 1.0, 0.0)
    above = 1 - pad(weight.cumsum(1), (1, 0)) / weight.sum(1, keepdim=True)  # all but the k lowest
    first = torch.searchsorted(values, values)
    halved = pad((above.gather(1, first) + above[:, 1:]) / 2, (1, 0), value=1.0)  # half of the k-th and its equals, too
    above, halved = above.to(flat.dtype), halved.to(flat.dtype)
    # by bin, then exactly for the pixels that share theirs with a fixated value
    low, scale = _binning(flat)
    edges = pad(_bins(values, low, scale), (1, 1), value=BINS - 1)
    edges[:, 0] = -1
    lengths = edges.diff(dim=1).flatten()
    table = _repeated((halved if mit else above).flatten(), lengths).view(-1, BINS)
    table.scatter_(1, edges[:, 1:-1], UNKNOWN)
    shares = table.gather(1, _bins(flat, low, scale))
    if skip:
        shares[fixated] = 0.0
    image, pixel = _places(shares, 1.0)
    place, number = _within(image, len(flat))
    close = flat.new_zeros(len(flat), max(1, int(number.max())))
    close[image, place] = flat[image, pixel]
    k = torch.searchsorted(values, close, right=True).clamp(max=real.sum(1, keepdim=True))
    found = halved.gather(1, k)
    if not mit:
        equal = values.gather(1, (k - 1).clamp(min=0)) == close
        found = torch.where(equal & (k > 0), found, above.gather(1, k))
    shares[image, pixel] = found[image, place]
    return shares


def _binning(flat: Flat) -> tuple[Float[Tensor, "image 1"], Float[Tensor, "image 1"]]:
    """Each map's lowest value, and bins per unit; 0 where equal bins are impossible (NaN, infinity, constant)."""
    low = flat.amin(1, keepdim=True)
    spread = flat.amax(1, keepdim=True) - low
    scale = (BINS - 1) / spread
    return low, torch.where(spread.isfinite() & scale.isfinite(), scale, 0.0)


def _bins(values: Flat, low: Float[Tensor, "image 1"], scale: Float[Tensor, "image 1"]) -> Int[Tensor, "image pixel"]:
    """The bin of each value: never a lower one for a higher value. Where equal bins are impossible all are in bin 0."""
    scaled = (values - low).mul_(scale).clamp_(max=BINS - 1)
    if not scale.all():
        scaled = torch.where(scale == 0, 0.0, scaled)
    return scaled.long()


def _repeated(shares: Float[Tensor, " step"], lengths: Int[Tensor, " step"]) -> Float[Tensor, " bin"]:
    """Each share as often as its length; numpy needs a quarter of torch's time on a CPU."""
    if shares.device.type != "cpu":
        return shares.repeat_interleave(lengths)
    return torch.from_numpy(np.repeat(shares.numpy(), lengths.numpy()))


def _flat(attention: Maps) -> Flat:
    flat = attention.detach().flatten(1)
    return flat if flat.dtype == torch.float64 else flat.float()


def _unless_constant(area: Float[Tensor, " image"], attention: Maps) -> Scores:
    return torch.where(is_constant(attention) | attention.amin((1, 2)).isnan(), torch.nan, area).float()


def _places(maps: Flat, bound: float) -> Places:
    """Image and pixel of all values above a bound; numpy finds them in a quarter of torch's time on a CPU."""
    if maps.device.type != "cpu":
        image, pixel = (maps > bound).nonzero(as_tuple=True)
        return image, pixel
    place = torch.from_numpy(np.flatnonzero(maps.numpy() > bound))
    image = place.div(maps.shape[1], rounding_mode="floor")
    return image, place - image * maps.shape[1]


def _ascending(
    flat: Flat, places: Places
) -> tuple[Sample, Int[Tensor, "image fixated"], Bool[Tensor, "image fixated"]]:
    """The values of these pixels map by map, ascending, the pixels, and which are real: filled up with (infinity, 0).

    numpy sorts with vector instructions, several times as fast as torch on a CPU.
    """
    image, pixel = places
    place, number = _within(image, len(flat))
    values = flat.new_full((len(flat), max(1, int(number.max()))), torch.inf)
    pixels = torch.zeros_like(values, dtype=torch.int64)
    values[image, place], pixels[image, place] = flat[image, pixel], pixel
    order = torch.from_numpy(np.argsort(values.numpy(), axis=1)) if flat.device.type == "cpu" else values.argsort(1)
    real = torch.arange(values.shape[1], device=flat.device) < number[:, None]
    return values.gather(1, order), pixels.gather(1, order), real


def _within(image: Int[Tensor, " place"], images: int) -> tuple[Int[Tensor, " place"], Int[Tensor, " image"]]:
    """Each place's position among those of its image (images in order), and how many each image has."""
    number = image.bincount(minlength=images)
    return torch.arange(len(image), device=image.device) - (number.cumsum(0) - number)[image], number
