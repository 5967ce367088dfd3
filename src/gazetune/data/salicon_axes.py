"""Are x and y where they should be? SALICON's releases differ in the order of the axes, and nothing else would tell."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float, Num
from PIL import Image
from scipy.ndimage import gaussian_filter

from gazetune.data.recorded import Recorded
from gazetune.data.salicon_files import released_density
from gazetune.errors import InputError

# the mean fixation of all 5,000 validation images at 640x480; of the training images (314.9, 227.9)
MEAN_X, MEAN_Y = 312.7 / 640, 227.2 / 480
MIN_IMAGES = 10  # the mean of fewer images may lie anywhere
MAX_COMPARED = 50
LEAST_CC = 0.5  # ours against the released maps is .97 and more, with swapped axes .4 on average
CELL_PX = 8  # the maps are compared on cells of 8x8 pixels
SIGMA_CELLS = 19 / CELL_PX


def check_axes(read: Recorded, released: Mapping[str, Path], source: str) -> None:
    """Stop where the points look as if x and y were swapped.

    Two signs: the mean position of all points, mirrored on the diagonal, is nearer to SALICON's own than as it is
    (10 images and more); and the correlation with the released maps or points of the same images, where there are any,
    which is higher with swapped axes or below .5 on average.

    Args:
        released: photo's name -> a density map or a picture of fixation points. source: what the points were read from.

    Raises InputError saying which sign was seen.
    """
    x, y = float(np.mean(read.x, dtype=np.float64)), float(np.mean(read.y, dtype=np.float64))
    width, height = read.size.mean(axis=0)
    as_read = np.hypot(x - MEAN_X * width, y - MEAN_Y * height)
    mirrored = np.hypot(y - MEAN_X * width, x - MEAN_Y * height)
    if len(read.ids) >= MIN_IMAGES and mirrored < as_read:
        raise InputError(
            f"The axes of the points in {source} seem to be swapped: their mean is ({x:.0f}, {y:.0f}), that of SALICON "
            f"lies at ({MEAN_X * width:.0f}, {MEAN_Y * height:.0f}). {CURE}"
        )
    compared = [i for i, name in enumerate(read.ids) if name in released and read.offsets[i + 1] > read.offsets[i]]
    if not compared:
        return
    pairs = np.array([_correlations(read, i, released[read.ids[i]]) for i in compared[:MAX_COMPARED]])
    straight, swapped = pairs.mean(axis=0)
    if swapped > straight or straight < LEAST_CC:
        raise InputError(
            f"The points in {source} do not fit the released maps beside them: correlation {straight:.2f} on average "
            f"over {len(pairs)} images, {swapped:.2f} with x and y swapped; right points give more than .9. {CURE}"
        )


CURE = (
    "The JSON of 2015 writes [row, column], the .mat files [x, y], both counted from 1; a converted file must keep the "
    "order of its release. Get the original file, or bring your own order as a table (data kind 'table')."
)


def _correlations(read: Recorded, image: int, path: Path) -> tuple[float, float]:
    """Pearson correlation of an image's density with its released map: as read, and with x and y swapped."""
    width, height = read.size[image]
    of_image = slice(int(read.offsets[image]), int(read.offsets[image + 1]))
    x, y = read.x[of_image].astype(np.float64), read.y[of_image].astype(np.float64)
    released = _in_cells(released_density(path))
    return tuple(  # type: ignore[return-value]
        float(np.corrcoef(_density(a, b, released.shape), released.ravel())[0, 1])
        for a, b in ((x / width, y / height), (y / width, x / height))
    )


def _density(
    x: Num[np.ndarray, " point"], y: Num[np.ndarray, " point"], shape: tuple[int, ...]
) -> Float[np.ndarray, " cell"]:
    """Points (as shares of width and height) as a blurred map; what lies outside is lost."""
    counted, _, _ = np.histogram2d(y, x, bins=shape, range=((0, 1), (0, 1)))
    return gaussian_filter(counted, SIGMA_CELLS, mode="constant").ravel()


def _in_cells(released: Float[np.ndarray, "height width"]) -> Float[np.ndarray, "rows columns"]:
    """A released map, or points that are blurred first, as the means of cells."""
    size = (max(1, released.shape[1] // CELL_PX), max(1, released.shape[0] // CELL_PX))
    cells = np.asarray(Image.fromarray(released.astype(np.float32)).resize(size, Image.Resampling.BOX))
    is_points = bool(np.isin(released, (0.0, 1.0)).all())
    return gaussian_filter(cells.astype(np.float64), SIGMA_CELLS, mode="constant") if is_points else cells
