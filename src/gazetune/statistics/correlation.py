"""How two things vary together over images, with an interval, and with a third held constant."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike
from scipy import stats

CONSTANT = 1e-12  # a spread this small beside the values is rounding


@dataclass(frozen=True)
class Correlation:
    """Pearson's r over n images, its Fisher interval, and the two-sided t-test of r = 0 with df degrees of freedom."""

    n: int
    r: float
    ci_low: float
    ci_high: float
    df: int
    p: float


@dataclass(frozen=True)
class Line:
    """The least-squares line y = intercept + slope * x over n images."""

    n: int
    slope: float
    intercept: float


def pearson(x: ArrayLike, y: ArrayLike, confidence: float = 0.95) -> Correlation:
    """Pearson's r of two columns, one value an image each; images with a NaN in either are left out of n.

    df = n - 2. The interval is tanh(atanh(r) +- z / sqrt(n - 3)) (Fisher, 1921), NaN below four images. Fewer than
    three images or a constant column: NaN.
    """
    a, b = _complete(x, y)
    return _tested(_r(a, b), len(a), 0, confidence)


def partial(x: ArrayLike, y: ArrayLike, given: ArrayLike, confidence: float = 0.95) -> Correlation:
    """Partial correlation of x and y given one covariate: Pearson's r of what a line in `given` leaves of each.

    df = n - 3: the covariate costs one, which a plain r of the residuals would not know; the Fisher interval has
    sqrt(n - 4). Images with a NaN in any of the three are left out. NaN below four images (interval: five), or where
    the covariate explains x or y without rest. A constant covariate holds nothing constant: NaN.
    """
    a, b, c = _complete(x, y, given)
    if len(a) < 4 or _constant(c):
        return _tested(np.nan, len(a), 1, confidence)
    rest = [v - np.polyval(np.polyfit(c - c.mean(), v, 1), c - c.mean()) for v in (a, b)]
    explained = any(np.ptp(left) <= 1e-9 * np.ptp(v) for left, v in zip(rest, (a, b), strict=True))
    return _tested(np.nan if explained else _r(*rest), len(a), 1, confidence)


def least_squares(x: ArrayLike, y: ArrayLike) -> Line:
    """The line through (x, y) with the least squared error in y; NaN with fewer than two images or a constant x."""
    a, b = _complete(x, y)
    if len(a) < 2 or _constant(a):
        return Line(len(a), np.nan, np.nan)
    off = a - a.mean()
    slope = float(off @ b / (off @ off))
    return Line(len(a), slope, float(b.mean() - slope * a.mean()))


def _complete(*columns: ArrayLike) -> list[Float[np.ndarray, " image"]]:
    """The columns as numbers, without the images where one of them is NaN; raises ValueError for unequal lengths."""
    values = [np.asarray(c, dtype=np.float64) for c in columns]
    if len({v.shape for v in values}) > 1:
        raise ValueError(f"needed columns of one length; got {', '.join(str(len(v)) for v in values)}")
    keep = ~np.isnan(values).any(axis=0)
    return [v[keep] for v in values]


def _constant(values: Float[np.ndarray, " image"]) -> bool:
    return not len(values) or bool(np.ptp(values) <= CONSTANT * np.abs(values).max())


def _r(a: Float[np.ndarray, " image"], b: Float[np.ndarray, " image"]) -> float:
    if len(a) < 3 or _constant(a) or _constant(b):
        return np.nan
    a, b = a - a.mean(), b - b.mean()
    return float(np.clip(a @ b / np.sqrt((a @ a) * (b @ b)), -1, 1))


def _tested(r: float, n: int, covariates: int, confidence: float) -> Correlation:
    df = max(n - 2 - covariates, 0)
    if np.isnan(r) or not df:
        return Correlation(n, np.nan, np.nan, np.nan, df, np.nan)
    with np.errstate(divide="ignore"):
        t = np.abs(r) * np.sqrt(df / np.float64(1 - r * r))
        half = stats.norm.ppf((1 + confidence) / 2) / np.sqrt(df - 1) if df > 1 else np.nan
        low, high = np.tanh(np.arctanh(r) + half * np.array([-1, 1]))
    return Correlation(n, r, float(low), float(high), df, float(2 * stats.t.sf(t, df)))
