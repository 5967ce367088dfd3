"""Image files to pixels: any mode to RGB, upright, as uint8."""

import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps

from gazetune.documents import short
from gazetune.errors import GazetuneError, InputError

MOST_PIXELS = 120_000_000  # above this a file is refused: a decompression bomb, not a photo; decoded it takes 1.5 GB
MOST_SIDE_PX = 100_000
Image.MAX_IMAGE_PIXELS = MOST_PIXELS
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)  # it is an error here, said in our words
STRIP_PIXELS = 4_000_000
# what photos come in; Pillow would also start Ghostscript for a file that only calls itself photo.png
FORMATS = ("BMP", "DIB", "GIF", "JPEG", "JPEG2000", "PNG", "PPM", "TIFF", "WEBP")


def resized(
    pixels: UInt8[np.ndarray, "height width 3"], size: tuple[int, int] | None
) -> UInt8[np.ndarray, "new_height new_width 3"]:
    """The pixels squashed to `size` = (height, width) with PIL's bicubic filter; unchanged where size is None."""
    if size is None or pixels.shape[:2] == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB":
        return image
    if image.mode.startswith("I") or image.mode == "F":  # 16 bits a pixel: PIL would clip at 255 instead of scaling
        white = (
            1.0 if image.mode == "F" and float(np.asarray(image).max()) <= 1 else 65535.0
        )  # floats run to 1, or like 16 bits
        return _by_strips(image, lambda strip: _shallow(strip, white))
    if image.mode in ("P", "LA", "PA", "RGBA"):  # see-through pixels show white, as on a page
        return _by_strips(image, _over_white)
    return image.convert("RGB")


def _by_strips(image: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """What `convert` makes of it, some rows at a time: copies of a whole large image would take gigabytes."""
    found = Image.new("RGB", image.size)
    rows = max(1, STRIP_PIXELS // image.width)
    for top in range(0, image.height, rows):
        strip = image.crop((0, top, image.width, min(top + rows, image.height)))
        found.paste(convert(strip), (0, top))
    return found


def _shallow(strip: Image.Image, white: float) -> Image.Image:
    deep = np.nan_to_num(np.asarray(strip, dtype=np.float64))
    return Image.fromarray(np.round(deep.clip(0, white) * 255 / white).astype(np.uint8)).convert("RGB")


def _over_white(strip: Image.Image) -> Image.Image:
    over = strip.convert("RGBA")
    return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")


@contextmanager
def opened_photo(source: Path | BytesIO, name: str = "") -> Iterator[Image.Image]:
    """An image file, opened but not decoded; whatever is wrong with it, also while it is decoded inside, is one error.

    Raises InputError naming it: missing, no image, damaged, or more than 120 million pixels.
    """
    said = name or str(source)
    try:
        with Image.open(source, formats=FORMATS) as opened:
            if opened.width * opened.height > (Image.MAX_IMAGE_PIXELS or 0):
                raise Image.DecompressionBombError
            if not opened.width * opened.height:
                raise ValueError(f"it is {opened.width}x{opened.height}")
            yield opened
    except FileNotFoundError:
        raise InputError(f"The image file '{said}' does not exist. Check the folder, or leave the image out.") from None
    except Image.DecompressionBombError:
        raise InputError(
            f"'{said}' has more than {Image.MAX_IMAGE_PIXELS:,} pixels and is not read. Save it smaller."
        ) from None
    except GazetuneError:
        raise
    except Exception as reason:  # Pillow's readers raise errors of a dozen kinds on a damaged file
        raise InputError(
            f"'{said}' cannot be read as an image ({short(reason)}). Replace the file, or drop it with --skip-bad."
        ) from None


def read_rgb(path: Path, size: tuple[int, int] | None = None) -> UInt8[np.ndarray, "height width 3"]:
    """One image file as upright RGB; grey, CMYK, palette, 16-bit and EXIF-rotated files are read rightly.

    Args:
        path: BMP, GIF, JPEG, JPEG 2000, PNG, PPM, TIFF or WebP, whatever it is called, up to 120 million pixels.
        size: (height, width) to squash to with PIL's bicubic filter, or None.

    Raises:
        InputError: the file is missing, is no image, is cut short or is too large.
    """
    return _read(path, str(path), size)


def decode_rgb(content: bytes, name: str) -> UInt8[np.ndarray, "height width 3"]:
    """The bytes of an image file as upright RGB, read as `read_rgb` reads a file; `name` is for its errors."""
    return _read(BytesIO(content), name, None)


def _read(source: Path | BytesIO, name: str, size: tuple[int, int] | None) -> UInt8[np.ndarray, "height width 3"]:
    with opened_photo(source, name) as opened:
        ImageOps.exif_transpose(opened, in_place=True)
        rgb = _as_rgb(opened)
        if size is not None:
            rgb = rgb.resize((size[1], size[0]), Image.Resampling.BICUBIC)
        return np.array(rgb)


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) of an image file as shown, EXIF rotation applied, without decoding its pixels.

    Raises InputError as `read_rgb` does.
    """
    with opened_photo(path) as opened:
        # Pillow has turned the size of a TIFF already
        rotated = opened.format != "TIFF" and opened.getexif().get(0x0112, 1) in (5, 6, 7, 8)
        return (opened.height, opened.width) if rotated else (opened.width, opened.height)


def check_frame(width: int, height: int) -> None:
    """Raises ValueError unless a frame has whole sides that the photo of some image could have."""
    if not (1 <= width <= MOST_SIDE_PX and 1 <= height <= MOST_SIDE_PX and width * height <= MOST_PIXELS):
        raise ValueError(f"an image of {width}x{height}; at most {MOST_SIDE_PX:,} a side and {MOST_PIXELS:,} pixels")
