"""Pairwise CC between 60 observers' density maps: ours against a loop over gaussian_filtered maps, side by side.

    python bench/consistency.py --observers 60 --fixations 120 --repeats 10

Generated fixations on 640 x 480 images, 224 x 224 maps, sigma 15 px. Both run in this process, in turn, on the same
image; prints the median, the quartiles and the range of milliseconds an image, the ratio, and the largest difference.
"""

import argparse
import time
from itertools import combinations

import numpy as np
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


def shown(name: str, seconds: list[float]) -> float:
    """Print the spread in milliseconds; returns the median in seconds."""
    low, q1, middle, q3, high = 1e3 * np.quantile(seconds, [0, 0.25, 0.5, 0.75, 1])
    print(f"{name:6} {middle:8.2f} ms an image   quartiles {q1:.2f} to {q3:.2f}   range {low:.2f} to {high:.2f}")
    return float(middle / 1e3)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--observers", type=int, default=60)
    parser.add_argument("--fixations", type=int, default=120, help="of an observer on an image, on average")
    parser.add_argument("--repeats", type=int, default=10)
    options = parser.parse_args()
    ours: list[float] = []
    theirs: list[float] = []
    difference = 0.0
    consistency(drawn(2, 1, 0))  # the filter's factors are made once
    for seed in range(options.repeats):
        data = drawn(options.observers, options.fixations, seed)
        before = time.perf_counter()
        fast = float(consistency(data)["consistency"][0])
        between = time.perf_counter()
        slow = plain(data[0])
        theirs.append(time.perf_counter() - between)
        ours.append(between - before)
        difference = max(difference, abs(fast - slow))
    ratio = shown("plain", theirs) / shown("ours", ours)
    ratios = np.array(theirs) / np.array(ours)
    print(f"ratio  {ratio:.0f} of the medians; image by image {ratios.min():.0f} to {ratios.max():.0f}")
    print(f"largest difference of the mean CC: {difference:.1e}")
