"""Does a map look where people looked? The field's metrics, batched over images, one value an image.

Conventions (and where the MIT benchmark or pysaliency differ) stand in each docstring. `attention` and `density` are
maps scaled to 0..1; `fixations` holds the fixations per pixel. An image without fixations or a constant map gives NaN.
Source of the definitions: Bylinskii, Judd, Oliva, Torralba & Durand (2019), IEEE TPAMI 41(3), 740-757.
"""

import torch
from jaxtyping import Float
from torch import Tensor

from gazetune.maps import min_max, sum_to_one

Maps = Float[Tensor, "image height width"]
Scores = Float[Tensor, " image"]
Shared = Float[Tensor, "#image height width"]  # one for all images, or one for each
EPSILON = 1e-10  # the paper's, added to both maps before the KL divergence


def cc(attention: Maps, density: Maps) -> Scores:
    """Pearson's correlation over pixels; -1..1, higher is better. MIT and pysaliency: the same."""
    a, b = (m.double() - m.double().mean(dim=(1, 2), keepdim=True) for m in (attention, density))
    return ((a * b).sum((1, 2)) / (a.square().sum((1, 2)) * b.square().sum((1, 2))).sqrt()).float()


def nss(attention: Maps, fixations: Maps, ddof: int = 0) -> Scores:
    """Normalised scanpath saliency: the mean z-score at the fixations, in SD of the map; higher is better.

    z uses the population SD (ddof=0, as Tuebingen and pysaliency); MIT divides by N-1: ddof=1. A pixel fixated twice
    counts twice. Peters, Iyer, Itti & Koch (2005).
    """
    maps = attention.double()
    spread = maps.flatten(1).std(dim=1, correction=ddof)
    z = (maps - maps.mean(dim=(1, 2), keepdim=True)) / spread[:, None, None]
    weights = fixations.double()
    return ((z * weights).sum((1, 2)) / weights.sum((1, 2))).float()


def auc(attention: Maps, positives: Shared, negatives: Shared) -> Scores:
    """Area under the ROC curve of the map's values, exact: P(positive > negative) + P(equal) / 2.

    `positives` and `negatives` are weights per pixel, 0 where a pixel is not in the sample.
    """
    values, order = attention.flatten(1).sort(dim=1)
    plus = positives.expand_as(attention).flatten(1).double().gather(1, order)
    minus = negatives.expand_as(attention).flatten(1).double().gather(1, order)
    below = minus.cumsum(1)  # weight of the negatives up to and including each place of the sorted map
    place = torch.arange(values.shape[1], device=values.device).expand_as(values)
    changes = values[:, 1:] != values[:, :-1]
    edge = torch.ones_like(changes[:, :1])
    # each run of equal values shares one rank: the weight below its first place, and half of the weight within it
    first = torch.where(torch.cat([edge, changes], 1), place, 0).cummax(1).values
    last = torch.where(torch.cat([changes, edge], 1), place, values.shape[1] - 1).flip(1).cummin(1).values.flip(1)
    up_to_last, before_first = below.gather(1, last), (below - minus).gather(1, first)
    won = (plus * (before_first + up_to_last) / 2).sum(1)
    result = won / (plus.sum(1) * minus.sum(1))
    return torch.where(values[:, -1] > values[:, 0], result, torch.nan).float()  # NaN sorts last


def auc_judd(attention: Maps, fixations: Maps) -> Scores:
    """AUC of fixated pixels against all other pixels; .5 is chance, higher is better.

    Exact and rank-based, ties count half, each fixated pixel once. MIT's trapezoid over thresholds at the fixations
    lies about 1/(2n) higher (+.003). Judd, Ehinger, Durand & Torralba (2009).
    """
    fixated = (fixations > 0).to(attention.dtype)
    return auc(attention, fixated, 1 - fixated)


def kl(attention: Maps, density: Maps, epsilon: float = EPSILON) -> Scores:
    """Kullback-Leibler divergence human || model in nats; 0 is perfect, lower is better.

    epsilon is added to both 0..1 maps before each is divided by its sum (the paper's); MIT instead regularises inside
    the logarithm with 2.2e-16. Differentiable: the attention term of the training objective is this value.
    """
    p, q = sum_to_one(density + epsilon), sum_to_one(attention + epsilon)
    return (p * (p / q).log()).sum((1, 2))


def sim(attention: Maps, density: Maps) -> Scores:
    """Similarity: the sum of pixelwise minima of the two maps, both 0..1, then sum 1; higher is better."""
    return torch.minimum(sum_to_one(min_max(attention)), sum_to_one(min_max(density))).sum((1, 2))


def entropy_bits(attention: Maps) -> Scores:
    """Shannon entropy of the 0..1 map divided by its sum, in bits; uniform over 224x224 is 15.615. Lower is sparser."""
    p = sum_to_one(attention.clamp(min=0).double())
    return torch.where(p > 0, -p * p.log2(), torch.where(p.isnan(), torch.nan, 0.0)).sum((1, 2)).float()


def sauc(attention: Maps, fixations: Maps, elsewhere: Shared) -> Scores:
    """Shuffled AUC: fixated pixels against where people fixate in other images; .5 is chance or pure centre bias.

    Positives are this image's fixated pixels (each once), negatives the fixations of other images (here: all training
    images), weighted by how often each pixel was fixated. So what every image shares earns nothing. Higher is better.
    Zhang, Tong, Marks, Shan & Cottrell (2008), Journal of Vision 8(7).
    """
    return auc(attention, (fixations > 0).to(attention.dtype), elsewhere)
