"""Image files to pixels: any mode to RGB, upright, as uint8."""

import warnings
from io import BytesIO
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageOps, UnidentifiedImageError

from gazetune.errors import InputError

Image.MAX_IMAGE_PIXELS = 200_000_000  # above this a file is refused: a decompression bomb, not a photo


def resized(
    pixels: UInt8[np.ndarray, "height width 3"], size: tuple[int, int] | None
) -> UInt8[np.ndarray, "new_height new_width 3"]:
    """The pixels squashed to `size` = (height, width) with PIL's bicubic filter; unchanged where size is None."""
    if size is None or pixels.shape[:2] == size:
        return pixels
    return np.asarray(Image.fromarray(pixels).resize((size[1], size[0]), Image.Resampling.BICUBIC))


def _as_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I") or image.mode == "F":  # 16 bits a pixel: PIL would clip at 255 instead of scaling
        deep = np.asarray(image, dtype=np.float64)
        white = 1.0 if image.mode == "F" and deep.max() <= 1 else 65535.0  # floats run to 1, or like 16 bits
        return Image.fromarray(np.round(deep * 255 / white).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode in ("P", "LA", "PA", "RGBA"):  # see-through pixels show white, as on a page
        over = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", over.size, "white"), over).convert("RGB")
    return image.convert("RGB")


def read_rgb(path: Path, size: tuple[int, int] | None = None) -> UInt8[np.ndarray, "height width 3"]:
    """One image file as upright RGB; grey, CMYK, palette, 16-bit and EXIF-rotated files are read rightly.

    Args:
        path: any file that Pillow opens, up to 200 million pixels.
        size: (height, width) to squash to with PIL's bicubic filter, or None.

    Raises:
        InputError: the file is missing, is no image, is cut short or is too large.
    """
    return _read(path, str(path), size)


def decode_rgb(content: bytes, name: str) -> UInt8[np.ndarray, "height width 3"]:
    """The bytes of an image file as upright RGB, read as `read_rgb` reads a file; `name` is for its errors."""
    return _read(BytesIO(content), name, None)


def _read(source: Path | BytesIO, name: str, size: tuple[int, int] | None) -> UInt8[np.ndarray, "height width 3"]:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(source) as opened:
                upright = ImageOps.exif_transpose(opened)
                rgb = _as_rgb(upright)
                if size is not None:
                    rgb = rgb.resize((size[1], size[0]), Image.Resampling.BICUBIC)
                return np.array(rgb)
    except FileNotFoundError:
        raise InputError(f"The image file '{name}' does not exist. Check the folder, or leave the image out.") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise InputError(
            f"'{name}' has more than {Image.MAX_IMAGE_PIXELS:,} pixels and is not read. Save it smaller."
        ) from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError) as reason:
        raise InputError(
            f"'{name}' cannot be read as an image ({reason}). Replace the file, or drop it with --skip-bad."
        ) from None


def image_size(path: Path) -> tuple[int, int]:
    """(width, height) of an image file as shown, EXIF rotation applied, without decoding its pixels.

    Raises InputError as `read_rgb` does.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            with Image.open(path) as opened:
                # Pillow has turned the size of a TIFF already
                rotated = opened.format != "TIFF" and opened.getexif().get(0x0112, 1) in (5, 6, 7, 8)
                return (opened.height, opened.width) if rotated else (opened.width, opened.height)
    except FileNotFoundError:
        raise InputError(f"The image file '{path}' does not exist. Check the folder, or leave the image out.") from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as reason:
        raise InputError(
            f"'{path}' cannot be read as an image ({reason}). Replace the file, or drop it with --skip-bad."
        ) from None
