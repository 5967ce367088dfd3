"""Intervals that hold for other images and for other observers: both are resampled."""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from gazetune.statistics.resample import CELLS, DRAWS, FEWEST, drawn_times

TABLE = 20_000_000  # values held at a time (160 MB)

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
    is asked for one number, the seed of the draws: columns without a value at the same pairs share their draws, and
    none depends on which others stand beside it.

    The variance errs on the safe side (Owen): the noise of single pairs counts up to three times.

    Raises:
        ValueError: `confidence` is not between 0 and 1, or there are no draws.
    """
    if not 0 < confidence < 1 or draws < 1:
        raise ValueError(f"needed 0 < confidence < 1 and at least one draw; got {confidence} and {draws}")
    seed = int(generator.integers(2**63))
    limits = np.full((4, values.shape[1]), np.nan)
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    known = ~np.isnan(values)
    patterns: dict[bytes, list[int]] = {}  # numpy.unique along an axis takes 20 s for 300,000 pairs
    for column in range(values.shape[1]):
        patterns.setdefault(known[:, column].tobytes(), []).append(column)
    for columns in patterns.values():
        rows = known[:, columns[0]]
        place = tuple(np.unique(unit[rows], return_inverse=True)[1] for unit in (image, observer))
        n_images, n_observers = (int(p.max(initial=-1)) + 1 for p in place)
        if n_images < FEWEST:
            continue
        for block in np.array_split(columns, -(-n_images * n_observers * len(columns) // TABLE)):
            table = np.full((n_images, n_observers, len(block)), np.nan)
            table[place] = values[np.ix_(rows, block)]
            centre = np.nanmean(table, axis=(0, 1))  # deviations keep their digits where the mean is large
            alone, both = _resampled(table - centre, seed, draws)
            limits[:2, block] = centre + np.nanquantile(alone, tails, axis=0)
            if n_observers >= FEWEST:
                limits[2:, block] = centre + np.nanquantile(both, tails, axis=0)
    return CrossedIntervals(*limits)


def crossed_means(
    table: Float[np.ndarray, "image observer column"],
    times_image: Float[np.ndarray, "draw image"],
    times_observer: Float[np.ndarray, "draw observer"],
) -> tuple[Float[np.ndarray, "draw column"], Float[np.ndarray, "draw column"]]:
    """Each draw's means over pairs: a pair weighs as often as its image was drawn; and that times its observer.

    Pairs that are missing are NaN, the same in all columns. NaN for a draw that holds no pair.
    """
    there = ~np.isnan(table[:, :, :1])
    filled = np.concatenate([np.where(there, table, 0.0), there], axis=2)
    summed = (times_image @ filled.reshape(len(table), -1)).reshape(len(times_image), *filled.shape[1:])
    alone, both = summed.sum(axis=1), np.einsum("doc,do->dc", summed, times_observer)
    with np.errstate(invalid="ignore"):
        return alone[:, :-1] / alone[:, -1:], both[:, :-1] / both[:, -1:]


def _resampled(
    table: Float[np.ndarray, "image observer column"], seed: int, draws: int
) -> tuple[Float[np.ndarray, "draw column"], Float[np.ndarray, "draw column"]]:
    """Means with images resampled, and with both, a chunk of draws at a time."""
    n_images, n_observers, columns = table.shape
    # a stream of draws each: the chunks, and with them the number of columns, must not decide which draw is whose
    of_images, of_observers = np.random.default_rng(seed).spawn(2)
    chunk = max(1, CELLS // max(n_images, n_observers * (columns + 1)))
    found = []
    for start in range(0, draws, chunk):
        count = min(chunk, draws - start)
        times_image, times_observer = (
            drawn_times(n_images, count, of_images),
            drawn_times(n_observers, count, of_observers),
        )
        found.append(crossed_means(table, times_image, times_observer))
    alone, both = (np.concatenate(part) for part in zip(*found, strict=True))
    return alone, both
