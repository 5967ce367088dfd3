"""Pairwise CC between 60 observers' density maps: ours against a loop over gaussian_filtered maps, side by side.

    python bench/consistency.py --observers 60 --fixations 120 --repeats 10

Generated fixations on 640 x 480 images, 224 x 224 maps, sigma 15 px. Both run in this process, in turn, on the same
image; prints the median, the quartiles and the range of milliseconds an image, the ratio, and the largest difference.
"""

import argparse
import time
from itertools import combinations

import numpy as np
from cost import shown
from rows import kept, measured, paired, rows_option
from scipy.ndimage import gaussian_filter

from gazetune.data.stimuli import Fixations, Stimuli, Stimulus
from gazetune.metrics.consistency import consistency

WIDTH, HEIGHT, SIZE, SIGMA = 640, 480, 224, 15.0


def drawn(observers: int, fixations: int, seed: int) -> Stimuli:
    """One image that each observer looked at about `fixations` times."""
    rng = np.random.default_rng(seed)
    observer = np.repeat(np.arange(observers), rng.poisson(fixations, observers) + 1)
    n = len(observer)
    columns = Fixations(rng.uniform(0, WIDTH, n), rng.uniform(0, HEIGHT, n), observer)
    return Stimuli("drawn", ("a",), np.array([WIDTH]), np.array([HEIGHT]), columns, np.array([0, n]), (None,))


def plain(stimulus: Stimulus) -> float:
    """Mean CC over all pairs, each map blurred by scipy; maps are standardised once, so that a pair is one product."""
    seen, maps = stimulus.fixations, []
    row = np.floor(seen.y * SIZE / stimulus.height).astype(int)
    column = np.floor(seen.x * SIZE / stimulus.width).astype(int)
    for observer in np.unique(seen.observer):
        mine, counts = seen.observer == observer, np.zeros((SIZE, SIZE))
        np.add.at(counts, (row[mine], column[mine]), 1)
        blurred = gaussian_filter(counts, SIGMA, mode="constant", truncate=4)
        maps.append(((blurred - blurred.mean()) / blurred.std()).ravel())
    return float(np.mean([a @ b / SIZE**2 for a, b in combinations(maps, 2)]))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--observers", type=int, default=60)
    parser.add_argument("--fixations", type=int, default=120, help="of an observer on an image, on average")
    parser.add_argument("--repeats", type=int, default=10)
    rows_option(parser)
    options = parser.parse_args()
    ours: list[float] = []
    theirs: list[float] = []
    apart: list[float] = []
    consistency(drawn(2, 1, 0))  # the filter's factors are made once
    for seed in range(options.repeats):
        data = drawn(options.observers, options.fixations, seed)
        before = time.perf_counter()
        fast = float(consistency(data)["consistency"][0])
        between = time.perf_counter()
        slow = plain(data[0])
        theirs.append(time.perf_counter() - between)
        ours.append(between - before)
        apart.append(abs(fast - slow))
    ratio = shown("plain", theirs) / shown("ours", ours)
    ratios = np.array(theirs) / np.array(ours)
    print(f"ratio  {ratio:.0f} of the medians; image by image {ratios.min():.0f} to {ratios.max():.0f}")
    print(f"largest difference of the mean CC: {max(apart):.1e}")
    item, against = (
        f"pairwise CC of {options.observers} observers, an image",
        "loop over maps of scipy's gaussian_filter",
    )
    milli = [1e3 * t for t in ours], [1e3 * t for t in theirs]
    rows = [paired(item, against, *milli, at_least=15)]
    rows.append(measured(f"{item}: largest difference", against, [max(apart)], "", at_most=1e-5))
    kept(rows, options.rows)
