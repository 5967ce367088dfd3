"""COCO's object annotations (Lin et al., 2014): which objects an image shows, and the pixels of each.

`instances_*.json` as released: outlines as polygons, crowds as run lengths. Decoded by pycocotools.
"""

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
from jaxtyping import Bool
from pycocotools import mask as rle

from gazetune.data.coco_json import CutShort, annotations_of, categories_of, images_of, no_collection
from gazetune.data.faults import Faults
from gazetune.data.images import MOST_SIDE_PX
from gazetune.data.outlines import outlined, outlined_crop
from gazetune.data.stimuli import ObjectMask
from gazetune.documents import short
from gazetune.errors import InputError

CITATION = (
    "Lin, T.-Y., Maire, M., Belongie, S., Hays, J., Perona, P., Ramanan, D., Dollar, P., & Zitnick, C. L. (2014). "
    "Microsoft COCO: Common objects in context. ECCV 2014, 740-755."
)
# the paper's: eleven animate categories; an image with one of the ambiguous five is dropped whole
ANIMATE = frozenset(
    ("person", "bird", "cat", "dog", "horse", "sheep", "cow", "elephant", "bear", "zebra", "giraffe")
)  # fmt: skip
AMBIGUOUS = ("tv", "laptop", "cell phone", "teddy bear", "potted plant")

Crowds = Literal["exclude", "include"]
Size = tuple[int, int]  # height, width
NEEDED = ("id", "category_id", "area", "segmentation")


@dataclass(frozen=True)
class Annotations:
    """The objects of images that COCO annotated.

    found: image number -> objects, in the order of the file; an image that COCO annotated with nothing has none.
    crowds: the annotations of crowds that were left out, as `file, annotation ID`. used: the files with such images.
    """

    found: dict[int, tuple[ObjectMask, ...]]
    crowds: tuple[str, ...]
    used: tuple[Path, ...]


def fits_animacy_rule(categories: Collection[str]) -> bool:
    """The paper's rule for an image: something animate and something inanimate, and nothing ambiguous."""
    named = set(categories)
    return bool(named & ANIMATE) and bool(named - ANIMATE) and named.isdisjoint(AMBIGUOUS)


def image_number(name: str) -> int:
    """COCO's number of an image from its file name, of 2014 (COCO_val2014_000000000042.jpg) or 2017.

    Raises InputError for a name without a number.
    """
    digits = name.rsplit(".", 1)[0].rpartition("_")[2]
    if not digits.isdecimal():
        raise InputError(f"'{name}' is not named as COCO names images, for example COCO_val2014_000000000042.jpg.")
    return int(digits)


def load_coco(
    files: Sequence[Path], sizes: Mapping[int, Size], crowds: Crowds = "exclude", faults: Faults | None = None
) -> Annotations:
    """The objects of these images out of any `instances_*.json`, train and val, 2014 and 2017, joined by image number.

    An image that several files annotate is taken from the first of them. The files are streamed, so that memory grows
    with the images asked for. `iscrowd` annotations (a region of many objects, not one) are left out by default and
    named in `crowds`.

    Args:
        files: the annotation files. sizes: image number -> (height, width). faults: what to do with bad records.

    Raises:
        InputError: a file that is no annotation file or is cut short; and, through `faults`, an annotation without
            segmentation, a polygon of fewer than 3 points, a mask or image of another size, an unknown category.
    """
    faults = faults or Faults()
    found: dict[int, tuple[ObjectMask, ...]] = {}
    left_out: list[str] = []
    used = []
    for file in files:
        wanted = {number: size for number, size in sizes.items() if number not in found}
        try:
            with no_collection():
                of_file, crowds_of_file = _read(file, wanted, crowds, faults)
        except CutShort as reason:  # nothing of it: half of an image's objects would be worse than none
            faults.add("file cut short", f"'{file}'", str(reason))
            continue
        found |= of_file
        left_out += crowds_of_file
        used += [file] if of_file else []
    return Annotations(found, tuple(left_out), tuple(used))


def _read(
    file: Path, wanted: Mapping[int, Size], crowds: Crowds, faults: Faults
) -> tuple[dict[int, tuple[ObjectMask, ...]], list[str]]:
    """The objects of the wanted images that one file knows, and the crowds left out."""
    sizes: dict[int, Size] = {}
    for image in images_of(file):
        number, size = image["id"], (image["height"], image["width"])
        if number in wanted and size != wanted[number]:
            what = f"{size[1]}x{size[0]}, the data set has {wanted[number][1]}x{wanted[number][0]}"
            faults.add("image of another size", f"'{file}', image {number}", what)
        elif number in wanted:
            sizes[number] = size
    if not sizes:
        return {}, []
    categories = categories_of(file)
    objects: dict[int, list[ObjectMask]] = {number: [] for number in sizes}
    left_out = []
    for one in annotations_of(file):
        number = one.get("image_id")
        if not isinstance(number, int) or number not in sizes:
            continue
        where = f"'{file}', image {number}, annotation {short(one.get('id'))}"
        fault = _fault(one, categories, sizes[number])
        if one.get("iscrowd") and crowds == "exclude":
            left_out.append(where)
        elif fault is not None:
            faults.add(fault[0], where, fault[1])
        else:
            objects[number].append(_object(one, categories[one["category_id"]], sizes[number]))
    return {number: tuple(of) for number, of in objects.items()}, left_out


