"""Groups of different units (observers, images) compared: Welch's tests, which let the groups differ in spread."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike
from scipy import stats

from gazetune.statistics.paired import too_few
from gazetune.statistics.resample import FEWEST

NO_SPREAD = "no spread within a group"


@dataclass(frozen=True)
class WelchTest:
    """Two-sided test of mean(first) - mean(second) against 0 for independent groups; d is signed.

    reason: why t, p, d and the interval are NaN; empty where they are not.
    """

    n_first: int
    n_second: int
    difference: float
    ci_low: float
    ci_high: float
    t: float
    df: float
    p: float
    d: float
    reason: str = ""


@dataclass(frozen=True)
class WelchAnova:
    """Welch's F test that all groups have the same mean; `reason` says why f and p are NaN."""

    n: int
    f: float
    df1: int
    df2: float
    p: float
    reason: str = ""


def welch_t(first: ArrayLike, second: ArrayLike, confidence: float = 0.95, unit: str = "image") -> WelchTest:
    """Welch's (1947) t-test of two independent groups, with its interval; NaN values are left out.

    df by Welch and Satterthwaite; d = difference / sqrt((var_first + var_second) / 2), ddof 1. With fewer than three
    values in a group (as in `paired_test`), or without any spread, all but the difference is NaN, for a `reason`.
    """
    a, b = (_known(values) for values in (first, second))
    difference = float(a.mean() - b.mean()) if len(a) and len(b) else np.nan
    reason = too_few_in_a_group(unit) if min(len(a), len(b)) < FEWEST else "" if a.var() + b.var() > 0 else NO_SPREAD
    if reason:
        return WelchTest(len(a), len(b), difference, *(np.nan,) * 6, reason)
    squares = a.var(ddof=1) / len(a), b.var(ddof=1) / len(b)
    error = float(np.sqrt(sum(squares)))
    df = float(sum(squares) ** 2 / (squares[0] ** 2 / (len(a) - 1) + squares[1] ** 2 / (len(b) - 1)))
    half = float(stats.t.ppf((1 + confidence) / 2, df)) * error
    t = difference / error
    d = difference / float(np.sqrt((a.var(ddof=1) + b.var(ddof=1)) / 2))
    p = float(2 * stats.t.sf(abs(t), df))
    return WelchTest(len(a), len(b), difference, difference - half, difference + half, t, df, p, d)


def welch_anova(groups: Sequence[ArrayLike], unit: str = "image") -> WelchAnova:
    """Welch's (1951) analysis of variance of independent groups with unequal spreads; NaN values are left out.

    With two groups F = t^2 of `welch_t`. NaN, for a `reason`, if a group has fewer than three values or no spread.
    """
    known = [_known(group) for group in groups]
    k, n = len(known), sum(map(len, known))
    if k < 2:
        return WelchAnova(n, np.nan, k - 1, np.nan, np.nan, "fewer than 2 groups")
    reason = too_few_in_a_group(unit) if min(map(len, known)) < FEWEST else ""
    reason = reason or (NO_SPREAD if min(float(g.var()) for g in known) <= 0 else "")
    if reason:
        return WelchAnova(n, np.nan, k - 1, np.nan, np.nan, reason)
    weight = np.array([len(g) / g.var(ddof=1) for g in known])
    mean = np.array([g.mean() for g in known])
    grand = weight @ mean / weight.sum()
    doubt = float(np.sum((1 - weight / weight.sum()) ** 2 / (np.array(list(map(len, known))) - 1)))
    between = weight @ (mean - grand) ** 2 / (k - 1)
    f = float(between / (1 + 2 * (k - 2) * doubt / (k**2 - 1)))
    df2 = (k**2 - 1) / (3 * doubt)
    return WelchAnova(n, f, k - 1, df2, float(stats.f.sf(f, k - 1, df2)))


def too_few_in_a_group(unit: str) -> str:
    """The reason of a test in which a group has fewer than three units."""
    return f"{too_few(unit)} in a group"


def _known(values: ArrayLike) -> np.ndarray:
    found = np.asarray(values, dtype=np.float64)
    return found[~np.isnan(found)]
