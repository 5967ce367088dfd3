"""The 15 corruptions of ImageNet-C and its 4 extra ones, at severities 1 to 5.

Definitions and parameters: Hendrycks & Dietterich (2019), Benchmarking neural network robustness to common corruptions
and perturbations, ICLR, as released with ImageNet-C and packaged by Rusak and Mitzkus as `imagecorruptions` 1.1.2 (both
Apache License 2.0). docs/corruptions.md says where the pixels can differ from theirs.
"""

import hashlib
import json
import threading

import numpy as np
from jaxtyping import UInt8

from gazetune.data.imagenet_c import SEVERITIES
from gazetune.errors import InputError
from gazetune.parity.corruptions.blur import defocus_blur, gaussian_blur, glass_blur, motion_blur, zoom_blur
from gazetune.parity.corruptions.digital import (
    brightness,
    contrast,
    elastic_transform,
    jpeg_compression,
    pixelate,
    saturate,
)
from gazetune.parity.corruptions.levels import Corruption
from gazetune.parity.corruptions.noise import gaussian_noise, impulse_noise, shot_noise, speckle_noise
from gazetune.parity.corruptions.optional import not_run
from gazetune.parity.corruptions.weather import fog, frost, snow, spatter

SMALLEST_PX = 32  # as in the original; the widest blurs reach 21 pixels

# what the numbers are is said where the function is; the groups are those of ImageNet-C
CORRUPTIONS: dict[str, Corruption] = {
    "gaussian_noise": Corruption(gaussian_noise, (0.08, 0.12, 0.18, 0.26, 0.38), "noise"),
    "shot_noise": Corruption(shot_noise, (60, 25, 12, 5, 3), "noise"),
    "impulse_noise": Corruption(impulse_noise, (0.03, 0.06, 0.09, 0.17, 0.27), "noise"),
    "defocus_blur": Corruption(defocus_blur, ((3, 0.1), (4, 0.5), (6, 0.5), (8, 0.5), (10, 0.5)), "blur", random=False),
    "glass_blur": Corruption(glass_blur, ((0.7, 1, 2), (0.9, 2, 1), (1.0, 2, 3), (1.1, 3, 2), (1.5, 4, 2)), "blur"),
    "motion_blur": Corruption(motion_blur, ((10, 3.0), (15, 5.0), (15, 8.0), (15, 12.0), (20, 15.0)), "blur"),
    "zoom_blur": Corruption(
        zoom_blur, ((1.11, 0.01), (1.16, 0.01), (1.21, 0.02), (1.26, 0.02), (1.31, 0.03)), "blur", random=False
    ),
    "snow": Corruption(
        snow,
        (
            (0.1, 0.3, 3.0, 0.5, 10, 4.0, 0.8),
            (0.2, 0.3, 2.0, 0.5, 12, 4.0, 0.7),
            (0.55, 0.3, 4.0, 0.9, 12, 8.0, 0.7),
            (0.55, 0.3, 4.5, 0.85, 12, 8.0, 0.65),
            (0.55, 0.3, 2.5, 0.85, 12, 12.0, 0.55),
        ),
        "weather",
    ),
    "frost": Corruption(frost, ((1.0, 0.4), (0.8, 0.6), (0.7, 0.7), (0.65, 0.7), (0.6, 0.75)), "weather"),
    "fog": Corruption(fog, ((1.5, 2.0), (2.0, 2.0), (2.5, 1.7), (2.5, 1.5), (3.0, 1.4)), "weather"),
    "brightness": Corruption(brightness, (0.1, 0.2, 0.3, 0.4, 0.5), "weather", random=False),
    "contrast": Corruption(contrast, (0.4, 0.3, 0.2, 0.1, 0.05), "digital", random=False),
    "elastic_transform": Corruption(
        elastic_transform, (250 * 0.05, 250 * 0.065, 250 * 0.085, 250 * 0.1, 250 * 0.12), "digital"
    ),
    "pixelate": Corruption(pixelate, (0.6, 0.5, 0.4, 0.3, 0.25), "digital", random=False),
    "jpeg_compression": Corruption(jpeg_compression, (25, 18, 15, 10, 7), "digital", random=False),
    "speckle_noise": Corruption(speckle_noise, (0.15, 0.2, 0.35, 0.45, 0.6), "extra"),
    "gaussian_blur": Corruption(gaussian_blur, (1.0, 2.0, 3.0, 4.0, 6.0), "extra", random=False),
    "spatter": Corruption(
        spatter,
        (
            (0.65, 0.3, 4.0, 0.69, 0.6, False),
            (0.65, 0.3, 3.0, 0.68, 0.6, False),
            (0.65, 0.3, 2.0, 0.68, 0.5, False),
            (0.65, 0.3, 1.0, 0.65, 1.5, True),
            (0.67, 0.4, 1.0, 0.65, 1.5, True),
        ),
        "extra",
    ),
    "saturate": Corruption(
        saturate, ((0.3, 0.0), (0.1, 0.0), (2.0, 0.0), (5.0, 0.1), (20.0, 0.2)), "extra", random=False
    ),
}
IMAGENET_C = tuple(name for name, corruption in CORRUPTIONS.items() if corruption.group != "extra")


