"""Where people look whatever is shown: one home for the baseline row, the controls and the centre corrections."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gazetune.maps import Points, counts, densities, sum_to_one

BATCH = 256


def mean_training_map(points: Points) -> Float[Tensor, "height width"]:
    """The mean of the training images' density maps, each first scaled to sum 1; images without fixation left out.

    NaN where no image has a fixation.
    """
    total = torch.zeros(points.size, points.size, dtype=torch.float64)
    seen = np.flatnonzero(np.diff(points.offsets))
    for start in range(0, len(seen), BATCH):
        total += sum_to_one(densities(points, seen[start : start + BATCH])).double().sum(0)
    return (total / len(seen)).float()


def centre_gaussian(points: Points) -> Float[Tensor, "height width"]:
    """A Gaussian with the mean and the SD of all fixations, down and across, scaled to sum 1.

    The axes are independent: no tilt. SD in map pixels, divided by n (each fixation as much as it weighs), at least
    half a pixel, so that fixations on one pixel still make a map.

    Raises:
        ValueError: no fixation.
    """
    weight = points.weight.astype(np.float64)
    if not weight.sum() > 0:
        raise ValueError("a centre Gaussian needs at least one fixation")
    profiles = []
    for cell in (points.row, points.column):
        mean = np.average(cell, weights=weight)
        sd_px = max(np.average((cell - mean) ** 2, weights=weight) ** 0.5, 0.5)
        profiles.append(torch.from_numpy(np.exp(-0.5 * ((np.arange(points.size) - mean) / sd_px) ** 2)))
    return sum_to_one(torch.outer(*profiles)[None])[0].float()


def fixation_counts(points: Points) -> Float[Tensor, "height width"]:
    """All fixations of a set of images on one grid: the negatives of the shuffled AUC, with their weights."""
    total = torch.zeros(points.size, points.size)
    for start in range(0, len(points), BATCH):
        total += counts(points, np.arange(start, min(start + BATCH, len(points)))).sum(0)
    return total
