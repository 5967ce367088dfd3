"""Between the 256 levels of a picture and 0..1, and what one corruption is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, UInt8

# the published parameters are for intensities in 0..1
UNIT: Float[np.ndarray, "256"] = np.arange(256) / 255.0
UNIT32: Float[np.ndarray, "256"] = UNIT.astype(np.float32)


@dataclass(frozen=True)
class Corruption:
    """A function of pixels, parameters and a stream of random numbers, and its parameters for severities 1 to 5."""

    apply: Callable[[UInt8[np.ndarray, "height width 3"], Any, np.random.RandomState], UInt8[np.ndarray, "..."]]
    severities: tuple[Any, Any, Any, Any, Any]
    group: str


def to_levels(unit: Float[np.ndarray, "*shape"]) -> UInt8[np.ndarray, "*shape"]:
    """Intensities 0..1 as levels 0..255, cut off and not rounded, as in ImageNet-C; overwrites its argument."""
    np.clip(unit, 0, 1, out=unit)
    unit *= 255
    return unit.astype(np.uint8)
