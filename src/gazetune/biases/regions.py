"""Which object each cell of the map grid shows."""

import numpy as np
from jaxtyping import Bool, Int, Int16

from gazetune.data.canvas import sampled
from gazetune.data.stimuli import Crop, ObjectMask, Stimulus
from gazetune.errors import InputError

NOTHING = -1  # a cell that shows no object


def painted(stimulus: Stimulus, size: int) -> Int16[np.ndarray, "size size"]:
    """The position in `stimulus.objects` of the object that each cell shows, -1 where there is none.

    Painter's canvas: the objects are painted in order of falling annotated area, so that small ones stay on top; of
    equal areas the later one. Painted at the resolution of the original image, then sampled at the cells' centres
    (data.canvas). Painting looks at one pixel at a time, so sampling each mask first and painting the samples gives the
    same canvas, and only the cells within an object's box are touched.

    Raises:
        InputError: a mask of another size than its image.
    """
    canvas = np.full((size, size), NOTHING, dtype=np.int16)
    rows, columns = sampled(stimulus.height, size), sampled(stimulus.width, size)
    for k in np.argsort([-o.area_px2 for o in stimulus.objects], kind="stable"):
        top, left, pixels = _pixels(stimulus, stimulus.objects[k])
        r0, r1 = np.searchsorted(rows, (top, top + pixels.shape[0]))
        c0, c1 = np.searchsorted(columns, (left, left + pixels.shape[1]))
        if r0 < r1 and c0 < c1:
            part = _sampled(pixels, rows[r0:r1] - top, columns[c0:c1] - left)
            canvas[r0:r1, c0:c1][part] = k
    return canvas


def _pixels(stimulus: Stimulus, one: ObjectMask) -> Crop:
    """Top row, left column and pixels of a box that holds the object."""
    top, left, pixels = one.crop() if one.crop else (0, 0, one.decode())
    height, width = pixels.shape
    fits = top >= 0 and left >= 0 and top + height <= stimulus.height and left + width <= stimulus.width
    if not fits or (one.crop is None and (height, width) != (stimulus.height, stimulus.width)):
        raise InputError(
            f"Object '{one.id}' of image '{stimulus.id}': needed a mask of {stimulus.width}x{stimulus.height} pixels, "
            f"the size of the image; got {width}x{height}. Are the annotations those of this image?"
        )
    return top, left, pixels


def _sampled(
    pixels: Bool[np.ndarray, "height width"], rows: Int[np.ndarray, " row"], columns: Int[np.ndarray, " column"]
) -> Bool[np.ndarray, "row column"]:
    """pixels[rows][:, columns], along the memory first: masks from run lengths lie column by column."""
    if pixels.flags.c_contiguous:
        return pixels[rows][:, columns]
    return pixels.T[columns][:, rows].T
