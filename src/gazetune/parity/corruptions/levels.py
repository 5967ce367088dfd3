"""Between the 256 levels of a picture and 0..1, and what one corruption is."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

Pixels = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class Corruption:
    """A function, its parameters for severities 1 to 5, the group in ImageNet-C, and whether chance has a part in it.

    The function takes pixels, one severity's parameters and, where chance has a part, the stream of random numbers.
    """

    apply: Callable[..., Pixels]
    severities: tuple[Any, Any, Any, Any, Any]
    group: str
    random: bool = True


def to_unit(pixels: UInt8[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Levels 0..255 as intensities 0..1, for which the published parameters are meant, in float64."""
    return pixels / 255.0


def to_unit32(pixels: UInt8[np.ndarray, "*shape"]) -> Float[np.ndarray, "*shape"]:
    """Levels 0..255 as intensities 0..1 in float32."""
    return pixels.astype(np.float32) / np.float32(255)


def to_levels(unit: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Intensities 0..1 as levels 0..255, cut off and not rounded, as in ImageNet-C; overwrites its argument."""
    np.clip(unit, 0, 1, out=unit)
    unit *= 255
    return unit.astype(np.uint8)


def over_channels(plane: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "height width 3"]:
    """The plane three times; adding this is much faster than broadcasting over a last axis of three."""
    return np.repeat(plane, 3, axis=1).reshape(*plane.shape, 3)


def row_blocks(height: int, width: int) -> Iterator[slice]:
    """The rows in blocks of at most 16,384 values in three channels (if a row has no more), 128 kB in float64.

    Larger temporaries leave the cache, and the system hands their memory out page by page, anew for each of them: that
    took up to half of the time.
    """
    rows = max(1, 16_384 // (3 * width))
    return (slice(top, min(top + rows, height)) for top in range(0, height, rows))


def by_blocks(pixels: Pixels, function: Callable[[Pixels], Pixels]) -> Pixels:
    """A function of single values or pixels, block by block from the top."""
    done = np.empty_like(pixels)
    for block in row_blocks(*pixels.shape[:2]):
        done[block] = function(pixels[block])
    return done
