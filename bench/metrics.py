"""Speed and memory of the metrics, side by side with pysaliency 0.2.22 and scipy.

    python -m venv BENCH && BENCH/bin/pip install -c constraints.txt -e . pysaliency==0.2.22 "setuptools<81"
    BENCH/bin/python bench/metrics.py                 (an environment of its own; never gazetune's)

Generated maps of 224x224 with 500 fixations each. Ours and theirs take turns, pysaliency in a process of its own; every
figure is the median of the rounds with the lowest and the highest, and a ratio is taken within its round, so that a
busy machine slows both. Processor time is that of all threads.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import torch
from cost import peak_bytes, seconds, spread
from rows import Row, kept, measured, paired, rows_option
from scipy.ndimage import gaussian_filter

from gazetune.maps import Points, counts, densities, upsampled
from gazetune.metrics import METRICS
from gazetune.metrics.score import by_batch, score_points
from gazetune.priors import of_training

# pysaliency is imported only where it is compared with: the memory measured is gazetune's alone
sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("tests", "scripts")]

SIZE, FIXATIONS, SIGMA_PX = 224, 500, 15.0
FIVE = {name: METRICS[name] for name in ("cc", "nss", "auc_judd", "kl", "sim")}
FEW = 50  # of them pysaliency gets in each round
MAPS = 250  # kept in memory; 5,000 maps are these, twenty times


def generated(n: int) -> Points:
    """Fixations around the centre of n images."""
    rng = np.random.default_rng(0)
    row, column = np.empty((2, n * FIXATIONS), dtype=np.int16)
    for cells in (row, column):
        for part in np.array_split(np.arange(len(cells)), max(1, n // 1000)):
            cells[part] = np.clip(rng.normal(SIZE / 2, SIZE / 6, len(part)), 0, SIZE - 1)
    offsets = np.arange(n + 1, dtype=np.int64) * FIXATIONS
    ones = np.broadcast_to(np.float32(1), n * FIXATIONS)  # as grid_points makes it
    observer = np.zeros(n * FIXATIONS, np.int32)
    return Points(row, column, ones, observer, offsets, np.full((n, 2), SIGMA_PX, np.float32), SIZE)


def attention(n: int) -> torch.Tensor:
    """Smooth random maps, 0..1."""
    return upsampled(torch.rand(n, 14, 14, generator=torch.Generator().manual_seed(0)), SIZE)


def timed(function: Callable[[], object], n: int) -> tuple[float, float]:
    """Wall time and processor time of all threads, in ms for each of n maps."""
    wall, busy = time.perf_counter(), time.process_time()
    function()
    return 1000 * (time.perf_counter() - wall) / n, 1000 * (time.process_time() - busy) / n


def theirs_by_call(human: np.ndarray, attention: np.ndarray, points: Points) -> dict[str, Callable[[], object]]:
    """pysaliency's functions of arrays, map by map; each gets float64 maps and whatever else it takes ready-made."""
    from pysaliency.metrics import CC, NSS, SIM, MIT_KLDiv
    from pysaliency.roc import general_roc

    n = range(len(attention))
    place = [slice(i * FIXATIONS, (i + 1) * FIXATIONS) for i in n]
    row, column = ([values[p].astype(int) for p in place] for values in (points.row, points.column))
    unseen = [np.ones((SIZE, SIZE), bool) for _ in n]
    for i in n:
        unseen[i][row[i], column[i]] = False
    return {
        "cc": lambda: [CC(attention[i], human[i]) for i in n],
        "nss": lambda: [NSS(attention[i], column[i], row[i]).mean() for i in n],
        "auc_judd": lambda: [
            general_roc(attention[i][row[i], column[i]], attention[i][unseen[i]], judd=1)[0] for i in n
        ],
        "kl": lambda: [MIT_KLDiv(attention[i], human[i]) for i in n],
        "sim": lambda: [SIM(attention[i], human[i]) for i in n],
    }


