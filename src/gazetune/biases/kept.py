"""The objects of a data set as a run keeps them: which object each cell of the map grid shows, as run lengths."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int
from torch import Tensor

from gazetune.biases.regions import NOTHING, painted
from gazetune.data.stimuli import Fixations, ObjectMask, Stimuli
from gazetune.progress import track

ROWS = ("image", "object", "category", "animate", "area_px2")


def keep_objects(stimuli: Stimuli, size: int) -> tuple[dict[str, Tensor], list[list[Any]]]:
    """The painter's canvases of all images on the map grid, and one row an object (see ROWS; image is a position).

    Tensors: `start` and `owner` of each run of cells that show the same object (or -1), and `offsets`, where the runs
    of each image begin. A few kilobytes an image. What the canvas hides is not kept: no analysis asks for it.

    Raises InputError for a mask of another size than its image, and what decoding an object raises.
    """
    starts, owners, counts, rows = [], [], [], []
    for position, scene in track(enumerate(stimuli), f"objects of {stimuli.name}", total=len(stimuli)):
        cells = painted(scene, size).ravel()
        start = np.flatnonzero(np.diff(cells, prepend=NOTHING - 1))
        starts.append(start.astype(np.int32))
        owners.append(cells[start].astype(np.int32))
        counts.append(len(start))
        rows += [[position, o.id, o.category, o.animate, float(o.area_px2)] for o in scene.objects]
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    joined = {"start": np.concatenate(starts), "owner": np.concatenate(owners), "offsets": offsets}
    return {name: torch.from_numpy(column) for name, column in joined.items()}, rows


def kept_stimuli(
    name: str, images: Sequence[str], size: int, tensors: dict[str, Tensor], rows: Sequence[Sequence[Any]]
) -> Stimuli:
    """Images of size x size cells whose objects are what `keep_objects` kept: their visible cells.

    Their canvas is the one that was kept, so everything that is measured on it comes out the same. Areas stay those of
    the original image. Without fixations and photos.
    """
    start, owner, offsets = (tensors[column].numpy() for column in ("start", "owner", "offsets"))
    by_image: dict[int, list[Sequence[Any]]] = {}
    for row in rows:
        by_image.setdefault(row[0], []).append(row)

    def objects(image: str) -> tuple[ObjectMask, ...]:
        i = positions[image]
        runs = slice(int(offsets[i]), int(offsets[i + 1]))
        lengths = np.diff(start[runs], append=size * size)
        canvas = np.repeat(owner[runs], lengths).reshape(size, size)
        return tuple(
            ObjectMask(str(label), str(category), float(area), animate, partial(_shown, canvas, k))
            for k, (_, label, category, animate, area) in enumerate(by_image.get(i, []))
        )

    positions = {image: i for i, image in enumerate(images)}
    none, side = np.zeros(0), np.full(len(images), size)
    return Stimuli(
        name=name,
        ids=tuple(images),
        width=side,
        height=side,
        fixations=Fixations(none, none, none.astype(np.int32)),
        offsets=np.zeros(len(images) + 1, dtype=np.int64),
        paths=(None,) * len(images),
        find_objects=objects,
    )


def _shown(canvas: Int[np.ndarray, "size size"], position: int) -> Bool[np.ndarray, "size size"]:
    return canvas == position
