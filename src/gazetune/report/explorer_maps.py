"""What the explorer draws: maps as small grids of bytes, and fixations, of the images that it shows."""

import base64
from collections.abc import Collection
from functools import partial

import numpy as np
import torch
from jaxtyping import Float, Int, Shaped, UInt8
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from gazetune.attention.extract import READY, SHARD, open_maps, shards
from gazetune.maps import Points, densities, min_max
from gazetune.metrics.score import Index, Maps, by_batch
from gazetune.prepared import Prepared
from gazetune.report.thumbnails import FEW
from gazetune.run import Json, Run
from gazetune.tables.rows import HUMAN, maps_folder

SIDE, SIDE_OF_FEW = 32, 56  # cells of human and ready-made maps: 7 and 4 pixels of 224; the paper's sigma is 15
MOST_POINTS, LEAST_POINTS = 1_500_000, 300  # fixations in all; and of one image, that are always kept
CELLS = 256  # a side of the grid that fixations are kept on, at most


def text_of(values: Shaped[np.ndarray, "..."]) -> str:
    """Numbers as base64 of their bytes, little-endian."""
    return base64.b64encode(np.ascontiguousarray(values).astype(values.dtype.newbyteorder("<")).tobytes()).decode()


def quantised(grids: Float[Tensor, "image height width"]) -> tuple[UInt8[np.ndarray, "image height width"], list[int]]:
    """Each grid in 256 steps from its least to its largest value, and the positions of those that have no map.

    No map: NaN anywhere, or the same value everywhere. Such a grid is 0.
    """
    scaled = min_max(grids)
    missing = scaled.isnan().flatten(1).any(1)
    steps = (scaled * 255).round().where(~missing[:, None, None], 0.0)
    return steps.to(torch.uint8).numpy(), torch.nonzero(missing)[:, 0].tolist()


def stored_maps(run: Run, test: Prepared, rows: Int[np.ndarray, " shown"], keys: Collection[str]) -> dict[str, Json]:
    """The map of humans and of each model (by key) on these images: `grid` [height, width], `data`, `missing`.

    rows: positions of the images in the data set. Patch grids are kept as they are; human and ready-made maps as means
    over `coarse_side` x `coarse_side` cells. Data: base64 of bytes, image by image.
    """
    place = {row: i for i, row in enumerate(test.rows("test").tolist())}
    index = np.array([place[row] for row in rows.tolist()], dtype=np.int64)
    found = {HUMAN: _coarse(partial(densities, test.points.take(rows)), len(rows))}
    for key in keys:
        folder = maps_folder(test.name, key)
        if run.file(f"{folder}/{READY}").is_file():
            ready = open_maps(run, folder, test.points.size)
            found[key] = _coarse(partial(_at, ready, index), len(rows))
        else:
            found[key] = _grids(run, folder, index)
    return {key: _stored(grids) for key, grids in found.items()}


def _grids(run: Run, folder: str, index: Index) -> Float[Tensor, "image grid_height grid_width"]:
    """The patch grids of these images, in their order, which ascends; no other ones are held."""
    of_shard = index // SHARD
    parts = (part["grid"][torch.from_numpy(index[of_shard == k] % SHARD)] for k, part in enumerate(shards(run, folder)))
    return torch.cat(list(parts))


def _at(maps: Maps, index: Index, part: Int[np.ndarray, " part"]) -> Float[Tensor, "part height width"]:
    return maps(index[part])


def _coarse(maps: Maps, n: int) -> Float[Tensor, "image side side"]:
    side = coarse_side(n)
    parts = by_batch(lambda index: adaptive_avg_pool2d(maps(index), side), n)
    return torch.cat([torch.zeros(0, side, side), *parts])


def coarse_side(n: int) -> int:
    """The side of the grid on which human and ready-made maps of n images are kept."""
    return SIDE_OF_FEW if n <= FEW else SIDE


def _stored(grids: Float[Tensor, "image height width"]) -> dict[str, Json]:
    steps, missing = quantised(grids)
    return {"grid": list(steps.shape[1:]), "data": text_of(steps), "missing": missing}


def stored_fixations(
    test: Prepared, rows: Int[np.ndarray, " shown"], most: int = MOST_POINTS, least: int = LEAST_POINTS
) -> dict[str, Json]:
    """The fixations on these images: their cells on a `cells` x `cells` grid, and whose each is.

    Of each image at most its share of `most` (and `least`, if that is more), evenly chosen in the order of the data;
    `counted` says how many there are.
    """
    points = test.points.take(rows)
    counted = np.diff(points.offsets)
    keep = _thinned(points, max(least, most // max(len(rows), 1)))
    cells = min(points.size, CELLS)
    row, column = (
        (axis[keep].astype(np.int64) * cells // points.size).astype(np.uint8) for axis in (points.row, points.column)
    )
    who, observer = np.unique(points.observer[keep], return_inverse=True)
    image = np.repeat(np.arange(len(rows)), counted)[keep]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(image, minlength=len(rows)))])
    small = len(who) <= CELLS
    return {
        "cells": cells,
        "observers": test.observer_names(who),
        "offsets": text_of(offsets.astype(np.uint32)),
        "counted": text_of(counted.astype(np.uint32)),
        "row": text_of(row),
        "column": text_of(column),
        "observer": text_of(observer.astype(np.uint8 if small else np.uint16)),
        "wide": not small,
    }


def _thinned(points: Points, most: int) -> Int[np.ndarray, " kept"]:
    """Positions of at most so many points of each image, evenly chosen."""
    kept = []
    for start, stop in zip(points.offsets[:-1].tolist(), points.offsets[1:].tolist(), strict=True):
        n = stop - start
        chosen = np.arange(n) if n <= most else np.round(np.linspace(0, n - 1, most)).astype(np.int64)
        kept.append(start + chosen)
    return np.concatenate([np.zeros(0, dtype=np.int64), *kept])
