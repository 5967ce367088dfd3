"""The engine: attention density of region A against region B, per image and map.

density = share of the map (sum 1) in the region / cells of the region x 10,000. A map that is the same everywhere has
10,000 / 50,176 = 0.199 in every region (224x224).
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from gazetune.biases.measure import Measured
from gazetune.biases.object_size import LARGE, MEDIUM, SMALL
from gazetune.biases.selection import left_out, members
from gazetune.biases.settings import HALVES, Contrast, Region

SCALE = 10_000


@dataclass(frozen=True)
class Densities:
    """A region's density in each image and row (NaN where there is none), its cells and its visible objects."""

    density: Float[np.ndarray, "image key"]
    cells: Int[np.ndarray, " image"]
    objects: Int[np.ndarray, " image"]


def region_density(measured: Measured, contrast: Contrast, name: str) -> Densities:
    """Density of one of the contrast's regions in every image, whether or not the image is left out of the contrast."""
    region, everything = contrast.regions[name], measured.size**2
    if isinstance(region, Region) and region.half:
        where = HALVES.index(region.half)
        cells = np.full(len(measured.images), measured.half_cells[where])
        return _pooled(measured.on_half[:, :, where], cells, np.zeros_like(cells))
    if isinstance(region, Region):
        return _of_objects(measured, members(measured.objects, region), contrast.density == "per_object")
    a = region_density(measured, contrast.model_copy(update={"density": "pooled"}), contrast.a.name)
    share = np.nan_to_num(a.density) * a.cells[:, None] / SCALE  # an image without A has none of the map on it
    unknown = np.where(pd.isna(measured.reason), 0.0, np.nan)
    return _pooled(1 - share + unknown, everything - a.cells, np.zeros_like(a.cells))


def _of_objects(measured: Measured, inside: Bool[np.ndarray, " object"], per_object: bool) -> Densities:
    n = len(measured.images)
    cells = measured.objects["cells"].to_numpy(dtype=np.int64)
    inside = inside & (cells > 0)
    image, share, cells = measured.objects["position"].to_numpy()[inside], measured.on_object[inside], cells[inside]
    counted = np.bincount(image, minlength=n)
    total = np.bincount(image, weights=cells, minlength=n).astype(np.int64)
    if not per_object:
        return _pooled(_summed(image, share, n), total, counted)
    with np.errstate(invalid="ignore"):
        mean = SCALE * _summed(image, share / cells[:, None], n) / counted[:, None]
    return Densities(mean, total, counted)


def _summed(
    image: Int[np.ndarray, " object"], values: Float[np.ndarray, "object key"], n: int
) -> Float[np.ndarray, "image key"]:
    columns = [np.bincount(image, weights=values[:, k], minlength=n) for k in range(values.shape[1])]
    return np.stack(columns, axis=1).astype(np.float64)  # numpy counts nothing in whole numbers


def _pooled(
    share: Float[np.ndarray, "image key"], cells: Int[np.ndarray, " image"], objects: Int[np.ndarray, " image"]
) -> Densities:
    with np.errstate(invalid="ignore", divide="ignore"):
        density = np.where(cells[:, None] > 0, SCALE * share / cells[:, None], np.nan)
    return Densities(density, cells, objects)


def contrast_table(measured: Measured, name: str, contrast: Contrast, prior: str | None = None) -> pd.DataFrame:
    """One row an image and row of maps: density_a, density_b, contrast = a - b, over_prior, cells, objects, reason.

    over_prior: the contrast less the contrast of the row `prior` on the same image (NaN without a prior). cells and
    objects: the visible ones of each region. reason: why there is no contrast; the densities are then NaN.
    """
    (a, b), images, keys = (region_density(measured, contrast, n) for n in contrast.names), *_shape(measured)
    why = left_out(measured.objects, images, contrast, measured.size)[:, None]
    reason = np.where(pd.isna(why), measured.reason, why)
    density_a, density_b = (np.where(pd.isna(reason), of.density, np.nan) for of in (a, b))
    gap = density_a - density_b
    of_prior = gap[:, [measured.keys.index(prior)]] if prior in measured.keys else np.nan
    columns = {
        "dataset": measured.dataset,
        "image": np.repeat(np.array(measured.images, dtype=object), keys),
        "key": np.tile(np.array(measured.keys, dtype=object), images),
        "analysis": name,
        **{n: v.ravel() for n, v in (("density_a", density_a), ("density_b", density_b), ("contrast", gap))},
        "over_prior": (gap - of_prior).ravel(),
        **{f"cells_{end}": np.repeat(of.cells, keys) for end, of in (("a", a), ("b", b))},
        **{f"objects_{end}": np.repeat(of.objects, keys) for end, of in (("a", a), ("b", b))},
        "reason": reason.ravel(),
    }
    return pd.DataFrame(columns)


def _shape(measured: Measured) -> tuple[int, int]:
    return len(measured.images), len(measured.keys)


def object_table(measured: Measured) -> pd.DataFrame:
    """One row an object and row of maps: category, area, size (small, medium, large), visible cells and density.

    The density of an object without a visible cell is NaN.
    """
    objects, keys = measured.objects, len(measured.keys)
    size = np.full(len(objects), None, dtype=object)
    for bin in (SMALL, MEDIUM, LARGE):
        size[members(objects, bin)] = bin.name
    cells = objects["cells"].to_numpy(dtype=np.float64)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        density = np.where(cells > 0, SCALE * measured.on_object / cells, np.nan)
    kept = [c for c in objects if c not in ("position", "cells")]
    long = (
        objects[kept].assign(size=size, cells=objects["cells"]).loc[objects.index.repeat(keys)].reset_index(drop=True)
    )
    long.insert(0, "dataset", measured.dataset)
    return long.assign(key=np.tile(np.array(measured.keys, dtype=object), len(objects)), density=density.ravel())
