"""Intervals that hold for other images and for other observers: both are resampled."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from gazetune.statistics.resample import CELLS, DRAWS, FEWEST, drawn_times

Columns = Float[np.ndarray, " column"]


@dataclass(frozen=True)
class CrossedIntervals:
    """Percentile intervals of the mean over pairs: from resampled images alone, and from images and observers."""

    images_low: Columns
    images_high: Columns
    both_low: Columns
    both_high: Columns


def crossed_intervals(
    values: Float[np.ndarray, "pair column"],
    image: Int[np.ndarray, " pair"],
    observer: Int[np.ndarray, " pair"],
    generator: np.random.Generator,
    confidence: float = 0.95,
    draws: int = DRAWS,
) -> CrossedIntervals:
    """Bootstrap intervals of each column's mean over the pairs of an image and an observer; NaN are left out.

    Images are drawn with replacement and, independently, observers; a pair counts as often as its image times as often
    as its observer was drawn (Owen, 2007, the pigeonhole bootstrap; McCullagh, 2000). Pairs may be missing: the mean is
    over those that are there. NaN below three images (both intervals) or three observers (the second). The generator
    is asked for one number; columns without a value at the same pairs share their draws.

    Owen shows that the variance is never too small on average: the noise of single pairs counts up to three times.

    Raises:
        ValueError: `confidence` is not between 0 and 1, or there are no draws.
    """
    if not 0 < confidence < 1 or draws < 1:
        raise ValueError(f"needed 0 < confidence < 1 and at least one draw; got {confidence} and {draws}")
    seed = int(generator.integers(2**63))
    limits = np.full((4, values.shape[1]), np.nan)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    known = ~np.isnan(values)
    patterns, member = np.unique(known, axis=1, return_inverse=True)
    for i, rows in enumerate(patterns.T):
        columns = np.flatnonzero(member.reshape(-1) == i)
        place = tuple(np.unique(unit[rows], return_inverse=True)[1] for unit in (image, observer))
        n_images, n_observers = (int(p.max(initial=-1)) + 1 for p in place)
        if n_images < FEWEST:
            continue
        chosen, rng = values[np.ix_(rows, columns)], np.random.default_rng(seed)
        centre = chosen.mean(axis=0)  # deviations keep their digits where the mean is large beside the spread
        means = _resampled(chosen - centre, place, (n_images, n_observers), rng, draws)
        limits[:2, columns] = centre + np.nanquantile(means[0], tails, axis=0)
        if n_observers >= FEWEST:
            limits[2:, columns] = centre + np.nanquantile(means[1], tails, axis=0)
    return CrossedIntervals(*limits)


def crossed_means(
    values: Float[np.ndarray, "pair column"],
    image: Int[np.ndarray, " pair"],
    observer: Int[np.ndarray, " pair"],
    times_image: Float[np.ndarray, "draw image"],
    times_observer: Float[np.ndarray, "draw observer"],
) -> Float[np.ndarray, "draw column"]:
    """Each draw's mean over pairs, a pair weighing as often as its image times as often as its observer was drawn.

    NaN for a draw that holds no pair.
    """
    weight = times_image[:, image] * times_observer[:, observer]
    with np.errstate(invalid="ignore"):
        return (weight @ values) / weight.sum(axis=1, keepdims=True)


def _resampled(
    values: Float[np.ndarray, "pair column"],
    place: tuple[Int[np.ndarray, " pair"], ...],
    n: tuple[int, int],
    generator: np.random.Generator,
    draws: int,
) -> tuple[Float[np.ndarray, "draw column"], Float[np.ndarray, "draw column"]]:
    """Means with images resampled, and with both, a chunk of draws at a time."""
    image, observer = place
    by_image = np.stack([np.bincount(image, weights=column, minlength=n[0]) for column in values.T], axis=1)
    pairs_of_image = np.bincount(image, minlength=n[0]).astype(np.float64)
    alone, both = [], []
    chunk = max(1, CELLS // len(image))
    for start in range(0, draws, chunk):
        count = min(chunk, draws - start)
        times = [drawn_times(units, count, generator) for units in n]
        alone.append((times[0] @ by_image) / (times[0] @ pairs_of_image)[:, None])
        both.append(crossed_means(values, image, observer, *times))
    return np.concatenate(alone), np.concatenate(both)
