"""Outlines (polygons) to masks, as pycocotools draws them, box by box."""

from collections.abc import Sequence
from math import ceil, floor

import numpy as np
from jaxtyping import Bool, Float
from pycocotools import mask as coco

from gazetune.data.stimuli import Crop

STEPS = 5  # pycocotools (rleFrPoly) rounds corners to a fifth of a pixel before it draws


def outlined(outlines: Sequence[Float[np.ndarray, "_ 2"]], height: int, width: int) -> Bool[np.ndarray, "height width"]:
    """The pixels inside any of these outlines, corners (x, y) in pixels: pycocotools' own decoding."""
    drawn = coco.frPyObjects([outline.ravel() for outline in outlines], height, width)
    return coco.decode(coco.merge(drawn) if len(drawn) > 1 else drawn[0]).view(bool)


def outlined_crop(outlines: Sequence[Float[np.ndarray, "_ 2"]], height: int, width: int) -> Crop:
    """The same pixels, drawn in the box of the outlines only: top row, left column and pixels.

    A third of the time for the objects of COCO, whose boxes fill 7 % of the image on average. Corners are rounded
    before they are moved, because what is halfway between two fifths would else be rounded otherwise.
    """
    fifths = [np.trunc(STEPS * outline + 0.5) for outline in outlines]
    corners = fifths[0] if len(fifths) == 1 else np.concatenate(fifths)
    (x0, y0), (x1, y1) = (corners.min(axis=0) / STEPS).tolist(), (corners.max(axis=0) / STEPS).tolist()
    left, top = min(max(floor(x0) - 1, 0), width - 1), min(max(floor(y0) - 1, 0), height - 1)
    right, bottom = max(min(ceil(x1) + 2, width), left + 1), max(min(ceil(y1) + 2, height), top + 1)
    moved = [corner - (STEPS * left, STEPS * top) for corner in fifths]
    # it rounds by cutting v + 0.5 towards zero, which has to give what is rounded already: -0.9 below zero
    placed = [np.where(corner < 0, corner - 0.9, corner) / STEPS for corner in moved]
    return top, left, outlined(placed, bottom - top, right - left)
