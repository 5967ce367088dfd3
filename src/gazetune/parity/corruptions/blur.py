"""Blur: Gaussian, defocus, frosted glass, motion and zoom."""

import math
from collections.abc import Iterator
from functools import lru_cache

import numpy as np
from jaxtyping import Complex, Float, Int, Num
from scipy.fft import next_fast_len
from scipy.ndimage import gaussian_filter

from gazetune.parity.corruptions.levels import Pixels, row_blocks, to_levels, to_unit, to_unit32
from gazetune.parity.corruptions.resample import enlarged_centre

Draws = np.random.RandomState

# Where the exp of numpy 1.23 (with AVX-512), which the stored results of the original were made with, lies one unit in
# the last place above or below the nearest float64: by SD, which value. In an even area a level hangs on it, because
# the weighted sum is cut off: with other last digits white becomes 254.
LAST_DIGIT: dict[float, dict[int, int]] = {
    3.0: {5: 1, 6: -1, 8: 1, 9: 1, 12: -1, 15: 1, 16: -1, 20: 1},
    5.0: {1: 1, 10: -1, 15: 1, 20: -1, 25: 1, 29: -1},
    8.0: {1: 1, 4: -1, 11: -1, 14: -1, 15: -1, 16: -1, 20: -1, 22: 1, 24: 1, 25: 1},
    12.0: {1: 1, 6: -1, 7: -1, 11: -1, 13: 1, 20: 1, 21: -1, 24: -1, 30: -1},
    15.0: {1: 1, 3: 1, 11: 1, 13: -1, 25: 1, 30: -1, 40: 1},
}


def _blurred(unit: Float[np.ndarray, "height width 3"], sigma_px: float) -> Float[np.ndarray, "height width 3"]:
    return gaussian_filter(unit, (sigma_px, sigma_px, 0), output=unit, mode="nearest", truncate=4)


def gaussian_blur(pixels: Pixels, sigma_px: float) -> Pixels:
    """A Gaussian of SD `sigma_px`, cut at 4 SD, the edge pixels continued."""
    return to_levels(_blurred(to_unit(pixels), sigma_px))