def theirs_by_model(human: np.ndarray, attention: np.ndarray, fixations: np.ndarray) -> dict[str, Callable[[], object]]:
    """pysaliency's models, as its users call them; AUC_Judd adds its noise against ties, which is its default."""
    from make_saliency_fixture import Given, as_pysaliency

    stimuli, seen = as_pysaliency(fixations)
    model, gold = Given(attention), Given(human)
    e = 2.2204e-16
    mit = {"minimum_value": 0, "log_regularization": e, "quotient_regularization": e}
    return {
        "cc": lambda: model.CCs(stimuli, gold),
        "nss": lambda: model.NSSs(stimuli, seen),
        "auc_judd": lambda: model.AUC_Judd(stimuli, seen),
        "kl": lambda: model.KLDivs(stimuli, gold, **mit),
        "sim": lambda: model.SIMs(stimuli, gold),
    }


@cache
def theirs() -> tuple[dict[str, Callable[[], object]], dict[str, Callable[[], object]]]:
    """Both ways of calling pysaliency on the first maps."""
    import make_saliency_fixture  # noqa: F401  # gives numpy the old name of its trapezoid, which pysaliency calls

    points, maps = generated(MAPS), attention(FEW)
    human = densities(points, np.arange(FEW)).double().numpy()
    fixations = counts(points, np.arange(FEW)).long().numpy()
    maps = maps.double().numpy()
    return theirs_by_call(human, maps, points), theirs_by_model(human, maps, fixations)


def time_of_theirs(way: int, name: str) -> tuple[float, float]:
    """Runs in a process of its own, in which gazetune's scoring has not told the C library to keep freed memory."""
    with np.errstate(all="ignore"):
        return timed(theirs()[way][name], FEW)


def against_pysaliency(rounds: int) -> list[Row]:
    """Each of the five metrics; both sides get attention maps, density maps and fixations ready-made."""
    points, maps = generated(MAPS), attention(MAPS)
    given = {"attention": maps, "density": densities(points), "fixations": counts(points)}

    def score_batch(names: tuple[str, ...], index: np.ndarray) -> None:
        part = slice(int(index[0]), int(index[-1]) + 1)
        for name in names:
            FIVE[name].function(*(given[need][part] for need in FIVE[name].needs))

    def ours(*names: str) -> object:
        return by_batch(partial(score_batch, names), MAPS)

    found = []
    with ProcessPoolExecutor(1, get_context("spawn")) as other:
        for _ in range(rounds + 1):
            one = {
                name: (
                    timed(partial(ours, name), MAPS),
                    *(other.submit(time_of_theirs, w, name).result() for w in (0, 1)),
                )
                for name in FIVE
            }
            sums = [tuple(map(sum, zip(*side, strict=True))) for side in zip(*one.values(), strict=True)]
            found.append({**one, "together": (timed(partial(ours, *FIVE), MAPS), *sums[1:])})
    del found[0]  # compiled by numba on the first call
    print(f"ms a map, median (lowest to highest) of {rounds} rounds; ours on {torch.get_num_threads()} threads")
    for clock, what in enumerate(("wall time", "processor time")):
        print(f"{what:15}{'ours':>22}{'pysaliency, functions':>26}{'ratio':>20}{'pysaliency, models':>26}{'ratio':>20}")
        for name in (*FIVE, "together"):
            o, c, m = ([r[name][side][clock] for r in found] for side in range(3))
            ratios = [spread([t / own for t, own in zip(x, o, strict=True)], 1) for x in (c, m)]
            print(f"  {name:13}{spread(o, 2):>22}{spread(c, 2):>26}{ratios[0]:>20}{spread(m, 2):>26}{ratios[1]:>20}")
        print(f"  5,000 maps, all five: {spread([5 * r['together'][0][clock] for r in found], 1)} s")
    return rows_of_metrics(found)


def rows_of_metrics(found: list[dict[str, Any]]) -> list[Row]:
    """Wall time of each round: every metric, and the five together (issue: 10 times as fast, 5,000 maps in 8 s)."""
    rows = []
    for name in (*FIVE, "together"):
        title = f"{METRICS[name].label if name in FIVE else 'five metrics'}, a map"
        own, *others = ([r[name][side][0] for r in found] for side in range(3))
        for way, theirs in zip(("functions", "models"), others, strict=True):
            least = 10 if name == "together" else None
            aimed = least is not None  # out of reach: docs/metrics.md says why
            rows.append(paired(title, f"pysaliency 0.2.22, its {way}", own, theirs, at_least=least, aim=aimed))
    whole = [5 * r["together"][0][0] for r in found]
    rows.append(measured("five metrics of 5,000 maps, densities ready", "alone", whole, "s", at_most=8))
    return rows


