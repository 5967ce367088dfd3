"""Photos that somebody drops in: checked before they are decoded, and kept in memory alone."""

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from io import BytesIO
from pathlib import PurePath

import numpy as np
from jaxtyping import UInt8
from PIL import Image, UnidentifiedImageError

from gazetune.data.images import decode_rgb, resized
from gazetune.errors import InputError

MEGABYTES = 20  # of a file
MEGAPIXELS = 50  # a full-frame camera of today; RGB of it takes 150 MB for a moment
# what cameras, phones and browsers write; Pillow reads 40 more, some by starting other programs
KINDS = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF")
WORDS = "JPEG, PNG, WebP, GIF, BMP or TIFF"
SHOWN_PX = 640  # longer side of what the page shows

Size = tuple[int, int]


@dataclass(frozen=True)
class Photo:
    """A photo as the page and the models need it; the file itself is not kept.

    name: of the file. width, height: in pixels, upright. inputs: RGB squashed to each model's input size, (height,
    width). shown: a small JPEG without any of the file's notes (camera, place).
    """

    name: str
    width: int
    height: int
    inputs: Mapping[Size, UInt8[np.ndarray, "input_height input_width 3"]]
    shown: bytes


def read_photo(content: bytes, name: str, sizes: Collection[Size]) -> Photo:
    """The photo in the bytes of a file, upright, squashed to these sizes (height, width) as `read_rgb` does.

    Kind and number of pixels are read from the file's head before any pixel is decoded. Raises InputError, in words for
    the page: too large a file, no image of a kind that is read, too many pixels, damaged.
    """
    name = PurePath(name).name
    if len(content) > MEGABYTES * 2**20:
        raise InputError(f"'{name}' has {len(content) / 2**20:.0f} MB; at most {MEGABYTES} are read. Save it smaller.")
    width, height = _size(content, name)
    if width * height > MEGAPIXELS * 1_000_000:
        raise InputError(
            f"'{name}' has {width * height / 1e6:.0f} megapixels ({width}x{height}); at most {MEGAPIXELS} are read. "
            f"Save it smaller."
        )
    try:
        pixels = decode_rgb(content, name)
    except InputError:
        raise InputError(f"'{name}' is damaged or cut short and cannot be read. Try the original file.") from None
    return photo_of(pixels, name, pixels.shape[1], pixels.shape[0], {size: resized(pixels, size) for size in sizes})


def photo_of(
    pixels: UInt8[np.ndarray, "height width 3"],
    name: str,
    width: int,
    height: int,
    inputs: Mapping[Size, UInt8[np.ndarray, "input_height input_width 3"]],
) -> Photo:
    """A photo from pixels that may be squashed: shown in the proportions of width and height."""
    scale = min(1.0, SHOWN_PX / max(width, height))
    small = Image.fromarray(pixels).resize((max(round(width * scale), 1), max(round(height * scale), 1)))
    buffer = BytesIO()
    small.save(buffer, "JPEG", quality=88)
    return Photo(name, width, height, inputs, buffer.getvalue())


def _size(content: bytes, name: str) -> tuple[int, int]:
    """Width and height as the head of the file says. Raises InputError where it says too much, or nothing."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # our own limit is lower
            with Image.open(BytesIO(content), formats=KINDS) as opened:
                return opened.size
    except Image.DecompressionBombError:
        raise InputError(f"'{name}' has far more than {MEGAPIXELS} megapixels and is not read.") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError):
        raise InputError(f"'{name}' is not an image that can be read, whatever its name says. Give {WORDS}.") from None
