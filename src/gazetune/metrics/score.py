"""Metrics of many images at once: maps and fixations in, one row an image out."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from gazetune.data.stimuli import Stimuli
from gazetune.maps import Human, Points, counts, densities, grid_points, is_constant
from gazetune.metrics import METRICS, Metric
from gazetune.priors import Priors, of_training
from gazetune.progress import track

BATCH = 8  # images at a time: their maps stay in the processor's cache; memory does not grow with the data set
AHEAD = 4  # batches that wait for each thread
LARGE_BLOCK_BYTES = 31 * 2**20

NEGATIVE = "negative values"  # the map is no distribution: KL and information gain are NaN, the others are not

Index = Int[np.ndarray, " batch"]
Result = TypeVar("Result")
Reasons = Shaped[np.ndarray, " batch"]
# positions of images -> their attention maps, 0..1, on the grid of the points
Maps = Callable[[Index], Float[Tensor, "batch height width"]]


def batches(n: int) -> Iterator[Index]:
    """Positions 0..n-1, a batch at a time."""
    return (np.arange(start, min(start + BATCH, n)) for start in range(0, n, BATCH))


def by_batch(function: Callable[[Index], Result], n: int, what: str = "") -> list[Result]:
    """The function's results over positions 0..n-1, a batch at a time, in order; as many batches at once as torch has
    threads. Shows progress, in batches, if told what is done.

    No more than a few batches are begun and not done, so that what a batch holds while it is worked on does not add up.
    Each batch keeps to one thread: threads that share every small operation wait for each other far longer than they
    work, above all on a busy machine, and numpy's operations would use one anyway.
    """
    _keep_freed_memory()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        with ThreadPoolExecutor(threads) as workers:
            results = _in_order(workers, function, n, AHEAD * threads)
            return list(track(results, what, -(-n // BATCH)) if what else results)
    finally:
        torch.set_num_threads(threads)


def _in_order(workers: ThreadPoolExecutor, function: Callable[[Index], Result], n: int, most: int) -> Iterator[Result]:
    """The function's results, batch by batch, of which at most so many are begun before the first is taken."""
    waiting: deque[Future[Result]] = deque()
    for index in batches(n):
        waiting.append(workers.submit(function, index))
        if len(waiting) >= most:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _keep_freed_memory() -> None:
    """Have the C library keep the memory of a map for the next one.

    glibc gives large blocks back to the system when they are freed, and the system clears each page that it hands out
    again: half of all time of scoring. It keeps blocks up to the size of the largest that was freed, at most 32 MiB
    (mallopt(3), M_MMAP_THRESHOLD, "dynamic"), so one such block is freed here. Elsewhere this does nothing.
    """
    torch.empty(LARGE_BLOCK_BYTES, dtype=torch.uint8)


def score_points(
    maps: Maps,
    points: Points,
    priors: Priors,
    metrics: Mapping[str, Metric],
) -> pd.DataFrame:
    """Each metric of each map against the fixations of its image, and the reason where a value is missing.

    Args:
        maps: the attention maps of a batch of images.
        points: the fixations, image by image.
        priors: what other images tell: their fixations are the negatives of the shuffled AUC, their mean map is the
            prior of the information gain and the partial correlation.
        metrics: what to compute; each takes the maps that it says it needs.

    Raises:
        ValueError: attention maps of another size than the grid of the points.
    """

    def part(index: Index) -> tuple[Float[np.ndarray, "batch metric"], Reasons]:
        given = {
            "attention": _of_size(maps(index), points.size),
            "density": densities(points, index),
            "fixations": counts(points, index),
            "elsewhere": priors.elsewhere(index),
            "prior": priors.mean_map(index),
        }
        unusable = {
            "fixations": np.where(given["fixations"].sum((1, 2)) > 0, "", "no fixation"),
            "attention": map_faults(given["attention"]),
            "density": np.where(given["density"].amax((1, 2)).isnan(), "constant human map", ""),
        }
        negative = np.where(given["attention"].amin((1, 2)) < 0, NEGATIVE, "")
        values = [_values(metric, given, unusable) for metric in metrics.values()]
        reasons = _first([*unusable.values(), negative])
        return np.stack(values, axis=1) if values else np.empty((len(index), 0)), reasons

    parts = by_batch(part, len(points))
    if not parts:
        return pd.DataFrame(columns=[*metrics, "reason"])
    table = pd.DataFrame(np.concatenate([values for values, _ in parts]), columns=list(metrics))
    return table.assign(reason=pd.Series(np.concatenate([why for _, why in parts]), dtype=object))


