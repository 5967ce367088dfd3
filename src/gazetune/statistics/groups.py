"""Groups of different units (observers, images) compared: Welch's tests, which let the groups differ in spread."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats


@dataclass(frozen=True)
class WelchTest:
    """Two-sided test of mean(first) - mean(second) against 0 for independent groups; d is signed."""

    n_first: int
    n_second: int
    difference: float
    ci_low: float
    ci_high: float
    t: float
    df: float
    p: float
    d: float


@dataclass(frozen=True)
class WelchAnova:
    """Welch's F test that all groups have the same mean."""

    n: int
    f: float
    df1: int
    df2: float
    p: float


def welch_t(first: ArrayLike, second: ArrayLike, confidence: float = 0.95) -> WelchTest:
    """Welch's (1947) t-test of two independent groups, with its interval; NaN values are left out.

    df by Welch and Satterthwaite; d = difference / sqrt((var_first + var_second) / 2), ddof 1. With fewer than two
    values in a group, or without any spread, what cannot be computed is NaN.
    """
    a, b = (_known(values) for values in (first, second))
    difference = float(a.mean() - b.mean()) if len(a) and len(b) else np.nan
    if min(len(a), len(b)) < 2 or not a.var() + b.var() > 0:
        return WelchTest(len(a), len(b), difference, *(np.nan,) * 6)
    squares = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    error = float(np.sqrt(sum(squares)))
    df = float(sum(squares) ** 2 / (squares[0] ** 2 / (len(a) - 1) + squares[1] ** 2 / (len(b) - 1)))
    half = float(stats.t.ppf((1 + confidence) / 2, df)) * error
    t = difference / error
    d = difference / float(np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2))
    p = float(2 * stats.t.sf(abs(t), df))
    return WelchTest(len(a), len(b), difference, difference - half, difference + half, t, df, p, d)


def welch_anova(groups: Sequence[ArrayLike]) -> WelchAnova:
    """Welch's (1951) analysis of variance of independent groups with unequal spreads; NaN values are left out.

    With two groups F = t^2 of `welch_t`. NaN if a group has fewer than two values or no spread.
    """
    known = [_known(group) for group in groups]
    k, n = len(known), sum(map(len, known))
    if k < 2 or min(map(len, known)) < 2 or min(float(g.var()) for g in known) <= 0:
        return WelchAnova(n, np.nan, k - 1, np.nan, np.nan)
    weight = np.array([len(g) / g.var(ddof=1) for g in known])
    mean = np.array([g.mean() for g in known])
    grand = weight @ mean / weight.sum()
    doubt = float(np.sum((1 - weight / weight.sum()) ** 2 / (np.array(list(map(len, known))) - 1)))
    between = weight @ (mean - grand) ** 2 / (k - 1)
    f = float(between / (1 + 2 * (k - 2) * doubt / (k**2 - 1)))
    df2 = (k**2 - 1) / (3 * doubt)
    return WelchAnova(n, f, k - 1, df2, float(stats.f.sf(f, k - 1, df2)))


def _known(values: ArrayLike) -> np.ndarray:
    found = np.asarray(values, dtype=np.float64)
    return found[~np.isnan(found)]
