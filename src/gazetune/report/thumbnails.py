"""Small photos of the test images, for pages that show them."""

from collections.abc import Callable, Collection
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO

import numpy as np
from jaxtyping import Int, UInt8
from PIL import Image

from gazetune.data import Stimuli
from gazetune.data.splits import Part, is_in
from gazetune.errors import InputError
from gazetune.prepared import Prepared, decoded_name
from gazetune.progress import say, track
from gazetune.run import Run

MOST_IMAGES = 5000  # of a data set in the explorer
LONG_SIDE, LONG_SIDE_OF_FEW, FEW = 256, 512, 1000  # px; the larger one up to so many images
QUALITY = 82  # of JPEG
CHUNK = 64


def shown_rows(parts: Collection[Part], most: int = MOST_IMAGES) -> Int[np.ndarray, " shown"]:
    """Positions of the test images that pages show: all, or `most` of them, evenly chosen (the first and the last too).

    parts: of every image of a data set.
    """
    tested = np.flatnonzero(np.array([is_in(part, "test") for part in parts], dtype=bool))
    if len(tested) <= most:
        return tested
    return tested[np.round(np.linspace(0, len(tested) - 1, most)).astype(np.int64)]


def picture_name(dataset: str, row: int) -> str:
    """Where the small photo of an image lies; row: its position in the data set as prepared."""
    return f"explorer/{dataset}/{row:05d}.jpg"


def long_side_px(n: int) -> int:
    """The long side of the small photos where n are kept."""
    return LONG_SIDE_OF_FEW if n <= FEW else LONG_SIDE


def thumbnail(pixels: UInt8[np.ndarray, "height width 3"], size: tuple[int, int], long_side: int) -> bytes:
    """A JPEG of a photo in its own proportions, its long side at most `long_side` px and never enlarged.

    pixels may be squashed, as a model sees them; size: (width, height) of the original photo.
    """
    width, height = size
    # what was squashed is not enlarged beyond the side that kept its pixels
    most = min(long_side / max(width, height), 1.0, max(pixels.shape[1] / width, pixels.shape[0] / height))
    target = max(round(width * most), 1), max(round(height * most), 1)
    buffer = BytesIO()
    Image.fromarray(pixels).resize(target, Image.Resampling.LANCZOS).save(buffer, "JPEG", quality=QUALITY)
    return buffer.getvalue()


def write_thumbnails(run: Run, stimuli: Stimuli, parts: Collection[Part]) -> list[str]:
    """`explorer/DATASET/ROW.jpg` of every test image that is shown and has a photo, from the photos themselves.

    stimuli, parts: the images of the run in its order, and the part of each. A photo that cannot be read is left out,
    which is said; whether it may be used at all is decided where photos are decoded for the models.
    """
    rows = [i for i in shown_rows(parts).tolist() if stimuli.render is not None or stimuli.paths[i] is not None]
    return _write(run, stimuli.name, rows, stimuli.pixels, lambda i: (int(stimuli.width[i]), int(stimuli.height[i])))


def thumbnails_from_cache(run: Run, test: Prepared, size: tuple[int, int], most: int = MOST_IMAGES) -> list[str]:
    """The same from the photos decoded for a model, (height, width): for a run whose data set is not at hand.

    None where the decoded photos were deleted.
    """
    if not run.file(decoded_name(test.name, size)).is_file():
        return []
    usable, decoded = set(test.rows("test").tolist()), test.pixels(size)
    rows = [i for i in shown_rows(test.table["split"], most).tolist() if i in usable]
    sides = test.table[["width", "height"]].to_numpy()

    def pixels(row: int) -> UInt8[np.ndarray, "height width 3"]:
        return np.ascontiguousarray(decoded[row].transpose(1, 2, 0))

    return _write(run, test.name, rows, pixels, lambda i: (int(sides[i, 0]), int(sides[i, 1])))


def _write(
    run: Run, name: str, rows: list[int], pixels: Callable[[int], np.ndarray], size: Callable[[int], tuple[int, int]]
) -> list[str]:
    long_side, bad = long_side_px(len(rows)), list[int]()

    def one(row: int) -> str | None:
        try:
            return run.write(picture_name(name, row), thumbnail(pixels(row), size(row), long_side))
        except InputError:
            bad.append(row)
            return None

    written: list[str] = []
    starts = range(0, len(rows), CHUNK)
    with ThreadPoolExecutor() as pool:  # Pillow works outside the interpreter lock, and the disk is waited for
        for start in track(starts, f"small photos of {name}", total=len(starts)):
            written += [made for made in pool.map(one, rows[start : start + CHUNK]) if made is not None]
    if bad:
        say(f"warning: {len(bad)} of {len(rows)} photos of '{name}' cannot be read and are not shown")
    return written
