"""Noise: Gaussian, shot, impulse and speckle."""

import numpy as np
from jaxtyping import UInt8

from gazetune.parity.corruptions.levels import UNIT, to_levels

Pixels = UInt8[np.ndarray, "height width 3"]


def gaussian_noise(pixels: Pixels, scale: float, draws: np.random.RandomState) -> Pixels:
    """Normal noise of SD `scale` (of 0..1) on every value."""
    noisy = draws.normal(scale=scale, size=pixels.shape)
    noisy += UNIT[pixels]
    return to_levels(noisy)


def shot_noise(pixels: Pixels, photons: int, draws: np.random.RandomState) -> Pixels:
    """Poisson counts, on average `photons` where the picture is white."""
    counts = draws.poisson(UNIT[pixels] * photons)
    level = to_levels(np.arange(photons + 1) / float(photons))
    return level[np.minimum(counts, photons)]


def impulse_noise(pixels: Pixels, share: float, draws: np.random.RandomState) -> Pixels:
    """`share` of the values become 0 or 255, either with the same probability.

    The original's stream of random numbers is not seeded, so that its pixels cannot be had again: here one uniform
    number for each value says both whether and what.
    """
    draw = draws.random_sample(pixels.shape)
    noisy = pixels.copy()
    noisy[draw < share] = 255
    noisy[draw < share / 2] = 0
    return noisy


def speckle_noise(pixels: Pixels, scale: float, draws: np.random.RandomState) -> Pixels:
    """Normal noise of SD `scale` times the value."""
    unit = UNIT[pixels]
    noisy = draws.normal(scale=scale, size=pixels.shape)
    noisy *= unit
    noisy += unit
    return to_levels(noisy)