def whole_scoring(rounds: int) -> list[Row]:
    """The five metrics from the points: counting, blurring and scoring together, as a run does it."""
    points, maps = generated(MAPS), attention(MAPS)
    priors = of_training(points)

    def ours() -> None:
        score_points(lambda index: maps[torch.from_numpy(index)], points, priors, FIVE)

    ours()
    many = 5000 / MAPS
    print("five metrics with the density maps, from points, 5,000 maps")
    wall = [many * seconds(ours) for _ in range(rounds)]
    print(f"  wall: {spread(wall, 1)} s")
    busy = [many * seconds(ours, time.process_time) for _ in range(rounds)]
    print(f"  processor time of all threads: {spread(busy, 1)} s")
    return [measured("five metrics of 5,000 maps, densities made from points", "alone", wall, "s", at_most=8)]


def against_scipy(rounds: int) -> list[Row]:
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

    difference = float(np.abs(torch.cat(ours())[:few].numpy() - loop()).max())
    found = [(timed(ours, MAPS), timed(loop, few)) for _ in range(rounds)]
    for clock, what in enumerate(("wall time", "processor time")):
        own, others = ([r[side][clock] for r in found] for side in range(2))
        ratio = spread([t / o for o, t in zip(own, others, strict=True)], 1)
        print(f"density maps, {what}, scipy loop / ours: {ratio} times as fast")
        print(f"  ours, ms a map: {spread(own, 2)}; scipy: {spread(others, 2)}")
    print(f"  largest difference of the 0..1 maps: {difference:.1e}")
    item, against = "density map of 500 fixations", "loop over scipy's gaussian_filter"
    own, others = ([r[side][0] for r in found] for side in range(2))
    return [
        paired(item, against, own, others, at_least=10),
        measured(f"{item}: largest difference", against, [difference], "", at_most=1e-5),
    ]


def peak_of(n: int) -> dict[str, float]:
    """Peak memory of scoring n images in a process of its own, in MB, and what the fixations themselves take."""
    command = [sys.executable, __file__, "--peak", str(n)]
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def peak(n: int) -> None:
    """Score n generated images, all metrics, and print the peak memory as JSON."""
    points, grids = generated(n), torch.rand(MAPS, 14, 14)
    priors = of_training(points)
    score_points(lambda index: upsampled(grids[torch.from_numpy(index % MAPS)], SIZE), points, priors, METRICS)
    columns = (points.row, points.column, points.weight, points.observer, points.offsets, points.sigma_px)
    print(json.dumps({"peak": peak_bytes() / 1e6, "data": sum(c.nbytes for c in columns if 0 not in c.strides) / 1e6}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--skip-memory", action="store_true")
    rows_option(parser)
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        peak(arguments.peak)
        sys.exit()
    torch.set_num_threads(2)
    rows = against_pysaliency(arguments.rounds) + whole_scoring(arguments.rounds) + against_scipy(arguments.rounds)
    if not arguments.skip_memory:
        small, large = peak_of(5_000), peak_of(20_000)
        print(f"peak memory, 20,000 / 5,000 images: {large['peak'] / small['peak']:.3f}")
        without = [one["peak"] - one["data"] for one in (large, small)]
        print(f"  {small['peak']:.0f} and {large['peak']:.0f} MB; without the fixations {without[0] / without[1]:.3f}")
        print(f"  of which the fixations themselves, 8 bytes each: {small['data']:.0f} and {large['data']:.0f} MB")
        both = [large["peak"]], [small["peak"]]
        item = "all metrics, peak memory of 20,000 images"
        rows.append(paired(item, "of 5,000 images", *both, unit="MB", at_most=1.1, slower=True))
    kept(rows, arguments.rows)
