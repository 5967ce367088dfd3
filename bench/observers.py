"""CC, NSS and AUC-Judd of a map against each observer: all observers of an image at once, against one after the other.

    python bench/observers.py --images 40 --observers 15 --fixations 9 --repeats 5

Generated fixations on 640 x 480 images, 224 x 224 maps, sigma 15 px; random smooth maps. Both run in this process, in
turn, on the same data; prints the median, the quartiles and the range of milliseconds an image, the ratio, and the
largest difference. The second part times the intervals over images and observers of 54 differences.
"""

import argparse
import time

import numpy as np
import torch
from cost import seconds, shown
from rows import kept, measured, paired, rows_option

from gazetune.data.stimuli import Fixations, Stimuli
from gazetune.maps import blur, grid_points, min_max
from gazetune.metrics import METRICS
from gazetune.metrics.observers import OBSERVER_METRICS, Pairs, pairs_of, score_pairs
from gazetune.metrics.score import Maps, score_points
from gazetune.priors import of_training, one_each
from gazetune.statistics.crossed import crossed_intervals

WIDTH, HEIGHT, SIZE = 640, 480, 224
DIFFERENCES = 54  # three metrics of 18 pairs of rows: three models, three priors, other humans, one more


def drawn(images: int, observers: int, fixations: int, seed: int) -> tuple[Maps, Stimuli]:
    """Images that each observer looked at about `fixations` times, and a map for each."""
    rng = np.random.default_rng(seed)
    number = rng.poisson(fixations, (images, observers)) + 1
    observer = np.concatenate([np.repeat(np.arange(observers), row) for row in number])
    n, offsets = len(observer), np.concatenate([[0], np.cumsum(number.sum(1))])
    columns = Fixations(rng.uniform(0, WIDTH, n), rng.uniform(0, HEIGHT, n), observer)
    ids, frame = tuple(map(str, range(images))), (np.full(images, WIDTH), np.full(images, HEIGHT))
    stimuli = Stimuli("drawn", ids, *frame, columns, offsets, (None,) * images)
    maps = min_max(blur(torch.from_numpy(rng.random((images, SIZE, SIZE), dtype=np.float32)), 8.0))
    return lambda index: maps[torch.from_numpy(index)], stimuli


def one_by_one(maps: Maps, pairs: Pairs, priors_of: Stimuli) -> dict[str, np.ndarray]:
    """What score_points gives when each observer of an image is an image of its own."""
    priors = one_each(of_training(grid_points(priors_of)), pairs.image)
    metrics = {name: METRICS[name] for name in OBSERVER_METRICS}
    table = score_points(lambda index: maps(pairs.image[index]), pairs.points, priors, metrics)
    return {name: table[name].to_numpy() for name in OBSERVER_METRICS}


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=40)
    parser.add_argument("--observers", type=int, default=15)
    parser.add_argument("--fixations", type=int, default=9, help="of an observer on an image, on average")
    parser.add_argument("--repeats", type=int, default=5)
    rows_option(parser)
    options = parser.parse_args()
    ours: list[float] = []
    norms: list[float] = []
    theirs: list[float] = []
    difference = 0.0
    for seed in range(options.repeats):
        maps, stimuli = drawn(options.images, options.observers, options.fixations, seed)
        start = time.perf_counter()
        pairs = pairs_of(grid_points(stimuli))
        assert not np.isnan(pairs.density_norm).any()
        before = time.perf_counter()
        fast = score_pairs(maps, pairs)
        between = time.perf_counter()
        slow = one_by_one(maps, pairs, stimuli)
        after = time.perf_counter()
        for spent, took in ((norms, before - start), (ours, between - before), (theirs, after - between)):
            spent.append(took / options.images)
        difference = max([difference, *(float(np.abs(fast[m] - slow[m]).max()) for m in OBSERVER_METRICS)])
    shown("once", norms)
    ratio = shown("loop", theirs) / shown("ours", ours)
    print(f"{ratio:.1f} times as fast a row of the table; largest difference {difference:.1e}")
    gaps = np.random.default_rng(0).normal(size=(len(pairs), DIFFERENCES))
    took = seconds(lambda: crossed_intervals(gaps, pairs.image, pairs.observer, np.random.default_rng(0)))
    print(f"intervals of {DIFFERENCES} differences, 10,000 draws: {took:.1f} s")
    item = f"CC, NSS, AUC-Judd against each of {options.observers} observers, an image"
    rows = [paired(item, "one observer after the other", [1e3 * t for t in ours], [1e3 * t for t in theirs])]
    item = f"intervals of {DIFFERENCES} differences over {len(pairs):,} pairs, 10,000 draws"
    rows.append(measured(item, "alone", [took], "s"))
    kept(rows, options.rows)
