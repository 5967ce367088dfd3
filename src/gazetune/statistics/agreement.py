"""Are two classifiers equally good? Discordant images, a margin that counts as equal, images in several copies."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from numpy.typing import ArrayLike
from scipy import stats

from gazetune.statistics.resample import FEWEST

MARGIN = 0.01  # 1 percentage point of accuracy


@dataclass(frozen=True)
class McNemar:
    """Images that only the first, or only the second, classifier gets right, and the exact two-sided p."""

    only_first: int
    only_second: int
    p: float


@dataclass(frozen=True)
class Equivalence:
    """Two one-sided t-tests of -margin < mean(first - second) < margin; p is the larger of theirs.

    ci_low, ci_high: the 90 % interval of the mean difference. It lies within the margin exactly where p < .05.
    """

    margin: float
    p: float
    ci_low: float
    ci_high: float


@dataclass(frozen=True)
class Clusters:
    """Values that come in groups: mean of each group in `first` and `second`, and what the grouping costs.

    design_effect: the variance of the mean difference over groups, divided by what n single values would have if they
    were independent. effective_n: n / design_effect. NaN below two groups or where no value differs.
    """

    first: Float[np.ndarray, " group"]
    second: Float[np.ndarray, " group"]
    n: int
    design_effect: float
    effective_n: float


def mcnemar(first: ArrayLike, second: ArrayLike) -> McNemar:
    """McNemar's test (1947), exact: of the images that one classifier alone gets right, is half the first's?

    `first` and `second`: 1 or True where the image is classified correctly, in the same order. Two-sided binomial p;
    1 where no image is discordant.

    Raises:
        ValueError: a value other than 0 or 1, or unequal lengths.
    """
    a, b = _pairs(first, second)
    if not (np.isin(a, (0, 1)).all() and np.isin(b, (0, 1)).all()):
        raise ValueError("needed 0 or 1 for each image: McNemar's test is for right and wrong answers")
    only_first, only_second = int((a > b).sum()), int((b > a).sum())
    discordant = only_first + only_second
    p = float(stats.binomtest(only_first, discordant).pvalue) if discordant else 1.0
    return McNemar(only_first, only_second, p)


def equivalence(first: ArrayLike, second: ArrayLike, margin: float = MARGIN) -> Equivalence:
    """Two one-sided paired t-tests (Schuirmann, 1987) that the mean difference lies within -margin..margin.

    `first` and `second`: one value an image, each 0..1, in the same order. df = n - 1.

    Where no value differs there is no SD, and p is (1 - margin)^n: if the mean difference were the margin or more, an
    image would differ with at least that probability. All differences equal, but not 0: p is 1 outside the margin,
    NaN inside. Fewer than three images: NaN.

    Raises:
        ValueError: a margin outside 0..1, or unequal lengths.
    """
    if not 0 < margin < 1:
        raise ValueError(f"needed a margin between 0 and 1 (0.01 is one percentage point); got {margin}")
    a, b = _pairs(first, second)
    gap, n = a - b, len(a)
    if n < FEWEST:
        return Equivalence(margin, np.nan, np.nan, np.nan)
    mean, error = float(gap.mean()), float(gap.std(ddof=1)) / n**0.5
    if error == 0:
        p = (1 - margin) ** n if mean == 0 else (1.0 if abs(mean) >= margin else np.nan)
        return Equivalence(margin, p, np.nan, np.nan)
    above = float(stats.t.sf((mean + margin) / error, n - 1))
    below = float(stats.t.cdf((mean - margin) / error, n - 1))
    half = float(stats.t.ppf(0.95, n - 1)) * error
    return Equivalence(margin, max(above, below), mean - half, mean + half)


def clustered(first: ArrayLike, second: ArrayLike, group: ArrayLike) -> Clusters:
    """Means by group of two paired columns, so that groups are the units of a test, and the design effect (Kish, 1965).

    Fifteen corruptions of one image share the image: what makes one of them easier for one of two models makes the
    others so. `group`: which image a value is of, any labels. Every group counts the same in the means over groups.

    Raises:
        ValueError: unequal lengths.
    """
    a, b = _pairs(first, second)
    names, index = np.unique(np.asarray(group), return_inverse=True)
    if len(index) != len(a):
        raise ValueError(f"needed a group for each value; got {len(index)} for {len(a)}")
    size = np.bincount(index, minlength=len(names))
    means_a, means_b = _means(a, index, size), _means(b, index, size)
    single, grouped = _squared_error(a - b), _squared_error(means_a - means_b)
    effect = grouped / single if single else np.nan
    return Clusters(means_a, means_b, len(a), effect, len(a) / effect if effect else np.nan)


def _means(
    values: Float[np.ndarray, " value"], index: Int[np.ndarray, " value"], size: Int[np.ndarray, " group"]
) -> Float[np.ndarray, " group"]:
    return np.bincount(index, weights=values, minlength=len(size)) / size


def _squared_error(values: Float[np.ndarray, " n"]) -> float:
    """The squared standard error of a mean; NaN below two values."""
    return float(values.var(ddof=1)) / len(values) if len(values) > 1 else np.nan


def _pairs(first: ArrayLike, second: ArrayLike) -> tuple[Float[np.ndarray, " image"], Float[np.ndarray, " image"]]:
    a, b = np.asarray(first, dtype=np.float64), np.asarray(second, dtype=np.float64)
    if a.shape != b.shape:
        raise ValueError(f"needed two columns of one length; got {a.shape} and {b.shape}")
    return a, b
