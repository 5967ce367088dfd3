"""Maps as distributions over pixels: divergences, entropy, and the information they hold about where people look."""

import math

import torch
from jaxtyping import Float
from torch import Tensor

Maps = Float[Tensor, "image height width"]
Scores = Float[Tensor, " image"]
Shared = Float[Tensor, "#image height width"]  # one for all images, or one for each
EPSILON = 1e-10  # the paper's, added to both maps before the KL divergence
MIT_EPSILON = 2.2204e-16  # the spacing of float64 at 1, which MIT's MATLAB code adds inside its logarithms
UNIFORM = 1e-3  # share of the uniform distribution in both sides of the information gain


def distribution(maps: Shared, epsilon: float = 0.0) -> Shared:
    """Each map + epsilon, divided by its sum; NaN for a map with a negative value, which is no distribution."""
    shifted = maps + epsilon
    return shifted / _total(shifted, maps)[:, None, None]


def _total(shifted: Shared, maps: Shared) -> Float[Tensor, " #image"]:
    return torch.where(maps.amin((1, 2)) < 0, torch.nan, shifted.sum((1, 2)))


def kl(attention: Maps, density: Maps, epsilon: float = EPSILON, mit: bool = False) -> Scores:
    """Kullback-Leibler divergence human || model in nats: sum p ln(p / q); 0 is perfect, lower is better.

    epsilon is added to both 0..1 maps before each is divided by its sum (the paper's). `mit`: the formula of MIT's
    KLdiv.m and pysaliency's MIT_KLDiv, sum p ln(e + p / (q + e)) with e = 2.2204e-16 and nothing added to the maps.
    A map with a negative value gives NaN; pysaliency shifts it to 0. Differentiable: the attention term of the training
    objective is this value.
    """
    if mit:
        p, q = distribution(density), distribution(attention)
        return (p * (MIT_EPSILON + p / (q + MIT_EPSILON)).log()).sum((1, 2))
    # sum p ln(p / q) with the divisors of p and q outside the sum: half of the passes over the maps
    p, q = density + epsilon, attention + epsilon
    p_total, q_total = _total(p, density), _total(q, attention)
    return ((p / q).log_().mul_(p)).sum((1, 2)) / p_total + (q_total / p_total).log()


def kl_reverse(attention: Maps, density: Maps, epsilon: float = EPSILON, mit: bool = False) -> Scores:
    """Kullback-Leibler divergence model || human in nats: sum q ln(q / p); 0 is perfect, lower is better.

    It punishes attention where nobody looks, `kl` the lack of it where people look. Far from all fixations the human
    map is 0, so this value depends on epsilon: about -ln(epsilon) times the attention there. Arguments as for `kl`.
    MIT reports human || model only; pysaliency: image_based_kl_divergence with its arguments exchanged.
    """
    return kl(density, attention, epsilon, mit)


def information_gain(
    attention: Maps,
    fixations: Maps,
    prior: Shared,
    uniform: float = UNIFORM,
    duplicates: bool = True,
    mit: bool = False,
) -> Scores:
    """Information gain over a prior: what the map knows of the fixations beyond the centre bias, in bits per fixation.

    Mean over the fixations of log2 q - log2 b, where q is the attention map and b the prior, both divided by their sum.
    0: as good as the prior; higher is better. Kuemmerer, Wallis & Bethge (2015), PNAS 112(52).

    Args:
        attention: 0..1 maps. A map that was not fitted as a probability is judged as if it were one.
        fixations: fixations per pixel.
        prior: where people look whatever is shown, such as the mean training map; any scale.
        uniform: this share of the uniform distribution is mixed into q and b, so that neither is ever 0: a fixation
            where a map is 0 costs or gains about log2(uniform), 10 bits, instead of infinity.
        duplicates: a pixel fixated twice counts twice (pysaliency: yes; MIT: no).
        mit: nothing mixed in; 2.2204e-16 is added inside both logarithms, as in MIT's InfoGain.m. pysaliency adds
            nothing: its models are probabilities fitted beforehand.
    """
    q, b = distribution(attention), distribution(prior)
    if mit:
        q, b = q + MIT_EPSILON, b + MIT_EPSILON
    else:
        q, b = ((1 - uniform) * m + uniform / m[0].numel() for m in (q, b))
    weights = fixations if duplicates else (fixations > 0).to(attention.dtype)
    bits = torch.where(weights > 0, (q.log2() - b.log2()) * weights, 0.0)  # 0 times infinity where nobody looked
    return bits.sum((1, 2)) / weights.sum((1, 2))


def entropy_bits(attention: Maps) -> Scores:
    """Shannon entropy of the 0..1 map divided by its sum, in bits; uniform over 224x224 is 15.615. Lower is sparser.

    Negative values count as 0 (the paper's). MIT and pysaliency have no such metric.
    """
    return torch.special.entr(distribution(attention.clamp(min=0))).sum((1, 2)) / math.log(2)
