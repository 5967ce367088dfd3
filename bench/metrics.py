"""Speed and memory of the metrics, side by side with pysaliency 0.2.22 and scipy in one process.

    python -m venv BENCH && BENCH/bin/pip install -c constraints.txt -e . pysaliency==0.2.22 "setuptools<81"
    BENCH/bin/python bench/metrics.py                 (an environment of its own; never gazetune's)

Generated maps of 224x224 with 500 fixations each. Ours and theirs take turns; every figure is the median of the
rounds with the lowest and the highest, and a ratio is taken within its round, so that a busy machine slows both.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np
import torch
from scipy.ndimage import gaussian_filter

from gazetune.maps import Points, counts, densities, upsampled
from gazetune.metrics import METRICS
from gazetune.metrics.score import by_batch, score_points
from gazetune.priors import of_training

SIZE, FIXATIONS, SIGMA_PX = 224, 500, 15.0
FIVE = {name: METRICS[name] for name in ("cc", "nss", "auc_judd", "kl", "sim")}
MAPS = 250  # kept in memory; 5,000 maps are these, twenty times


def generated(n: int) -> Points:
    """Fixations around the centre of n images."""
    rng = np.random.default_rng(0)
    row, column = np.empty((2, n * FIXATIONS), dtype=np.int16)
    for cells in (row, column):
        for part in np.array_split(np.arange(len(cells)), max(1, n // 1000)):
            cells[part] = np.clip(rng.normal(SIZE / 2, SIZE / 6, len(part)), 0, SIZE - 1)
    offsets = np.arange(n + 1, dtype=np.int64) * FIXATIONS
    ones, observer = np.ones(n * FIXATIONS, np.float32), np.zeros(n * FIXATIONS, np.int32)
    return Points(row, column, ones, observer, offsets, np.full((n, 2), SIGMA_PX, np.float32), SIZE)


def attention(n: int) -> torch.Tensor:
    """Smooth random maps, 0..1."""
    return upsampled(torch.rand(n, 14, 14, generator=torch.Generator().manual_seed(0)), SIZE)


def seconds(function: Callable[[], object], clock: Callable[[], float] = time.perf_counter) -> float:
    """Wall time of one call; with time.process_time, the processor time of all threads."""
    start = clock()
    function()
    return clock() - start


def spread(values: list[float], digits: int) -> str:
    """Median, and the lowest and highest."""
    return f"{np.median(values):.{digits}f} ({min(values):.{digits}f} to {max(values):.{digits}f})"


def against_pysaliency(rounds: int, repeats: int) -> None:
    """All five metrics; both sides get attention maps, density maps and fixations ready-made."""
    setattr(np, "trapz", np.trapezoid)  # noqa: B010  # pysaliency 0.2.22 calls it by its old name
    from pysaliency.metrics import CC, NSS, SIM, MIT_KLDiv
    from pysaliency.roc import general_roc

    points, maps = generated(MAPS), attention(MAPS)
    human, fixations = densities(points), counts(points)
    given = {"attention": maps, "density": human, "fixations": fixations}

    def score_batch(index: np.ndarray) -> None:
        part = slice(int(index[0]), int(index[-1]) + 1)
        for metric in FIVE.values():
            metric.function(*(given[need][part] for need in metric.needs))

    def ours(times: int) -> None:
        for _ in range(times):
            by_batch(score_batch, MAPS)

    def theirs(n: int) -> None:
        for i in range(n):
            a, d = maps[i].double().numpy(), human[i].double().numpy()
            own = slice(i * FIXATIONS, (i + 1) * FIXATIONS)
            row, column = points.row[own], points.column[own]
            CC(a, d), SIM(a, d), MIT_KLDiv(a, d), NSS(a, column, row).mean()
            general_roc(a[row, column], a[fixations[i].numpy() == 0], judd=1)

    few = 50
    with np.errstate(all="ignore"):
        ours(1), theirs(2)  # compiled by numba on the first call
        found = [
            (seconds(lambda: ours(repeats)) / repeats / MAPS, seconds(lambda: theirs(few)) / few) for _ in range(rounds)
        ]
    print(f"five metrics, pysaliency / ours: {spread([t / o for o, t in found], 1)} times as fast")
    print(f"  ours, 5,000 maps: {spread([5000 * o for o, _ in found], 1)} s")
    busy = [5000 * seconds(lambda: ours(1), time.process_time) / MAPS for _ in range(rounds)]
    print(f"  ours, 5,000 maps, processor time of both threads: {spread(busy, 1)} s")
    print(f"  pysaliency, ms a map: {spread([1000 * t for _, t in found], 1)}")
    busy = [1000 * seconds(lambda: theirs(few), time.process_time) / few for _ in range(rounds)]
    print(f"  pysaliency, processor time, ms a map: {spread(busy, 1)}")


def whole_scoring(rounds: int) -> None:
    """The five metrics from the points: counting, blurring and scoring together, as a run does it."""
    points, maps = generated(MAPS), attention(MAPS)
    priors = of_training(points)

    def ours() -> None:
        score_points(lambda index: maps[torch.from_numpy(index)], points, priors, FIVE)

    ours()
    many = 5000 / MAPS
    print("five metrics with the density maps, from points, 5,000 maps")
    print(f"  wall: {spread([many * seconds(ours) for _ in range(rounds)], 1)} s")
    busy = [many * seconds(ours, time.process_time) for _ in range(rounds)]
    print(f"  processor time of all threads: {spread(busy, 1)} s")


def against_scipy(rounds: int) -> None:
    """Density maps of 0..1 from points, against counting and scipy.ndimage.gaussian_filter image by image."""
    points, few = generated(MAPS), 50

    def loop() -> np.ndarray:
        maps = np.zeros((few, SIZE, SIZE))
        for i, one in enumerate(maps):
            own = slice(i * FIXATIONS, (i + 1) * FIXATIONS)
            np.add.at(one, (points.row[own], points.column[own]), 1)
            one[:] = gaussian_filter(one, SIGMA_PX, mode="constant")
            one[:] = (one - one.min()) / (one.max() - one.min())
        return maps

    def ours() -> list[torch.Tensor]:
        return by_batch(partial(densities, points), MAPS)

    difference = np.abs(torch.cat(ours())[:few].numpy() - loop()).max()
    found = [(seconds(ours) / MAPS, seconds(loop) / few) for _ in range(rounds)]
    print(f"density maps, scipy loop / ours: {spread([t / o for o, t in found], 1)} times as fast")
    print(
        f"  ours, ms a map: {spread([1000 * o for o, _ in found], 2)}; scipy: {spread([1000 * t for _, t in found], 2)}"
    )
    print(f"  largest difference of the 0..1 maps: {difference:.1e}")


def peak_of(n: int) -> dict[str, float]:
    """Peak memory of scoring n images in a process of its own, in MB, and what the fixations themselves take."""
    code = (
        f"import sys; sys.argv = ['metrics.py', '--peak', '{n}']; exec(compile(open({__file__!r}).read(), 'm', 'exec'))"
    )
    return json.loads(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout)


def peak(n: int) -> None:
    """Score n generated images, all metrics, and print the peak memory as JSON."""
    points, grids = generated(n), torch.rand(MAPS, 14, 14)
    priors = of_training(points)
    score_points(lambda index: upsampled(grids[torch.from_numpy(index % MAPS)], SIZE), points, priors, METRICS)
    columns = (points.row, points.column, points.weight, points.observer, points.offsets, points.sigma_px)
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6
    print(json.dumps({"peak": most, "data": sum(c.nbytes for c in columns) / 1e6}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--repeats", type=int, default=2, help="passes over the 250 maps in a round")
    parser.add_argument("--skip-memory", action="store_true")
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        peak(arguments.peak)
        sys.exit()
    torch.set_num_threads(2)
    against_pysaliency(arguments.rounds, arguments.repeats)
    whole_scoring(arguments.rounds)
    against_scipy(arguments.rounds)
    if not arguments.skip_memory:
        small, large = peak_of(5_000), peak_of(20_000)
        print(f"peak memory, 20,000 / 5,000 images: {large['peak'] / small['peak']:.3f}")
        print(f"  {small['peak']:.0f} and {large['peak']:.0f} MB")
        print(f"  of which the fixations themselves, 12 bytes each: {small['data']:.0f} and {large['data']:.0f} MB")
