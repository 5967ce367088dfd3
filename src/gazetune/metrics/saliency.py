"""Does a map look where people looked? The field's metrics, batched over images, one value an image.

Conventions (and where the MIT benchmark or pysaliency differ, with the argument that follows them) stand in each
docstring. `attention` and `density` are maps scaled to 0..1; `fixations` holds the fixations per pixel. No
fixation or a constant map gives NaN. Sums run in the precision of the maps: float32 is good for 1e-6.
Source of the definitions: Bylinskii, Judd, Oliva, Torralba & Durand (2019), IEEE TPAMI 41(3), 740-757.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from gazetune.maps import CONSTANT, is_constant
from gazetune.metrics.information import distribution, entropy_bits, information_gain, kl, kl_reverse
from gazetune.metrics.ranks import auc, auc_judd, sauc

__all__ = [
    "auc", "auc_judd", "cc", "distribution", "entropy_bits", "information_gain", "kl", "kl_reverse", "nss",
    "partial_cc", "sauc", "sim",
]  # fmt: skip

Maps = Float[Tensor, "image height width"]
Scores = Float[Tensor, " image"]
Shared = Float[Tensor, "#image height width"]  # one for all images, or one for each
SAME = 1e-8  # share of a map's variance; less than this beyond the prior is rounding


def cc(attention: Maps, density: Maps) -> Scores:
    """Pearson's correlation over pixels; -1..1, higher is better.

    MIT: the same. pysaliency: the same, but 0 for a constant attention map, which is NaN here.
    """
    return _correlation(_centred(attention), _centred(density)).float()


def partial_cc(attention: Maps, density: Maps, prior: Shared) -> Scores:
    """Pearson's correlation of attention and density over pixels, given the prior; -1..1, higher is better.

    The correlation of what is left of both maps after a straight-line regression on the prior, which is
    (r_ad - r_ap r_dp) / sqrt((1 - r_ap^2) (1 - r_dp^2)). So a map that is the prior earns 0 (by definition: nothing is
    left of it). NaN where the human map is the prior itself. MIT and pysaliency have no such metric.
    """
    p = prior - prior.mean((1, 2), keepdim=True)
    a, d = _centred(attention), _centred(density)
    beyond_a, beyond_d = _residual(a, p), _residual(d, p)
    nothing_a, nothing_d = (_dot(r, r) <= SAME * _dot(m, m) for r, m in ((beyond_a, a), (beyond_d, d)))
    r = torch.where(nothing_a, 0.0, _correlation(beyond_a, beyond_d))
    return torch.where(nothing_d, torch.nan, r).float()


def nss(attention: Maps, fixations: Maps, ddof: int = 0, duplicates: bool = True) -> Scores:
    """Normalised scanpath saliency: the mean z-score at the fixations, in SD of the map; higher is better.

    mean of (value - mean) / SD. Peters, Iyer, Itti & Koch (2005).

    Args:
        attention: maps.
        fixations: fixations per pixel.
        ddof: 0: population SD (Tuebingen, pysaliency); 1: divided by N - 1 (MIT).
        duplicates: a pixel fixated twice counts twice (Tuebingen, pysaliency); MIT: once.
    """
    centred = _centred(attention)
    spread = _norm(centred) / (centred[0].numel() - ddof) ** 0.5
    weights = fixations if duplicates else (fixations > 0).to(attention.dtype)
    return (_dot(centred, weights) / weights.sum((1, 2)) / spread).float()


def sim(attention: Maps, density: Maps) -> Scores:
    """Similarity: the sum of pixelwise minima of the two maps, both 0..1, then sum 1; 0..1, higher is better.

    MIT: the same. pysaliency shifts a map only if it has negative values: the same for maps whose minimum is 0.
    """
    a, d = _from_zero(attention), _from_zero(density)
    a_total, d_total = a.sum((1, 2)), d.sum((1, 2))
    overlap = torch.minimum(a.mul_((d_total / a_total)[:, None, None]), d)  # both at the scale of the human map
    return (overlap.sum((1, 2)) / d_total).float()


def _centred(maps: Maps) -> Maps:
    """Each map less its mean; NaN where it is constant, of which rounding would leave a pattern."""
    mean = maps.mean((1, 2), keepdim=True)
    return maps - torch.where(is_constant(maps)[:, None, None], torch.nan, mean)


def _from_zero(maps: Maps) -> Maps:
    """Each map less its minimum; NaN where it is constant."""
    low, high = maps.amin((1, 2)), maps.amax((1, 2))
    constant = high - low <= CONSTANT * high.abs()
    return maps - torch.where(constant, torch.nan, low)[:, None, None]


def _dot(a: Shared, b: Shared) -> Float[Tensor, " #image"]:
    return (a * b).sum((1, 2))


def _norm(maps: Maps) -> Scores:
    return torch.linalg.vector_norm(torch.linalg.vector_norm(maps, dim=2), dim=1)  # by rows: ten times as precise


def _correlation(a: Maps, b: Maps) -> Scores:
    return _dot(a, b) / (_norm(a) * _norm(b))


def _residual(maps: Maps, prior: Shared) -> Maps:
    """What a regression on the prior leaves of centred maps; all of them if the prior is constant."""
    square = _dot(prior, prior)
    slope = torch.where(square == 0, 0.0, _dot(maps, prior) / square)
    return maps - slope[:, None, None] * prior
