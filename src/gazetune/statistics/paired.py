"""Paired comparison of two models over the same images."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


@dataclass(frozen=True)
class PairedTest:
    """Two-sided paired t-test of mean(first - second) against 0, with signed Cohen's d (mean / SD of differences)."""

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


def paired_test(first: ArrayLike, second: ArrayLike, confidence: float = 0.95) -> PairedTest:
    """Paired t-test over images, with the t interval of the mean difference; pairs with a NaN are left out of n.

    `first` and `second` hold one value an image, in the same order.

    d = mean difference / SD of the differences (ddof 1) = t / sqrt(n): the d of the paper. With fewer than two pairs,
    or where all differences are equal, what cannot be computed is NaN (t is infinite for a constant difference).
    """
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    both = ~(np.isnan(a) | np.isnan(b))
    a, b = a[both], b[both]
    n = len(a)
    if n < 2:
        means = (float(a.mean()), float(b.mean()), float((a - b).mean())) if n else (np.nan,) * 3
        return PairedTest(n, *means, *(np.nan,) * 3, max(n - 1, 0), *(np.nan,) * 2)
    gap = a - b
    mean, sd = float(gap.mean()), float(gap.std(ddof=1))
    error = sd / n**0.5
    with np.errstate(divide="ignore", invalid="ignore"):
        t, d = float(np.float64(mean) / error), float(np.float64(mean) / sd)
    half = float(stats.t.ppf((1 + confidence) / 2, n - 1)) * error
    p = float(2 * stats.t.sf(abs(t), n - 1))
    return PairedTest(n, float(a.mean()), float(b.mean()), mean, mean - half, mean + half, t, n - 1, p, d)


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
