"""Bilinear sampling with the rounding of scipy.ndimage's order 1, faster because it works on whole rows."""

import numpy as np
from jaxtyping import Float, Int

from gazetune.parity.corruptions.levels import over_channels, row_blocks

Position = Int[np.ndarray, "..."]
Weight = Float[np.ndarray, "..."]


def enlarged_centre(
    pixels: Float[np.ndarray, "height width channels"], factor: float
) -> Float[np.ndarray, "larger_height larger_width channels"]:
    """The middle of a picture enlarged `factor` times to at least the picture's own size, in the picture's precision.

    The numbers of `scipy.ndimage.zoom(middle, (factor, factor, 1), order=1)`, products and sums in its order: where a
    sum lies half-way between two float32 numbers, another order would round another way.
    """
    (top, rows), (left, columns) = (_middle(n, factor) for n in pixels.shape[:2])
    part = pixels[top : top + rows, left : left + columns].astype(np.float64)
    above, below, to_above, to_below = _stretched(rows, factor)
    before, after, to_before, to_after = _stretched(columns, factor)
    enlarged = np.empty((len(above), len(before), pixels.shape[2]), dtype=pixels.dtype)
    for block in row_blocks(len(above), len(before)):
        upper, lower = part[above[block]], part[below[block]]
        upper *= to_above[block, None, None]
        lower *= to_below[block, None, None]
        total = np.take(upper, before, axis=1)
        total *= to_before[:, None]
        for row, column, weight in ((upper, after, to_after), (lower, before, to_before), (lower, after, to_after)):
            term = np.take(row, column, axis=1)
            term *= weight[:, None]
            total += term
        enlarged[block] = total
    return enlarged


def _middle(size: int, factor: float) -> tuple[int, int]:
    """Where the middle begins that fills the picture when enlarged, and how long it is."""
    length = int(np.ceil(size / factor))
    return (size - length) // 2, length


def _stretched(length: int, factor: float) -> tuple[Position, Position, Weight, Weight]:
    """For each enlarged pixel its two neighbours and their weights; the first and last pixels fall on each other."""
    longer = round(length * factor)
    at = np.arange(longer) * ((length - 1) / (longer - 1))
    first, to_first, to_second = _weights(at)
    # scipy takes what lies outside by rounding alone for zero
    inside = at <= length - 1
    return first.clip(max=length - 1), (first + 1).clip(max=length - 1), to_first * inside, to_second * inside


def displaced(
    pixels: Float[np.ndarray, "height width 3"],
    down: Float[np.ndarray, "height width"],
    right: Float[np.ndarray, "height width"],
) -> Float[np.ndarray, "height width 3"]:
    """Each pixel taken from elsewhere in the picture, which is mirrored at its edges (the edge pixel twice).

    The numbers of `scipy.ndimage.map_coordinates(order=1, mode="reflect")`.
    """
    height, width = down.shape
    flat, moved = pixels.reshape(-1, 3), np.empty_like(pixels)
    for block in row_blocks(height, width):
        above, below, to_above, to_below = _neighbours(np.arange(height)[block, None] + down[block], height)
        before, after, to_before, to_after = _neighbours(np.arange(width) + right[block], width)
        total = np.zeros((*above.shape, 3))
        for row, row_weight in ((above, to_above), (below, to_below)):
            for column, column_weight in ((before, to_before), (after, to_after)):
                term = np.take(flat, row * width + column, axis=0).astype(np.float64)
                term *= over_channels(row_weight)
                term *= over_channels(column_weight)
                total += term
        moved[block] = total
    return moved


def _neighbours(at: Float[np.ndarray, "height width"], length: int) -> tuple[Position, Position, Weight, Weight]:
    """The two pixels beside each position on a line that is mirrored at both ends, and their weights."""
    at = np.where(at < -length, at % (2 * length), at)
    at = np.where(at < 0, np.where(at > -1e-15, 1e-15, -at) - 1, at)
    beyond = at > length - 1
    if beyond.any():
        wrapped = at - 2 * length * np.floor(at / (2 * length))
        at = np.where(beyond, np.where(wrapped >= length, 2 * length - wrapped - 1, wrapped), at)
    first, to_first, to_second = _weights(at)
    return first.clip(0, length - 1), (first + 1).clip(0, length - 1), to_first, to_second


def _weights(at: Weight) -> tuple[Position, Weight, Weight]:
    """The pixel before each position, its weight, and that of the next: what is left of 1, so that they sum to 1."""
    first = np.floor(at).astype(np.intp)
    to_first = 1 - (at - first)
    return first, to_first, 1 - to_first
