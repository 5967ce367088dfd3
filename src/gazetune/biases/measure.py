"""How much of each map lies on each object: one pass over images and maps, from which every contrast is computed.

A contrast of regions needs two numbers an object, how many cells it shows and how much of the map lies on them.
They are small (36,000 objects of 5,000 images), so maps and masks are streamed, a batch at a time, and seen once.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int, Shaped
from torch import Tensor

from gazetune.biases.regions import painted
from gazetune.biases.settings import HALVES
from gazetune.data.stimuli import Stimuli, Stimulus
from gazetune.errors import InputError
from gazetune.maps import CONSTANT, MAP_SIZE, min_max
from gazetune.metrics.saliency import entropy_bits
from gazetune.metrics.score import NEGATIVE, Index, Maps, by_batch, map_faults

COLUMNS = ("position", "image", "object", "category", "animate", "area_px2", "cells")
Rows = Mapping[str, Maps]  # key of a row (humans, a model, a prior) -> its maps by position of the image


@dataclass(frozen=True)
class Measured:
    """What is known of a data set's objects, images and maps.

    images: the ids. keys: the rows (humans, models, priors). objects: one line an object: `position` of its image,
    image, object, category, animate (true, false or missing), area_px2, and `cells` of the grid that show it.
    on_object: share of the map on each object's visible cells; on_half: on each half of the image (see HALVES), whose
    numbers of cells are `half_cells`. entropy_bits: of each map. reason: why a map has none of these, or None.
    """

    dataset: str
    images: tuple[str, ...]
    keys: tuple[str, ...]
    size: int
    objects: pd.DataFrame
    on_object: Float[np.ndarray, "object key"]
    on_half: Float[np.ndarray, "image key 4"]
    half_cells: Int[np.ndarray, "4"]
    entropy_bits: Float[np.ndarray, "image key"]
    reason: Shaped[np.ndarray, "image key"]


@dataclass(frozen=True)
class _Part:
    objects: dict[str, Shaped[np.ndarray, " object"]]
    on_object: Float[np.ndarray, "object key"]
    on_half: Float[np.ndarray, "image key 4"]
    entropy_bits: Float[np.ndarray, "image key"]
    reason: Shaped[np.ndarray, "image key"]


def measure(stimuli: Stimuli, maps: Rows, size: int = MAP_SIZE, entropy: bool = True) -> Measured:
    """Objects and maps of a data set, streamed by batch with progress; memory does not grow with the images.

    Args:
        stimuli: the images with their objects.
        maps: for each row of the tables a function from positions of images to maps [batch, size, size], 0 or more.
        size: of the maps. entropy: also compute the entropy of each map (else NaN).

    Raises:
        InputError: no image or no row; a mask of another size than its image. ValueError: maps of another size.
    """
    if not len(stimuli) or not maps:
        raise InputError(f"'{stimuli.name}': needed at least one image and one row of maps to look for biases.")
    halves = half_masks(size)
    flat = torch.from_numpy(halves.reshape(len(HALVES), -1).astype(np.float32))

    def part(index: Index) -> _Part:
        scenes = [stimuli[i] for i in index.tolist()]
        owner = np.stack([painted(scene, size) for scene in scenes])
        number = [len(scene.objects) for scene in scenes]
        place, cells = np.repeat(np.arange(len(index)), number), np.flatnonzero(owner >= 0)
        shown = owner.reshape(-1)[cells] + (np.cumsum(number) - number)[cells // size**2]
        found = [_on_regions(_of_size(maps[key](index), key, size), place, cells, shown, flat, entropy) for key in maps]
        on_object, on_half, bits, reason = (np.stack(column, axis=1) for column in zip(*found, strict=True))
        visible = np.bincount(shown, minlength=len(place))
        return _Part(_lines(index, scenes, visible), on_object, on_half, bits, reason)

    parts = by_batch(part, len(stimuli), f"{stimuli.name}: objects and maps")
    joined = {
        name: np.concatenate([getattr(p, name) for p in parts])
        for name in ("on_object", "on_half", "entropy_bits", "reason")
    }
    lines = pd.DataFrame({name: np.concatenate([p.objects[name] for p in parts]) for name in COLUMNS})
    lines = lines.astype({"position": np.int64, "animate": "boolean", "area_px2": np.float64, "cells": np.int64})
    counted = halves.sum((1, 2))
    return Measured(stimuli.name, stimuli.ids, tuple(maps), size, lines, half_cells=counted, **joined)


def half_masks(size: int) -> Shaped[np.ndarray, "4 size size"]:
    """The cells of the left, right, top and bottom half; the middle line of an odd size belongs to neither."""
    first, last = np.arange(size) < size // 2, np.arange(size) >= (size + 1) // 2
    whole = np.ones((size, size), dtype=bool)
    return np.stack([whole & first, whole & last, whole & first[:, None], whole & last[:, None]])


def parts_of(measured: Measured, n: int) -> Iterator[Measured]:
    """The same of n images after the other: the tables of single images and objects may be made part by part."""
    position = measured.objects["position"].to_numpy()
    for start in range(0, len(measured.images), n):
        of = slice(start, start + n)
        inside = slice(*np.searchsorted(position, (start, start + n)).tolist())
        objects = measured.objects.iloc[inside]
        yield replace(
            measured,
            images=measured.images[of],
            objects=objects.assign(position=objects["position"] - start).reset_index(drop=True),
            on_object=measured.on_object[inside],
            on_half=measured.on_half[of],
            entropy_bits=measured.entropy_bits[of],
            reason=measured.reason[of],
        )


def _lines(
    index: Index, scenes: list[Stimulus], visible: Int[np.ndarray, " object"]
) -> dict[str, Shaped[np.ndarray, " object"]]:
    """The columns of the objects of a batch (see COLUMNS): arrays, which take a fifth of the memory of tuples."""
    number, objects = [len(scene.objects) for scene in scenes], [o for scene in scenes for o in scene.objects]
    texts = {"object": [o.id for o in objects], "category": [o.category for o in objects]}
    return {
        "position": np.repeat(index, number),
        "image": np.repeat(np.array([scene.id for scene in scenes], dtype=object), number),
        **{name: np.array(of, dtype=object) for name, of in texts.items()},
        "animate": np.array([o.animate for o in objects], dtype=object),
        "area_px2": np.array([o.area_px2 for o in objects], dtype=np.float64),
        "cells": visible,
    }


def _of_size(maps: Float[Tensor, "image height width"], key: str, size: int) -> Float[Tensor, "image size size"]:
    if maps.shape[1:] != (size, size):
        raise ValueError(f"needed maps of {size}x{size} of '{key}'; got {maps.shape[1]}x{maps.shape[2]}")
    return maps


def _on_regions(
    maps: Float[Tensor, "image size size"],
    place: Int[np.ndarray, " object"],
    cells: Int[np.ndarray, " cell"],
    shown: Int[np.ndarray, " cell"],
    halves: Float[Tensor, "4 pixel"],
    entropy: bool,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """One row's maps of a batch: share on each object, share on each half, entropy, reason; NaN where there is one.

    place: the image of each object, within the batch. cells, shown: the cells that show an object, and which.
    """
    flat = maps.reshape(len(maps), -1)
    reason = _faults(maps, flat)
    total = np.where(reason == "", flat.sum(1).double().numpy(), np.nan)
    on_object = np.bincount(shown, weights=flat.reshape(-1).numpy()[cells], minlength=len(place)) / total[place]
    on_half = (flat @ halves.T).double().numpy() / total[:, None]
    bits = np.full(len(maps), np.nan)
    if entropy:  # of the 0..1 map, by convention; most are such maps, a mean map of sum 1 is not
        scaled = maps if bool((flat.amin(1) == 0).all()) else min_max(maps)
        bits = entropy_bits(scaled).double().numpy()
    why = reason.astype(object)
    why[reason == ""] = None
    return on_object, on_half, np.where(reason == "", bits, np.nan), why


def _faults(maps: Float[Tensor, "image size size"], flat: Float[Tensor, "image pixel"]) -> Shaped[np.ndarray, " image"]:
    """Why a map is no distribution over pixels, or an empty string; one look at each map if all are."""
    low, high = flat.amin(1), flat.amax(1)
    if bool(((low >= 0) & (high - low > CONSTANT * high) & high.isfinite()).all()):
        return np.full(len(maps), "")
    reason = map_faults(maps)
    return np.where((reason == "") & (low < 0).numpy(), NEGATIVE, reason)
