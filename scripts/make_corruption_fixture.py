"""The pixels of tests/fixtures/corruptions.*: what imagecorruptions 1.1.2 makes of drawn images.

    python3.11 -m venv .fixture     (an environment of its own; never gazetune's)
    .fixture/bin/pip install "setuptools<81" numpy==1.23.5 scikit-image==0.20.0 "scipy<1.12" pillow==13.0.0 \
        "opencv-python-headless<4.9"
    .fixture/bin/pip install --no-deps imagecorruptions==1.1.2
    .fixture/bin/python scripts/make_corruption_fixture.py tests/fixtures

The package asks scikit-image for `multichannel=True`, which 0.20 calls `channel_axis=-1`: translated here and nowhere
else. Stored are, of each image, corruption and severity, the sha256 of the pixels and a few of them; all pixels of the
small images where a rounding may differ (defocus and motion blur); shares of black and white for impulse noise, whose
random numbers the package does not seed. tests/test_corruptions.py compares.
"""

import argparse
import csv
import hashlib
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import skimage.filters

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from corruption_images import SIZES, drawn_image, fixture_seed, sampled


def translated(gaussian: Callable[..., Any]) -> Callable[..., Any]:
    """scikit-image's Gaussian filter under the arguments of its earlier versions."""

    def call(image: np.ndarray, *given: Any, multichannel: bool = False, **named: Any) -> np.ndarray:
        return gaussian(image, *given, channel_axis=-1 if multichannel else None, **named)

    return call


skimage.filters.gaussian = translated(skimage.filters.gaussian)

import imagecorruptions  # noqa: E402

IN_FULL = {"defocus_blur": ("wide", "small"), "motion_blur": ("wide", "small")}


def made() -> Iterator[tuple[str, str, int, np.ndarray]]:
    """Image, corruption, severity and pixels of the original package."""
    for image in SIZES:
        pixels = drawn_image(image)
        for name in imagecorruptions.get_corruption_names("all"):
            for severity in range(1, 6):
                np.random.seed(fixture_seed(image, name, severity))  # noqa: NPY002
                yield image, name, severity, imagecorruptions.corrupt(pixels, severity, name)


def row(image: str, name: str, severity: int, pixels: np.ndarray) -> dict[str, Any]:
    """One line of the table."""
    before = drawn_image(image)
    return {
        "image": image,
        "corruption": name,
        "severity": severity,
        "sha256": "" if name == "impulse_noise" else hashlib.sha256(pixels.tobytes()).hexdigest(),
        "samples": "" if name == "impulse_noise" else " ".join(map(str, sampled(pixels))),
        "black": f"{np.mean(pixels[before > 0] == 0):.6f}",
        "white": f"{np.mean(pixels[before < 255] == 255):.6f}",
    }


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder
    rows, full = [], {}
    for image, name, severity, pixels in made():
        rows.append(row(image, name, severity, pixels))
        if image in IN_FULL.get(name, ()):
            full[f"{image}/{name}/{severity}"] = pixels
    with (folder / "corruptions.csv").open("w", newline="") as opened:
        writer = csv.DictWriter(opened, rows[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    np.savez_compressed(folder / "corruptions.npz", **full)
