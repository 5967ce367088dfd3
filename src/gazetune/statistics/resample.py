"""Intervals by resampling images."""

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

DRAWS = 10_000
CELLS = 2_000_000  # weights held at a time (16 MB), however many images and draws there are
FEWEST = 3  # with two images a resample has three outcomes, which is no interval


def bootstrap_interval(
    values: ArrayLike, generator: np.random.Generator, confidence: float = 0.95, draws: int = DRAWS
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean of `values` (one an image), NaN left out; see `bootstrap_intervals`."""
    low, high = bootstrap_intervals(np.asarray(values, dtype=np.float64)[:, None], generator, confidence, draws)
    return float(low[0]), float(high[0])


def bootstrap_intervals(
    values: Float[np.ndarray, "image column"],
    generator: np.random.Generator,
    confidence: float = 0.95,
    draws: int = DRAWS,
) -> tuple[Float[np.ndarray, " column"], Float[np.ndarray, " column"]]:
    """Percentile bootstrap interval of each column's mean over images (Efron, 1979); (NaN, NaN) below three values.

    NaN are left out of their column. The generator is asked for one number, the seed of the draws: columns without
    gaps at the same images share their resamples, and none depends on which others stand beside it.

    Raises:
        ValueError: `confidence` is not between 0 and 1, or there are no draws.
    """
    if not 0 < confidence < 1 or draws < 1:
        raise ValueError(f"needed 0 < confidence < 1 and at least one draw; got {confidence} and {draws}")
    seed = int(generator.integers(2**63))
    known = ~np.isnan(values)
    low, high = np.full((2, values.shape[1]), np.nan)
    patterns, member = np.unique(known, axis=1, return_inverse=True)
    for i, rows in enumerate(patterns.T):
        if rows.sum() >= FEWEST:
            columns = np.flatnonzero(member.reshape(-1) == i)
            means = _resampled_means(values[np.ix_(rows, columns)], np.random.default_rng(seed), draws)
            low[columns], high[columns] = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2], axis=0)
    return low, high


def _resampled_means(
    values: Float[np.ndarray, "image column"], generator: np.random.Generator, draws: int
) -> Float[np.ndarray, "draw column"]:
    """Means of images drawn with replacement: weights times values, a chunk of draws at a time."""
    n = len(values)
    # deviations keep their digits where the mean is large beside the spread
    centre = values.mean(axis=0)
    chunk = max(1, CELLS // n)
    means = []
    for start in range(0, draws, chunk):
        count = min(chunk, draws - start)
        means.append(drawn_times(n, count, generator) @ (values - centre) / n)
    return centre + np.concatenate(means)


def drawn_times(n: int, draws: int, generator: np.random.Generator) -> Float[np.ndarray, "draw unit"]:
    """How often each of n units comes up when n are drawn with replacement, once per draw."""
    drawn = generator.integers(n, size=(draws, n)) + n * np.arange(draws)[:, None]
    return np.bincount(drawn.ravel(), minlength=draws * n).reshape(draws, n).astype(np.float64)
