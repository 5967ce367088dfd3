"""Bayes factors for "no difference": the paired t-test of two models turned into evidence for equality.

BF01 = p(data | the mean difference is 0) / p(data | it is not), so BF01 > 1 speaks for equality. What "not 0" means is
a prior on the effect size d = mean difference / SD of the differences, and the answer depends on it (docs/parity.md).
Everything is computed as a logarithm: at t = 200 over 75,000 images BF01 is e^-16023, which no float holds.
"""

from typing import Any

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

Numbers = ArrayLike | float | int  # one or many; a run-time type checker takes no plain number for numpy's ArrayLike

R_MEDIUM = 2**-0.5  # Cauchy scale of the R package BayesFactor (Morey & Rouder), "medium"
R_UNIT = 1.0  # of Rouder et al. (2009), whom the paper cites
SCALES = (0.5, 0.707, 1.0, 1.414)  # for the question how much the scale matters
TIERS = ((1.0, "anecdotal"), (3.0, "moderate"), (10.0, "strong"), (30.0, "very strong"), (100.0, "decisive"))

NODES = 2048
LOWEST = -8.0  # of ln g: below it the prior is e^-1490
BEYOND = 45.0  # of ln g past the mode: there the integrand falls as 1/g, so what is cut off is e^-45
LARGEST = 1e150  # |t|
CHUNK = 1024  # pairs at a time: 16 MB a temporary array


def bf01_jzs(t: Numbers, n: Numbers, r: Numbers = R_MEDIUM) -> Any:
    """JZS Bayes factor for a mean difference of 0 from a paired or one-sample t over n images; see `ln_bf01_jzs`.

    A float, or an array of the shape that t, n and r have together. 0 where it is below 1e-323: take the logarithm.
    """
    return _plain(np.exp(ln_bf01_jzs(t, n, r)))


def bf01_unit(t: Numbers, n: Numbers) -> Any:
    """Unit-information (BIC) approximation of BF01 from a paired or one-sample t over n images; see `ln_bf01_unit`."""
    return _plain(np.exp(ln_bf01_unit(t, n)))


def ln_bf01_jzs(t: Numbers, n: Numbers, r: Numbers = R_MEDIUM) -> Any:
    """Natural logarithm of the exact JZS Bayes factor BF01 (Rouder et al., 2009, equation 1, with a scale r).

    The effect size is 0 under the null, Cauchy(0, r) under the alternative. With v = n - 1:

        BF01 = (1 + t^2/v)^(-n/2) / integral of (1 + n g r^2)^(-1/2) (1 + t^2/(v (1 + n g r^2)))^(-n/2) p(g) dg,
        p(g) = (2 pi)^(-1/2) g^(-3/2) e^(-1/(2g)),   g from 0 to infinity

    The integrand is smooth in ln g and falls off on both sides, so the trapezoid rule is exact to rounding there
    (about 1e-13 of the integral).

    Fewer than two images say nothing, as the SD is not known: 0 (BF01 = 1), whatever t. NaN for a t of NaN, -inf for
    an infinite t (and one above 1e150, whose square no float holds).

    Raises:
        ValueError: r is not above 0, or n is negative.
    """
    t, n, r = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (t, n, r)))
    if not (r > 0).all() or not (n >= 0).all():
        raise ValueError("needed a scale r above 0 and a number of images n of at least 0")
    flat = [x.reshape(-1) for x in (t, n, r)]
    found = np.full(t.size, np.nan)
    found[np.abs(flat[0]) > LARGEST] = -np.inf
    usable = np.flatnonzero((np.abs(flat[0]) <= LARGEST) & (flat[1] >= 2))
    for start in range(0, len(usable), CHUNK):
        rows = usable[start : start + CHUNK]
        found[rows] = _ln_bf01(*(x[rows] for x in flat))
    found[flat[1] < 2] = 0.0
    return _plain(found.reshape(t.shape))


def _ln_bf01(
    t: Float[np.ndarray, " pair"], n: Float[np.ndarray, " pair"], r: Float[np.ndarray, " pair"]
) -> Float[np.ndarray, " pair"]:
    ratio, ln_scale = t * t / (n - 1), np.log(n) + 2 * np.log(r)
    # the mode: g = 1 by the prior, 1/(n r^2) where that prior hardly matters, t^2/(n r^2) by the data
    highest = BEYOND + np.maximum(0.0, np.log1p(n * ratio) - ln_scale)
    ln_g = LOWEST + (highest - LOWEST)[:, None] * np.linspace(0, 1, NODES)
    ln_shrink = np.logaddexp(0, ln_scale[:, None] + ln_g)  # ln(1 + n g r^2)
    exponent = -0.5 * ln_shrink - 0.5 * n[:, None] * np.log1p(ratio[:, None] * np.exp(-ln_shrink))
    exponent -= 0.5 * ln_g + 0.5 * np.exp(-ln_g)  # p(g) dg = p(g) g d(ln g)
    top = exponent.max(axis=1, keepdims=True)
    step = (highest - LOWEST) / (NODES - 1)
    ln_integral = top[:, 0] + np.log(np.exp(exponent - top).sum(axis=1) * step) - 0.5 * np.log(2 * np.pi)
    return -0.5 * n * np.log1p(ratio) - ln_integral


def ln_bf01_unit(t: Numbers, n: Numbers) -> Any:
    """Natural logarithm of sqrt(n) (1 + t^2/(n-1))^(-n/2), BF01 from the difference of two BICs (Wagenmakers, 2007).

    It stands for a normal prior that weighs as much as one image, centred on what was found. Fewer than two images:
    0 (BF01 = 1). NaN for a t of NaN, -inf for an infinite t.

    Raises:
        ValueError: n is negative.
    """
    t, n = np.broadcast_arrays(*(np.asarray(x, dtype=np.float64) for x in (t, n)))
    if not (n >= 0).all():
        raise ValueError("needed a number of images n of at least 0")
    most = np.maximum(n, 2)
    return _plain(np.where(n < 2, 0.0, 0.5 * np.log(most) - 0.5 * most * np.log1p(t * t / (most - 1))))


def jeffreys(ln_bf01: float) -> str:
    """Jeffreys' word for a Bayes factor, and for which side: "strong for equality", "decisive for a difference".

    Tiers as the paper has them: up to 3 anecdotal, 10 moderate, 30 strong, 100 very strong, above decisive; their
    upper ends belong to them. Exactly 1 is "none"; NaN gives "".
    """
    if np.isnan(ln_bf01):
        return ""
    if ln_bf01 == 0:
        return "none"
    word = [word for start, word in TIERS if abs(ln_bf01) > np.log(start)][-1]
    return f"{word} for {'equality' if ln_bf01 > 0 else 'a difference'}"


def _plain(values: Any) -> Any:
    """A float for a single value."""
    return float(values) if np.ndim(values) == 0 else values