def defocus_blur(pixels: Pixels, disk: tuple[int, float]) -> Pixels:
    """The blur of a lens out of focus: `disk` is its radius in pixels and the SD of its soft edge.

    By the Fourier transform in float64, because the level of an even area hangs on whether the kernel sums to a little
    more than 1 or a little less.
    """
    height, width, _ = pixels.shape
    reach = len(_disk(*disk)) // 2
    rows, columns = height + 2 * reach, width + 2 * reach
    size = tuple(16 * next_fast_len(-(-n // 16), real=True) for n in (rows, columns))
    padded = np.pad(pixels, ((reach, reach), (reach, reach), (0, 0)), mode="reflect")
    plane, spectrum = np.zeros((rows, size[1])), np.empty((size[0], size[1] // 2 + 1), dtype=complex)
    back, levels = np.empty((height, size[1])), np.empty_like(pixels)
    for channel in range(3):
        plane[:, :columns] = padded[..., channel]
        np.fft.rfft(plane, axis=1, out=spectrum[:rows])
        spectrum[rows:] = 0
        np.fft.fft(spectrum, axis=0, out=spectrum)
        spectrum *= _disk_spectrum(disk, size)
        np.fft.ifft(spectrum, axis=0, out=spectrum)
        np.fft.irfft(spectrum[2 * reach : rows], size[1], axis=1, out=back)
        levels[..., channel] = np.minimum(back[:, 2 * reach : columns], 255)
    return levels


@lru_cache(maxsize=32)
def _disk_spectrum(disk: tuple[int, float], size: tuple[int, ...]) -> Complex[np.ndarray, "height half_width"]:
    return np.fft.rfft2(_disk(*disk).astype(np.float64), size)


@lru_cache
def _disk(radius_px: int, sigma_px: float) -> Float[np.ndarray, "side side"]:
    """A disk of sum 1 on at least 17 x 17 pixels, its edge softened; float32 as in the original.

    At radius 8 and 10 the disk touches its frame, which the blur mirrors, so that the sum becomes 1.013 and 1.011 and
    the picture brighter. That is the original's, and part of what ImageNet-C is.
    """
    half = max(radius_px, 8)
    line = np.arange(-half, half + 1)
    disk = (line[:, None] ** 2 + line**2 <= radius_px**2).astype(np.float32)
    disk /= disk.sum()
    reach = 1 if radius_px <= 8 else 2
    tap = np.exp(-0.5 * (np.arange(reach + 1) / sigma_px) ** 2)
    tap = (tap / (tap[0] + 2 * tap[1:].sum())).astype(np.float32)
    for axis in (1, 0):
        padded = np.moveaxis(np.pad(disk, reach, mode="reflect"), axis, 0)[:, reach:-reach]
        total = padded[reach:-reach] * tap[0]
        for k in range(1, reach + 1):  # a product of float32 is exact in float64: multiply and add with one rounding
            pair = padded[reach + k : len(padded) - reach + k] + padded[reach - k : -reach - k]
            total = (pair.astype(np.float64) * tap[k] + total).astype(np.float32)
        disk = np.moveaxis(total, 0, axis)
    return disk


def glass_blur(pixels: Pixels, glass: tuple[float, int, int], draws: Draws) -> Pixels:
    """Blurred, then pixels taken from nearby, then blurred: `glass` is SD in pixels, farthest displacement, rounds.

    The definition exchanges pixels. The original means to, but its exchange reads what it has just written, so that
    each pixel in turn, from the bottom right, becomes a copy of one nearby, which may be a copy itself.
    """
    sigma_px, farthest, rounds = glass
    height, width, _ = pixels.shape
    source = np.arange(height * width)
    for _ in range(rounds):
        source = source[_copied(height, width, farthest, draws)]
    first = _blurred(to_unit(pixels), sigma_px)
    first *= 255
    moved = first.astype(np.uint8).reshape(-1, 3)[source].reshape(pixels.shape)
    return to_levels(_blurred(to_unit(moved), sigma_px))


def _copied(height: int, width: int, farthest: int, draws: Draws) -> Int[np.ndarray, " pixel"]:
    """For each pixel the one whose value it has after a round of copying in turn.

    A copy of a pixel that had its turn is a copy of what that one became. The chains are followed for all pixels at
    once, each step doubling the length followed.
    """
    row, column = np.arange(height - farthest, farthest, -1), np.arange(width - farthest, farthest, -1)
    right, down = np.moveaxis(draws.randint(-farthest, farthest, size=(len(row), len(column), 2)), 2, 0)
    from_row, from_column = row[:, None] + down, column + right
    turn = row[:, None] * width + column
    taken = from_row * width + from_column
    had_turn = (taken > turn) & (from_row <= row[0]) & (from_column <= column[0]) & (from_column >= column[-1])
    origin, chain = np.arange(height * width), np.arange(height * width)
    origin[turn] = taken
    chain[turn] = np.where(had_turn, taken, turn)
    while not np.array_equal(further := chain[chain], chain):
        chain = further
    return origin[chain]


def motion_blur(pixels: Pixels, motion: tuple[int, float], draws: Draws) -> Pixels:
    """Blurred along a line within 45 degrees of the horizontal: `motion` is radius and SD in pixels."""
    moved = np.empty_like(pixels)
    for block, values in smeared(pixels, *motion, angle_degrees=draws.uniform(-45, 45)):
        moved[block] = np.minimum(values, 255)
    return moved


def smeared(
    values: Num[np.ndarray, "height width channels"], radius_px: int, sigma_px: float, angle_degrees: float
) -> Iterator[tuple[slice, Float[np.ndarray, "rows width channels"]]]:
    """The weighted sum of copies shifted along a line, the weights half a Gaussian, the edge pixels continued.

    Block by block from the top: which rows, and their sums, in float64.
    """
    height, width, channels = values.shape
    steps = _steps(height, width, 2 * radius_px + 1, angle_degrees)
    weight = _half_gaussian(2 * radius_px + 1, sigma_px)
    above, left = (max(0, *at) for at in zip(*steps, strict=True))
    below, right = (max(0, *(-step for step in at)) for at in zip(*steps, strict=True))
    padded = np.pad(values, ((above, below), (left, right), (0, 0)), mode="edge").astype(np.float64)
    for block in row_blocks(height, width):
        rows = block.stop - block.start
        total, term = np.zeros((rows, width, channels)), np.empty((rows, width, channels))
        for share, (down, across) in zip(weight, steps, strict=False):
            y, x = block.start + above - down, left - across
            np.multiply(padded[y : y + rows, x : x + width], share, out=term)
            total += term
        yield block, total


def _half_gaussian(length: int, sigma_px: float) -> Float[np.ndarray, " length"]:
    """The falling half of a Gaussian with sum 1, to the last digit the same on every machine."""
    fall = np.array([math.exp(-(i**2) / (2 * sigma_px**2)) for i in range(length)])
    for i, direction in LAST_DIGIT.get(sigma_px, {}).items():
        if i < length:
            fall[i] = np.nextafter(fall[i], direction * np.inf)
    weight = fall / (math.sqrt(2 * math.pi) * sigma_px)
    return weight / weight.sum()


def _steps(height: int, width: int, length: int, angle_degrees: float) -> list[tuple[int, int]]:
    """Down and across in whole pixels, from no step on, as long as they stay within the picture."""
    rise, run = length * np.sin(np.deg2rad(angle_degrees)), length * np.cos(np.deg2rad(angle_degrees))
    hypotenuse = math.hypot(rise, run)
    steps: list[tuple[int, int]] = []
    for i in range(length):
        down, across = (-math.ceil(i * part / hypotenuse - 0.5) for part in (rise, run))
        if abs(down) >= height or abs(across) >= width:
            break
        steps.append((down, across))
    return steps


def zoom_blur(pixels: Pixels, zoom: tuple[float, float]) -> Pixels:
    """The mean of the picture and its enlarged middles: `zoom` is the end and the step of the factors from 1."""
    unit, factors = to_unit32(pixels), np.arange(1, *zoom)
    height, width, _ = pixels.shape
    total = np.zeros_like(unit)
    for factor in factors:
        total += enlarged_centre(unit, factor)[:height, :width]
    total += unit
    total /= len(factors) + 1
    return to_levels(total)