def _fault(one: dict[str, Any], categories: dict[int, str], size: Size) -> tuple[str, str] | None:
    """What is wrong with an annotation: its kind, and what came."""
    missing = [name for name in NEEDED if one.get(name) is None]
    if missing == ["segmentation"] or one.get("segmentation") in ([], {}):
        return "annotation without segmentation", f"got {one.get('segmentation')!r}"
    if missing:
        return "annotation with a missing field", f"no {', '.join(missing)}"
    if not isinstance(one["category_id"], int) or one["category_id"] not in categories:
        return "unknown category", f"category_id {short(one['category_id'])}"
    if type(one["area"]) not in (int, float) or not 0 <= one["area"] < math.inf:
        return "area that is no number", f"got {short(one['area'])}"
    shape = one["segmentation"]
    if isinstance(shape, dict):
        counts = shape.get("counts")
        if not isinstance(counts, list | str):
            return "run-length mask without counts", f"got {short(counts)}"
        try:
            runs = counts_of(counts)
        except ValueError as reason:
            return "run-length mask that is damaged", str(reason)
        if shape.get("size") != list(size) or sum(runs) != size[0] * size[1]:
            return "run-length mask of another size", f"{short(shape.get('size'))}, the image has {list(size)}"
        return None
    # with exactly 4 numbers pycocotools would take a polygon for a box
    bad = (
        [p for p in shape if not isinstance(p, list) or len(p) < 6 or len(p) % 2]
        if isinstance(shape, list)
        else [shape]
    )
    if bad:
        return "polygon of fewer than 3 points", f"got {short(bad[0], 60)}"
    far = MOST_SIDE_PX  # pycocotools draws every pixel of an edge, and crashes on one that is far away
    wrong = [v for polygon in shape for v in polygon if type(v) not in (int, float) or not -far <= v <= far]
    return ("polygon that is not numbers", f"got {short(wrong[0])}") if wrong else None


def counts_of(counts: list[Any] | str) -> list[int]:
    """The run lengths of a mask, plain or as COCO's text of them. pycocotools crashes on those that are damaged.

    The text has six bits a character from '0' on: five of a number, the lowest first, and one that says that more
    follow; from the third on each number is the difference to the one but one before it (COCO's maskApi).

    Raises ValueError: something else than whole numbers from 0 on, or a text that breaks off.
    """
    found: list[int] = []
    if isinstance(counts, str):
        value, shift = 0, 0
        for character in counts:
            bits = ord(character) - 48
            if not 0 <= bits < 64 or shift > 30:
                raise ValueError(f"{short(character)} in its counts")
            value |= (bits & 0x1F) << shift
            shift += 5
            if not bits & 0x20:
                value -= (1 << shift) if bits & 0x10 else 0
                found.append(value + (found[-2] if len(found) > 2 else 0))
                value, shift = 0, 0
        if shift:
            raise ValueError("its counts break off")
    else:
        found = counts
    if not found or any(type(run) is not int or not 0 <= run < 2**31 for run in found):
        raise ValueError(f"counts that are no whole numbers: {short(found, 60)}")
    return found


def _object(one: dict[str, Any], category: str, size: Size) -> ObjectMask:
    animate = None if category in AMBIGUOUS else category in ANIMATE
    shape, area = one["segmentation"], float(one["area"])
    if isinstance(shape, dict):
        return ObjectMask(str(one["id"]), category, area, animate, partial(_run_lengths, shape, size))
    outlines = [np.reshape(polygon, (-1, 2)).astype(np.float64) for polygon in shape]
    whole, crop = partial(outlined, outlines, *size), partial(outlined_crop, outlines, *size)
    return ObjectMask(str(one["id"]), category, area, animate, whole, crop)


def _run_lengths(segmentation: Any, size: Size) -> Bool[np.ndarray, "height width"]:
    """The pixels of an object given by its run lengths, plain or compressed."""
    plain = isinstance(segmentation["counts"], list)
    return rle.decode(rle.frPyObjects(segmentation, *size) if plain else segmentation).view(bool)
