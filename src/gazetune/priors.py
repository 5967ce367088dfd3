"""Where people look whatever is shown: one home for the baseline rows, the controls and the centre corrections."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from torch import Tensor

from gazetune.maps import Points, counts, densities, sum_to_one
from gazetune.observers import image_of

BATCH = 256
LEAST_SD_PX = 0.5  # of the centre Gaussian, so that fixations on one pixel still make a map

# positions of images -> one map for all of them, or one each
Prior = Callable[[Int[np.ndarray, " batch"]], Float[Tensor, "#batch height width"]]


@dataclass(frozen=True)
class Priors:
    """What is known of where people look in an image from other images alone.

    mean_map: the mean of their density maps, sum 1. gaussian: a Gaussian fitted to their fixations, sum 1.
    elsewhere: their fixations per pixel. from_training: these are the training images; else all others of the same set.
    Without any, maps are NaN.
    """

    mean_map: Prior
    gaussian: Prior
    elsewhere: Prior
    from_training: bool


def of_training(training: Points) -> Priors:
    """The priors that training images give: the same for every image."""
    size = training.size
    empty = torch.full((1, size, size), torch.nan)
    mean, elsewhere = mean_training_map(training)[None], fixation_counts(training)[None]
    gaussian = centre_gaussian(training)[None] if training.weight.sum() > 0 else empty
    return Priors(lambda _: mean, lambda _: gaussian, lambda _: elsewhere, True)


def of_others(points: Points) -> Priors:
    """The priors that all other images of the same set give: leave-one-out, so no image takes part in its own.

    For a data set that nothing was trained on.
    """
    seen = int((np.diff(points.offsets) > 0).sum())
    total, everywhere = mean_training_map(points).double() * seen, fixation_counts(points)
    moments = _moments(points)

    def mean_map(index: Int[np.ndarray, " batch"]) -> Float[Tensor, "batch height width"]:
        own = sum_to_one(densities(points, index)).double()
        others = seen - (~own.isnan().any(dim=(1, 2))).long()[:, None, None]
        rest = (total - own.nan_to_num(0)).clamp(min=0)  # rounding must not make a prior negative
        return torch.where(others > 0, rest / others, torch.nan).float()

    def gaussian(index: Int[np.ndarray, " batch"]) -> Float[Tensor, "batch height width"]:
        return torch.stack([_gaussian(moments.sum(0) - moments[i], points.size) for i in index])

    def elsewhere(index: Int[np.ndarray, " batch"]) -> Float[Tensor, "batch height width"]:
        return everywhere - counts(points, index)

    return Priors(mean_map, gaussian, elsewhere, False)


def one_each(priors: Priors, image: Int[np.ndarray, " row"]) -> Priors:
    """The same priors for rows of which `image` says the image, such as pairs of an image and an observer."""
    mean, gaussian, elsewhere = priors.mean_map, priors.gaussian, priors.elsewhere
    return Priors(
        lambda index: mean(image[index]),
        lambda index: gaussian(image[index]),
        lambda index: elsewhere(image[index]),
        priors.from_training,
    )


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
    if not points.weight.sum() > 0:
        raise ValueError("a centre Gaussian needs at least one fixation")
    return _gaussian(_moments(points).sum(0), points.size)


def _moments(points: Points) -> Float64[np.ndarray, "image 5"]:
    """Per image: the sum of weights, and of weight x row, row^2, column, column^2."""
    moments = np.empty((len(points), 5))
    for start in range(0, len(points), BATCH):  # float64 columns of all points would be larger than the points
        index = np.arange(start, min(start + BATCH, len(points)))
        part = points.take(index)
        image, weight = image_of(part), part.weight.astype(np.float64)
        row, column = part.row.astype(np.float64), part.column.astype(np.float64)
        for k, factor in enumerate((np.ones_like(row), row, row**2, column, column**2)):
            moments[index, k] = np.bincount(image, weights=weight * factor, minlength=len(index))
    return moments


def _gaussian(moments: Float64[np.ndarray, " 5"], size: int) -> Float[Tensor, "size size"]:
    total = moments[0]
    if not total > 0:
        return torch.full((size, size), torch.nan)
    profiles = []
    for first, second in (moments[1:3], moments[3:5]):
        mean = first / total
        sd_px = max(max(second / total - mean**2, 0) ** 0.5, LEAST_SD_PX)
        profiles.append(torch.from_numpy(np.exp(-0.5 * ((np.arange(size) - mean) / sd_px) ** 2)))
    return sum_to_one(torch.outer(*profiles)[None])[0].float()


def fixation_counts(points: Points) -> Float[Tensor, "height width"]:
    """All fixations of a set of images on one grid: the negatives of the shuffled AUC, with their weights."""
    total = torch.zeros(points.size, points.size)
    for start in range(0, len(points), BATCH):
        total += counts(points, np.arange(start, min(start + BATCH, len(points)))).sum(0)
    return total
