"""Metrics of many images at once: maps and fixations in, one row an image out."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gazetune.data.stimuli import Stimuli
from gazetune.maps import Human, Points, counts, densities, grid_points
from gazetune.metrics import METRICS, Metric
from gazetune.priors import fixation_counts

BATCH = 64  # images at a time: about 0.3 GB of working memory on 224x224 maps, whatever the number of images

Index = Int[np.ndarray, " batch"]
# positions of images -> their attention maps, 0..1, on the grid of the points
Maps = Callable[[Index], Float[Tensor, "batch height width"]]


def batches(n: int) -> Iterator[Index]:
    """Positions 0..n-1, a batch at a time."""
    return (np.arange(start, min(start + BATCH, n)) for start in range(0, n, BATCH))


def score_points(
    maps: Maps, points: Points, elsewhere: Float[Tensor, "height width"], metrics: Mapping[str, Metric]
) -> pd.DataFrame:
    """Each metric of each map against the fixations of its image, and the reason where a value is missing.

    Args:
        maps: the attention maps of a batch of images.
        points: the fixations, image by image.
        elsewhere: fixations per pixel of the training images: the negatives of the shuffled AUC.
        metrics: what to compute; each takes the maps that it says it needs.
    """
    columns: dict[str, list[np.ndarray]] = {name: [] for name in metrics}
    constant: list[np.ndarray] = []
    for index in batches(len(points)):
        attention = maps(index)
        given = {
            "attention": attention,
            "density": densities(points, index),
            "fixations": counts(points, index),
            "elsewhere": elsewhere[None],
        }
        for name, metric in metrics.items():
            columns[name].append(metric.function(*(given[need] for need in metric.needs)).double().numpy())
        constant.append(attention.isnan().any(dim=(1, 2)).numpy())
    table = pd.DataFrame({name: np.concatenate(parts) for name, parts in columns.items()})
    empty = np.diff(points.offsets) == 0
    why = [
        "no fixation" if e else "constant map" if c else None
        for e, c in zip(empty, np.concatenate(constant), strict=True)
    ]
    return table.assign(reason=pd.Series(why, dtype=object))


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
        training: the data whose fixations are the negatives of the shuffled AUC; by default `stimuli` itself.
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
        lambda index: maps[torch.from_numpy(index)], points, fixation_counts(others), metrics or METRICS
    )
    table.insert(0, "image", list(stimuli.ids))
    return table
