"""Paired comparison of two models over the same images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from gazetune.statistics.resample import FEWEST

NO_DIFFERENCE = "no difference anywhere"  # then the direction of t is unknown


@dataclass(frozen=True)
class PairedTest:
    """Two-sided paired t-test of mean(first - second) against 0, with signed Cohen's d (mean / SD of differences).

    reason: why t, p, d and the interval are NaN; empty where they are not.
    """

    n: int
    mean_first: float
    mean_second: float
    difference: float
    ci_low: float
    ci_high: float
    t: float
    df: int
    p: float
    d: float
    reason: str = ""


def paired_test(first: ArrayLike, second: ArrayLike, confidence: float = 0.95, unit: str = "image") -> PairedTest:
    """Paired t-test over images, with the t interval of the mean difference; pairs with a NaN are left out of n.

    `first` and `second` hold one value an image (or another `unit`, which the reason names), in the same order.

    d = mean difference / SD of the differences (ddof 1) = t / sqrt(n): the d of the paper. t, p, d and interval are NaN
    below three pairs, for the SD of two differences is a guess; t, p and d where all differences are 0 (t is infinite
    for another constant difference). `reason` says which.
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    n = len(a)
    if n < FEWEST:
        means = (float(a.mean()), float(b.mean()), float((a - b).mean())) if n else (np.nan,) * 3
        return PairedTest(n, *means, *(np.nan,) * 3, max(n - 1, 0), *(np.nan,) * 2, too_few(unit))
    gap = a - b
    mean, sd = float(gap.mean()), float(gap.std(ddof=1))
    error = sd / n**0.5
    with np.errstate(divide="ignore", invalid="ignore"):
        t, d = float(np.float64(mean) / error), float(np.float64(mean) / sd)
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error
    p = float(2 * stats.t.sf(abs(t), n - 1))
    reason = NO_DIFFERENCE if np.isnan(t) else ""
    return PairedTest(n, float(a.mean()), float(b.mean()), mean, mean - half, mean + half, t, n - 1, p, d, reason)


def too_few(unit: str) -> str:
    """The reason of a test of fewer than three units."""
    return f"fewer than {FEWEST} {unit}s"


@dataclass(frozen=True)
class SignedRank:
    """Wilcoxon's signed-rank test: the smaller of the two sums of ranks, and the two-sided p."""

    w: float
    p: float


def signed_rank(first: ArrayLike, second: ArrayLike) -> SignedRank:
    """Wilcoxon's signed-rank test (1945) of the differences over images; images with a NaN are left out.

    scipy.stats.wilcoxon: exact p for small samples without ties, else the normal approximation; differences of zero
    are dropped. NaN with fewer than three images, or where all differences are zero.
    """
    gap = np.asarray(first, dtype=np.float64) - np.asarray(second, dtype=np.float64)
    gap = gap[~np.isnan(gap)]
    if len(gap) < 3 or not gap.any():
        return SignedRank(np.nan, np.nan)
    found = stats.wilcoxon(gap)
    return SignedRank(float(found.statistic), float(found.pvalue))
