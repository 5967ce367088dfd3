"""The objects of a data set as a run keeps them: which object each cell of the map grid shows, as run lengths."""

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Bool, Int, Shaped
from torch import Tensor

from gazetune.biases.regions import NOTHING, painted
from gazetune.data.stimuli import Fixations, ObjectMask, Stimuli
from gazetune.progress import track
from gazetune.text_columns import coded, decoded, packed, unpacked

COLUMNS = ("image", "object", "category", "animate", "area_px2")
UNKNOWN = -1  # whether an object is animate: 0, 1, or not known
Columns = dict[str, Shaped[np.ndarray, " object"]]


def keep_objects(stimuli: Stimuli, size: int) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The painter's canvases of all images on the map grid and all objects as columns, and what goes into the header.

    Tensors: `start` and `owner` of each run of cells that show the same object (or -1), and `offsets`, where the runs
    of each image begin. A few kilobytes an image. What the canvas hides is not kept: no analysis asks for it.
    `names` are those of the images, `n_objects` each one's number, the others one entry an object (see COLUMNS).

    Raises InputError for a mask of another size than its image, and what decoding an object raises.
    """
    starts, owners, counts, numbers, objects = [], [], [], [], list[ObjectMask]()
    for scene in track(stimuli, f"objects of {stimuli.name}", total=len(stimuli)):
        cells = painted(scene, size).ravel()
        start = np.flatnonzero(np.diff(cells, prepend=NOTHING - 1))
        starts.append(start.astype(np.int32))
        owners.append(cells[start].astype(np.int32))
        counts.append(len(start))
        numbers.append(len(scene.objects))
        objects += scene.objects
    offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    categories = sorted({o.category for o in objects})
    return {
        "start": torch.from_numpy(np.concatenate(starts)),
        "owner": torch.from_numpy(np.concatenate(owners)),
        "offsets": torch.from_numpy(offsets),
        **packed("names", stimuli.ids),
        "n_objects": torch.tensor(numbers, dtype=torch.int32),
        **packed("object", (o.id for o in objects)),
        "category": coded([o.category for o in objects], categories),
        "animate": torch.tensor([UNKNOWN if o.animate is None else int(o.animate) for o in objects], dtype=torch.int8),
        "area_px2": torch.tensor([float(o.area_px2) for o in objects], dtype=torch.float64),
    }, {"size": size, "categories": categories}


def kept_names(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> list[str]:
    """The names of the images whose objects were kept."""
    return about["images"] if "images" in about else unpacked("names", tensors)


def kept_columns(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> Columns:
    """The objects that were kept, image by image (see COLUMNS): `image` is a position; what is not known is None."""
    if "objects" in about:  # before version 0.5: a list an object in the header
        columns = zip(*about["objects"], strict=True) if about["objects"] else ((),) * len(COLUMNS)
        kinds = (np.int64, object, object, object, np.float64)
        return {c: np.array(of, dtype=kind) for c, of, kind in zip(COLUMNS, columns, kinds, strict=True)}
    numbers = tensors["n_objects"].numpy()
    return {
        "image": np.repeat(np.arange(len(numbers)), numbers),
        "object": np.array(unpacked("object", tensors), dtype=object),
        "category": decoded(tensors["category"], about["categories"]),
        "animate": np.array([False, True, None], dtype=object)[tensors["animate"].numpy()],
        "area_px2": tensors["area_px2"].numpy(),
    }


def kept_stimuli(name: str, tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> Stimuli:
    """Images of size x size cells whose objects are what `keep_objects` kept: their visible cells.

    Their canvas is the one that was kept, so everything that is measured on it comes out the same. Areas stay those of
    the original image. Without fixations and photos.
    """
    start, owner, offsets = (tensors[column].numpy() for column in ("start", "owner", "offsets"))
    images, size, columns = kept_names(tensors, about), about["size"], kept_columns(tensors, about)
    bounds = np.searchsorted(columns["image"], np.arange(len(images) + 1))

    def objects(image: str) -> tuple[ObjectMask, ...]:
        i = positions[image]
        runs = slice(int(offsets[i]), int(offsets[i + 1]))
        lengths = np.diff(start[runs], append=size * size)
        canvas = np.repeat(owner[runs], lengths).reshape(size, size)
        found = (columns[c][bounds[i] : bounds[i + 1]] for c in ("object", "category", "area_px2", "animate"))
        return tuple(
            ObjectMask(label, category, float(area), animate, partial(_shown, canvas, k))
            for k, (label, category, area, animate) in enumerate(zip(*found, strict=True))
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
