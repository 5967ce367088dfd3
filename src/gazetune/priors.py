"""Where people look whatever is shown: one home for the baseline row, the controls and the centre corrections."""

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from gazetune.maps import Points, counts, densities, sum_to_one

BATCH = 256


def mean_training_map(points: Points) -> Float[Tensor, "height width"]:
    """The mean of the training images' density maps, each first scaled to sum 1; images without fixation left out."""
    total = torch.zeros(points.size, points.size, dtype=torch.float64)
    seen = np.flatnonzero(np.diff(points.offsets))
    for start in range(0, len(seen), BATCH):
        total += sum_to_one(densities(points, seen[start : start + BATCH])).double().sum(0)
    return (total / len(seen)).float()


def fixation_counts(points: Points) -> Float[Tensor, "height width"]:
    """All fixations of a set of images on one grid: the negatives of the shuffled AUC, with their weights."""
    total = torch.zeros(points.size, points.size)
    for start in range(0, len(points), BATCH):
        total += counts(points, np.arange(start, min(start + BATCH, len(points)))).sum(0)
    return total
