"""A user's own object annotations: `objects.csv`, one row an object.

image, category              needed; image as in the table of fixations
object                       optional name of the object; else the row's number
x, y, width, height          a box, in the frame of the fixations' x and y (the origin is the top left corner), or
outline                      its corners, "x y, x y, x y", in the same frame (what lies outside is cut off), or
mask                         an image file beside the CSV whose non-black pixels are the object
animate                      optional: true or false
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int
from PIL import Image

from gazetune.data.images import read_rgb
from gazetune.data.outlines import outlined, outlined_crop
from gazetune.data.stimuli import Crop, ObjectMask
from gazetune.errors import InputError

TRUTH = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
BOX = ("x", "y", "width", "height")


def load_objects(
    csv: Path, ids: tuple[str, ...], width: Int[np.ndarray, " image"], height: Int[np.ndarray, " image"]
) -> Callable[[str], tuple[ObjectMask, ...]]:
    """A function from an image id to its objects; masks are read at the size of the image's frame.

    Raises InputError: a column is missing, an image is not in the data set, a box is empty, a mask file is missing.
    """
    try:
        table = pd.read_csv(
            csv, dtype={"image": str, "object": str, "category": str, "mask": str, "outline": str, "animate": str}
        )
    except (ValueError, OSError) as reason:
        raise InputError(f"'{csv}' cannot be read as a CSV ({reason}).") from None
    has_shape = all(c in table for c in BOX) or "mask" in table or "outline" in table
    if "image" not in table or "category" not in table or not has_shape:
        raise InputError(
            f"'{csv}' needs image, category and one of x, y, width, height, or outline, or mask; it has "
            f"{', '.join(table.columns)}."
        )
    sizes = {i: (int(h), int(w)) for i, w, h in zip(ids, width, height, strict=True)}
    unknown = [i for i in table["image"] if i not in sizes]
    if unknown:
        raise InputError(f"'{csv}' names the image '{unknown[0]}', which is not in the data set.")
    by_image: dict[str, list[ObjectMask]] = {}
    for number, row in enumerate(table.to_dict("records")):
        by_image.setdefault(row["image"], []).append(_object(csv, number, row, sizes[row["image"]]))
    return lambda image: tuple(by_image.get(image, ()))


def _object(csv: Path, number: int, row: dict[Any, Any], size: tuple[int, int]) -> ObjectMask:
    """One object; the area of a mask or outline counts its pixels, that of a box is width x height."""
    named, mask_file, outline = row.get("object"), row.get("mask"), row.get("outline")
    crop: Callable[[], Crop] | None = None
    decode: Callable[[], Bool[np.ndarray, "height width"]]
    if isinstance(outline, str):
        corners = np.reshape(_corners(csv, number, outline), (-1, 2))
        decode, crop = partial(outlined, [corners], *size), partial(outlined_crop, [corners], *size)
        area = float(crop()[2].sum())
        if area == 0:
            raise InputError(f"'{csv}', line {number + 2}: the outline holds no pixel of its image.")
    elif isinstance(mask_file, str):
        path = csv.parent / mask_file
        decode, area = (lambda: _painted(path, size)), float(_painted(path, size).sum())
    else:
        x, y, w, h = (float(row.get(c, float("nan"))) for c in BOX)
        if not (w > 0 and h > 0 and np.isfinite(x + y)):
            raise InputError(
                f"'{csv}', line {number + 2}: needs an outline, a mask, or a box of numbers, width and height above 0."
            )
        decode, area = (lambda: _boxed(x, y, w, h, size)), w * h
    return ObjectMask(
        id=str(number) if named is None or pd.isna(named) else str(named),
        category=str(row["category"]),
        area_px2=area,
        animate=_truth(csv, number, row.get("animate")),
        decode=decode,
        crop=crop,
    )


def _corners(csv: Path, number: int, outline: str) -> list[float]:
    """x, y, x, y, ... of an outline. Raises InputError for fewer than 3 corners or something else than numbers."""
    try:
        corners = [[float(value) for value in corner.split()] for corner in outline.split(",")]
    except ValueError:
        corners = []
    if len(corners) < 3 or any(len(corner) != 2 or not np.isfinite(corner).all() for corner in corners):
        raise InputError(
            f"'{csv}', line {number + 2}: an outline is at least three corners 'x y, x y, x y', got {outline[:60]!r}."
        )
    return [value for corner in corners for value in corner]


def _truth(csv: Path, number: int, said: Any) -> bool | None:
    if said is None or pd.isna(said):
        return None
    if str(said).lower() not in TRUTH:
        raise InputError(f"'{csv}', line {number + 2}: animate must be true or false, got {said!r}.")
    return TRUTH[str(said).lower()]


def _painted(path: Path, size: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
    mask = Image.fromarray(np.asarray(read_rgb(path).any(axis=2)))
    return np.asarray(mask.resize((size[1], size[0]), Image.Resampling.NEAREST), dtype=bool)


def _boxed(x: float, y: float, w: float, h: float, size: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
    down, across = np.arange(size[0])[:, None] + 0.5, np.arange(size[1])[None, :] + 0.5
    return (across >= x) & (across < x + w) & (down >= y) & (down < y + h)
