"""Sparsity: how concentrated a map is, as its entropy in bits, and whether that holds in empty and in full scenes."""

import numpy as np
from jaxtyping import Float, Int

from gazetune.biases.measure import Measured

# Number of annotated objects of an image, from - to; the paper does not state its levels.
CLUTTER: tuple[tuple[int, int | None], ...] = ((0, 0), (1, 2), (3, 5), (6, 10), (11, 20), (21, None))


def level_names() -> tuple[str, ...]:
    """What the levels of clutter are called: 0, 1-2, ..., 21+ objects."""
    return tuple(f"{a}+" if b is None else str(a) if a == b else f"{a}-{b}" for a, b in CLUTTER)


def clutter(measured: Measured) -> Int[np.ndarray, " image"]:
    """The level of each image, as a position in CLUTTER; all annotated objects count, also hidden ones."""
    number = np.bincount(measured.objects["position"].to_numpy(dtype=np.int64), minlength=len(measured.images))
    return np.searchsorted([low for low, _ in CLUTTER], number, side="right") - 1


def entropy_by_level(measured: Measured) -> dict[str, Float[np.ndarray, "image key"]]:
    """Entropy of every map in bits, by level of clutter: NaN for the images of other levels; empty levels left out.

    A map that is the same everywhere has log2(224 x 224) = 15.615 bits; less is sparser.
    """
    level, names = clutter(measured), level_names()
    return {names[i]: np.where((level == i)[:, None], measured.entropy_bits, np.nan) for i in np.unique(level).tolist()}
