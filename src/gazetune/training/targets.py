"""What a model's attention is drawn towards: the true pairs, or a control's."""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gazetune.errors import InputError
from gazetune.maps import Points, densities, min_max
from gazetune.priors import mean_training_map

FEWEST_SHUFFLED = 2  # images, each of which has the map of another
# positions of images within a split -> their target maps, 0..1
Targets = Callable[[Int[np.ndarray, " batch"]], Float[Tensor, "batch height width"]]


def derangement(n: int, seed: int) -> Int[np.ndarray, " n"]:
    """A random permutation without fixed points, each equally likely.

    Drawn again until none is left in place (2.7 draws on average): the plain permutation of a seed leaves some
    images with their own map. Raises InputError for fewer than two, where there is none.
    """
    if n < FEWEST_SHUFFLED:
        raise InputError("The targets 'shuffled' need at least two images with fixations in each split.")
    generator = np.random.default_rng(seed)
    while True:
        order = generator.permutation(n)
        if not (order == np.arange(n)).any():
            return order


def true_pairs(points: Points, training_points: Points, seed: int) -> Targets:
    """Each image's own human density map (the tuned model)."""
    return lambda index: densities(points, index)


def shuffled(points: Points, training_points: Points, seed: int) -> Targets:
    """The density map of another image of the same split (the paper's control): same maps, no correspondence."""
    other = derangement(len(points), seed)
    return lambda index: densities(points, other[index])


def centre(points: Points, training_points: Points, seed: int) -> Targets:
    """The mean map of the training images for every image, also for the validation images: centre bias alone.

    Raises InputError where it does not exist: no training image has a fixation, or the mean map is constant.
    """
    if not len(training_points.row):
        raise InputError("The targets 'centre' need at least one training image with fixations.")
    mean = min_max(mean_training_map(training_points)[None])
    if mean.isnan().any():
        raise InputError("The targets 'centre' need fixations whose mean density map is not constant.")
    return lambda index: mean.expand(len(index), -1, -1)


def uniform(points: Points, training_points: Points, seed: int) -> Targets:
    """The flat map, 1 everywhere, for every image: spread attention out, towards nowhere.

    A map that is constant has no min-max (NaN); the KL divergence needs none, it divides by the sum.
    """
    return lambda index: torch.ones(len(index), points.size, points.size)


# the fixations of a split, those of the training images, a seed -> targets of the split
TARGETS: dict[str, Callable[[Points, Points, int], Targets]] = {
    "true_pairs": true_pairs,
    "shuffled": shuffled,
    "centre": centre,
    "uniform": uniform,
}
