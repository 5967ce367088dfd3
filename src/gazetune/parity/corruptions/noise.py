"""Noise: Gaussian, shot, impulse and speckle."""

import numpy as np

from gazetune.parity.corruptions.levels import Pixels, by_blocks, to_levels, to_unit


def gaussian_noise(pixels: Pixels, scale: float, draws: np.random.RandomState) -> Pixels:
    """Normal noise of SD `scale` (of 0..1) on every value."""

    def noisy(block: Pixels) -> Pixels:
        noise = draws.normal(scale=scale, size=block.shape)
        noise += to_unit(block)
        return to_levels(noise)

    return by_blocks(pixels, noisy)


def shot_noise(pixels: Pixels, photons: int, draws: np.random.RandomState) -> Pixels:
    """Poisson counts, on average `photons` where the picture is white."""
    level = to_levels(np.arange(photons + 1) / float(photons))
    return by_blocks(pixels, lambda block: level[np.minimum(draws.poisson(to_unit(block) * photons), photons)])


def impulse_noise(pixels: Pixels, share: float, draws: np.random.RandomState) -> Pixels:
    """`share` of the values become 0 or 255, either with the same probability.

    The original's stream of random numbers is not seeded, so that its pixels cannot be had again: here one uniform
    number for each value says both whether and what.
    """

    def noisy(block: Pixels) -> Pixels:
        draw = draws.random_sample(block.shape)
        return np.where(draw < share, np.where(draw < share / 2, np.uint8(0), np.uint8(255)), block)

    return by_blocks(pixels, noisy)


def speckle_noise(pixels: Pixels, scale: float, draws: np.random.RandomState) -> Pixels:
    """Normal noise of SD `scale` times the value."""

    def noisy(block: Pixels) -> Pixels:
        unit = to_unit(block)
        noise = draws.normal(scale=scale, size=block.shape)
        noise *= unit
        noise += unit
        return to_levels(noise)

    return by_blocks(pixels, noisy)