def corrupt(
    pixels: UInt8[np.ndarray, "height width 3"], name: str, severity: int, seed: int
) -> UInt8[np.ndarray, "height width 3"]:
    """A corrupted copy of an RGB image; the same image, name, severity and seed give the same pixels.

    They are those of `imagecorruptions` after `np.random.seed(seed)`. Nothing but the arguments counts, so any number
    of workers may share the work.

    Args:
        pixels: levels 0..255, at least 32 x 32.
        name: a key of CORRUPTIONS. severity: 1 to 5. seed: 0 to 2**32 - 1; `image_seed` makes one.

    Raises:
        InputError: no such corruption or severity, an image that is too small, a seed out of range, or something that
            frost or spatter need is not installed (`not_run(name)` tells beforehand).
    """
    if name not in CORRUPTIONS:
        raise InputError(f"There is no corruption called '{name}'; there is {', '.join(CORRUPTIONS)}.")
    if severity not in SEVERITIES:
        raise InputError(f"The severity of a corruption is a whole number from 1 to 5, not {severity}.")
    if min(pixels.shape[:2]) < SMALLEST_PX:
        height, width, _ = pixels.shape
        raise InputError(
            f"An image to corrupt has at least {SMALLEST_PX} pixels on each side, because the corruptions are made for "
            f"photos; this one is {width} x {height}. Leave it out, or enlarge it first."
        )
    if not 0 <= seed < 2**32:
        raise InputError(f"The seed of a corruption is a whole number from 0 to 4294967295, not {seed}.")
    corruption = CORRUPTIONS[name]
    draws = (_seeded(seed),) if corruption.random else ()
    return corruption.apply(pixels, corruption.severities[severity - 1], *draws)


_THREAD = threading.local()


def _seeded(seed: int) -> np.random.RandomState:
    """This thread's stream of random numbers, from its beginning; to make a new one takes 0.07 ms instead of 0.002."""
    if not hasattr(_THREAD, "draws"):
        _THREAD.draws = np.random.RandomState()
    _THREAD.draws.seed(seed)
    return _THREAD.draws


def image_seed(image: str, name: str, severity: int, seed: int = 0) -> int:
    """The seed of one corrupted image: the first 32 bits of a sha256 over image id, corruption, severity and seed."""
    told_apart = json.dumps([image, name, severity, seed]).encode()
    return int.from_bytes(hashlib.sha256(told_apart).digest()[:4], "big")


__all__ = ["CORRUPTIONS", "IMAGENET_C", "SEVERITIES", "corrupt", "image_seed", "not_run"]