def _of_size(maps: Float[Tensor, "batch height width"], size: int) -> Float[Tensor, "batch height width"]:
    if maps.shape[1:] != (size, size):
        raise ValueError(
            f"needed attention maps of {size}x{size}, the grid of the fixations; got maps of {maps.shape[1]}x"
            f"{maps.shape[2]}. Resize them first, for example with torch.nn.functional.interpolate."
        )
    return maps


def map_faults(maps: Float[Tensor, "batch height width"]) -> Reasons:
    """Why nothing can be said about a map, or an empty string."""
    low, high = maps.amin((1, 2)), maps.amax((1, 2))
    empty = maps.isnan().all(dim=2).all(dim=1)  # what min-max scaling makes of a constant map
    faults = [
        np.where(low.isinf() | high.isinf(), "infinity in the map", ""),
        np.where(empty | is_constant(maps), "constant map", ""),
        np.where(low.isnan(), "NaN in the map", ""),
    ]
    return np.array([reason or "" for reason in _first(faults)])


def _first(reasons: Sequence[Reasons]) -> Reasons:
    """The first reason of each image, None where there is none."""
    return np.array([next((str(r) for r in row if r), None) for row in zip(*reasons, strict=True)], dtype=object)


def _values(
    metric: Metric, given: Mapping[str, Tensor], unusable: Mapping[str, Reasons]
) -> Float[np.ndarray, " batch"]:
    """A metric's values; NaN, without asking the metric, where what it needs cannot be used."""
    fine = np.logical_and.reduce([unusable[need] == "" for need in metric.needs if need in unusable])
    values = np.full(len(given["attention"]), np.nan)
    if fine.all():
        values[:] = metric.function(*(given[need] for need in metric.needs)).double().numpy()
    elif fine.any():
        kept = torch.from_numpy(fine)
        maps = (given[need][kept] if len(given[need]) == len(fine) else given[need] for need in metric.needs)
        values[fine] = metric.function(*maps).double().numpy()
    return values


def score(
    maps: Float[Tensor, "image height width"],
    stimuli: Stimuli,
    training: Stimuli | None = None,
    human: Human | None = None,
    metrics: Mapping[str, Metric] | None = None,
) -> pd.DataFrame:
    """One row an image: every metric of its attention map against its fixations.

    Args:
        maps: attention maps on a square grid, 0..1, in the order of `stimuli` (see `attention_maps`).
        stimuli: images and fixations.
        training: the data whose fixations are the negatives of the shuffled AUC and make the prior of the information
            gain and the partial correlation; by default `stimuli` itself.
        human: how fixations become density maps; the paper's way by default.
        metrics: by default all of gazetune.metrics.METRICS.

    Raises:
        ValueError: not one map per image, or not square.
    """
    if len(maps) != len(stimuli) or maps.shape[1] != maps.shape[2]:
        raise ValueError(f"needed {len(stimuli)} square maps, one per image; got a tensor of shape {tuple(maps.shape)}")
    points = grid_points(stimuli, human, maps.shape[-1])
    others = points if training is None else grid_points(training, human, maps.shape[-1])
    table = score_points(
        lambda index: maps[torch.from_numpy(index)],
        points,
        of_training(others),
        metrics or METRICS,
    )
    table.insert(0, "image", list(stimuli.ids))
    return table
