"""What a model's attention is drawn towards: the true pairs, or a control's."""

from collections.abc import Callable

import numpy as np
from jaxtyping import Float, Int
from torch import Tensor

from gazetune.errors import InputError
from gazetune.maps import Points, densities

# positions of images within a split -> their target maps, 0..1
Targets = Callable[[Int[np.ndarray, " batch"]], Float[Tensor, "batch height width"]]


def derangement(n: int, seed: int) -> Int[np.ndarray, " n"]:
    """A random permutation without fixed points, each equally likely.

    Drawn again until none is left in place (2.7 draws on average): the plain permutation of a seed leaves some
    images with their own map. Raises InputError for fewer than two, where there is none.
    """
    if n < 2:
        raise InputError("The targets 'shuffled' need at least two images with fixations in each split.")
    generator = np.random.default_rng(seed)
    while True:
        order = generator.permutation(n)
        if not (order == np.arange(n)).any():
            return order


def true_pairs(points: Points, seed: int) -> Targets:
    """Each image's own human density map (the tuned model)."""
    return lambda index: densities(points, index)


def shuffled(points: Points, seed: int) -> Targets:
    """The density map of another image of the same split (the paper's control): same maps, no correspondence."""
    other = derangement(len(points), seed)
    return lambda index: densities(points, other[index])


TARGETS: dict[str, Callable[[Points, int], Targets]] = {"true_pairs": true_pairs, "shuffled": shuffled}
