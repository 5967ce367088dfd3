"""Noise: Gaussian, shot, impulse and speckle."""

import numpy as np
from jaxtyping import Float

from gazetune.parity.corruptions.levels import Pixels, by_blocks, row_blocks, to_levels, to_unit


def gaussian_noise(pixels: Pixels, scale: float, draws: np.random.RandomState) -> Pixels:
    """Normal noise of SD `scale` (of 0..1) on every value."""
    normal = _normal(pixels.size, draws).reshape(pixels.shape)
    noisy = np.empty_like(pixels)
    for block in row_blocks(*pixels.shape[:2]):
        noise = normal[block]
        noise *= scale
        noise += to_unit(pixels[block])
        noisy[block] = to_levels(noise)
    return noisy


def shot_noise(pixels: Pixels, photons: int, draws: np.random.RandomState) -> Pixels:
    """Poisson counts, on average `photons` where the picture is white."""
    level = to_levels(np.arange(photons + 1) / float(photons))
    return np.take(level, draws.poisson(to_unit(pixels) * photons), mode="clip")


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
    normal = _normal(pixels.size, draws).reshape(pixels.shape)
    noisy = np.empty_like(pixels)
    for block in row_blocks(*pixels.shape[:2]):
        unit, noise = to_unit(pixels[block]), normal[block]
        noise *= scale
        noise *= unit
        noise += unit
        noisy[block] = to_levels(noise)
    return noisy


def _normal(n: int, draws: np.random.RandomState) -> Float[np.ndarray, " n"]:
    """The numbers of `draws.normal(size=n)` (to the last digit but one, which the logarithm may change), in less time.

    Marsaglia's polar method (1964) for many pairs at once. It draws more than it needs: nothing may be drawn after it.
    """
    pairs = 8192
    normal, done = np.empty(n + 2 * pairs), 0
    while done < n:
        point = draws.random_sample((pairs, 2))
        point *= 2
        point -= 1
        square = point[:, 0] ** 2
        square += point[:, 1] ** 2
        inside = np.flatnonzero((square < 1) & (square > 0))
        square = square[inside]
        factor = np.sqrt(np.log(square) * -2 / square)
        end = done + 2 * len(inside)
        normal[done:end:2] = point[inside, 1] * factor
        normal[done + 1 : end : 2] = point[inside, 0] * factor
        done = end
    return normal[:n]
