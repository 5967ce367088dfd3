"""Fixations to density maps, and what every map goes through: blur, normalise, resize."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32, Int, Int16
from pydantic import BaseModel, ConfigDict, PositiveFloat, model_validator
from scipy.sparse import csr_array
from torch import Tensor
from torch.nn.functional import interpolate

from gazetune.data.stimuli import Fixations, Stimuli, rows_of
from gazetune.errors import InputError
from gazetune.progress import say

MAP_SIZE = 224
CONSTANT = 1e-6  # relative to the largest value; rounding in float32 leaves about 1e-7
TRUNCATE = 4.0  # the Gaussian ends at this many sigma, as in scipy.ndimage


class Human(BaseModel):
    """How fixations become a human density map.

    sigma_px: SD of the Gaussian in pixels of the map grid (the paper's 15 on 224x224); or sigma_deg, degrees of visual
    angle, with pixels_per_degree of the original image. drop_first: leave out each observer's first fixation (it lies
    where the fixation cross was; first is the data set's lowest `order`, be it 0 or 1). window_ms: keep fixations that
    begin in [from, to). weight: each fixation counts once, or as long as it lasted.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    sigma_px: PositiveFloat = 15.0
    sigma_deg: PositiveFloat | None = None
    pixels_per_degree: PositiveFloat | None = None
    drop_first: bool = False
    window_ms: tuple[float, float] | None = None
    weight: Literal["count", "duration"] = "count"

    @model_validator(mode="after")
    def _sigma_is_one(self) -> "Human":
        if (self.sigma_deg is None) != (self.pixels_per_degree is None):
            raise ValueError("sigma_deg and pixels_per_degree go together: give both, or sigma_px alone")
        return self


@dataclass(frozen=True)
class Points:
    """Fixations of many images on the map grid, as columns: what the human side of a score is computed from.

    `offsets[i]:offsets[i + 1]` are the points of image i. `weight` is 1 for counts, milliseconds for durations.
    `observer` says who looked, as a number. `sigma_px` is the Gaussian's SD down and across, per image, in map pixels.
    """

    row: Int16[np.ndarray, " point"]
    column: Int16[np.ndarray, " point"]
    weight: Float32[np.ndarray, " point"]
    observer: Int[np.ndarray, " point"]
    offsets: Int[np.ndarray, " bounds"]
    sigma_px: Float32[np.ndarray, "image 2"]
    size: int = MAP_SIZE

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def take(self, index: Int[np.ndarray, " kept"]) -> "Points":
        """The points of these images only, in this order."""
        rows, offsets = rows_of(self.offsets, index)
        columns = {name: getattr(self, name)[rows] for name in ("row", "column", "weight", "observer")}
        return Points(**columns, offsets=offsets, sigma_px=self.sigma_px[index], size=self.size)


def _kept(fixations: Fixations, human: Human) -> np.ndarray:
    keep = np.ones(len(fixations), dtype=bool)
    needed = {"order": human.drop_first, "onset_ms": human.window_ms is not None}
    needed["duration_ms"] = human.weight == "duration"
    for column, is_needed in needed.items():
        if is_needed and getattr(fixations, column) is None:
            raise InputError(f"The fixations have no column '{column}', which the settings under 'human' need.")
    if human.drop_first and fixations.order is not None:
        first = fixations.order.min() if len(fixations) else 0  # of all: who has no first fixation loses no other one
        keep &= fixations.order > first
        say(f"human.drop_first: {(~keep).sum()} of {len(keep)} fixations (order {first}) are left out")
    if human.weight == "duration" and fixations.duration_ms is not None:
        keep &= fixations.duration_ms > 0
    if human.window_ms is not None and fixations.onset_ms is not None:
        keep &= (fixations.onset_ms >= human.window_ms[0]) & (fixations.onset_ms < human.window_ms[1])
    return keep


def grid_points(stimuli: Stimuli, human: Human | None = None, size: int = MAP_SIZE) -> Points:
    """Every fixation's cell on a size x size grid: floor(x * size / width), x 0-based (the paper's binning).

    Raises:
        InputError: an option of `human` needs a column that the fixations do not have.
    """
    human = human or Human()
    keep = _kept(stimuli.fixations, human)
    image = np.repeat(np.arange(len(stimuli)), stimuli.n_fixations)[keep]
    seen = stimuli.fixations.take(keep)
    width, height = stimuli.width[image], stimuli.height[image]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(image, minlength=len(stimuli)))]).astype(np.int64)
    if human.sigma_deg is not None and human.pixels_per_degree is not None:
        original = human.sigma_deg * human.pixels_per_degree
        sigma = np.stack([original * size / stimuli.height, original * size / stimuli.width], axis=1)
    else:
        sigma = np.full((len(stimuli), 2), human.sigma_px)
    weight = seen.duration_ms if human.weight == "duration" else None
    return Points(
        # in float32 a coordinate just below the edge may have been rounded up to it
        row=np.minimum(np.floor(seen.y.astype(np.float64) * size / height), size - 1).astype(np.int16),
        column=np.minimum(np.floor(seen.x.astype(np.float64) * size / width), size - 1).astype(np.int16),
        # counts: one number seen as a column, 4 bytes a fixation less
        weight=np.broadcast_to(np.float32(1), len(seen)) if weight is None else weight.astype(np.float32),
        observer=seen.observer.astype(np.int32),
        offsets=offsets,
        sigma_px=sigma.astype(np.float32),
        size=size,
    )


def counts(points: Points, index: Int[np.ndarray, " image"] | None = None) -> Float[Tensor, "image height width"]:
    """Fixations per map cell (or milliseconds, as weighted) of these images; of all where index is None."""
    index = np.arange(len(points)) if index is None else index
    rows, offsets = rows_of(points.offsets, index)
    cells = points.size**2
    cell = points.row[rows].astype(np.int64) * points.size + points.column[rows]
    flat = np.repeat(np.arange(len(index)), np.diff(offsets)) * cells + cell
    summed = np.bincount(flat, weights=points.weight[rows], minlength=len(index) * cells)
    return torch.from_numpy(summed.astype(np.float32)).view(len(index), points.size, points.size)


@lru_cache(maxsize=16)  # every batch of a data set asks for the same one; not to be written to
def gaussian_matrix(size: int, sigma_px: float) -> Float[Tensor, "size size"]:
    """The 1-d Gaussian filter as a matrix: zero beyond the edge, cut at 4 sigma, kernel sum 1 (float64).

    Equals scipy.ndimage.gaussian_filter1d(mode="constant", truncate=4): mass that falls off the edge is lost.
    """
    radius = int(TRUNCATE * sigma_px + 0.5)
    offset = torch.arange(-radius, radius + 1, dtype=torch.float64)
    kernel = torch.exp(-0.5 * (offset / sigma_px) ** 2)
    kernel /= kernel.sum()
    distance = torch.arange(size)[:, None] - torch.arange(size)[None, :]
    return torch.where(distance.abs() <= radius, kernel[(distance + radius).clamp(0, 2 * radius)], 0.0)


def blur(
    maps: Float[Tensor, "image height width"], sigma_px: Float32[np.ndarray, "image 2"] | float
) -> Float[Tensor, "image height width"]:
    """Gaussian blur with zero padding, sigma in map pixels: one for all, or (down, across) for each image.

    The filter is separable, so it is two matrix products per image; same numbers as scipy.ndimage.gaussian_filter
    with mode="constant", truncate=4.
    """
    sigma = np.broadcast_to(np.asarray(sigma_px, dtype=np.float32), (len(maps), 2))
    blurred = torch.empty_like(maps)
    for down, across in np.unique(sigma, axis=0):
        members = torch.from_numpy((sigma == (down, across)).all(axis=1)).to(maps.device)
        rows = gaussian_matrix(maps.shape[1], float(down)).to(maps)
        columns = gaussian_matrix(maps.shape[2], float(across)).to(maps)
        blurred[members] = rows @ maps[members] @ columns.T
    return blurred


def smoothed(points: Points, index: Int[np.ndarray, " image"]) -> Float[Tensor, "image height width"]:
    """`blur` of the `counts` of these images, in a third of the time: a map of a few hundred points is nearly empty, so
    its product with the first of the two filters is a sparse one."""
    sigma = points.sigma_px[index]
    maps = torch.empty(len(index), points.size, points.size)
    for down, across in np.unique(sigma, axis=0):
        members = np.flatnonzero((sigma == (down, across)).all(axis=1))
        rows, offsets = rows_of(points.offsets, index[members])
        line = np.repeat(np.arange(len(members)), np.diff(offsets)) * points.size + points.row[rows]
        place = (line, points.column[rows])
        counted = csr_array((points.weight[rows], place), shape=(len(members) * points.size, points.size))
        filtered = torch.from_numpy(counted @ gaussian_matrix(points.size, float(across)).float().numpy().T)
        filtered = gaussian_matrix(points.size, float(down)).float() @ filtered.view(-1, points.size, points.size)
        if len(members) == len(index):
            return filtered
        maps[torch.from_numpy(members)] = filtered
    return maps


def min_max(maps: Float[Tensor, "image height width"]) -> Float[Tensor, "image height width"]:
    """Each map shifted and scaled to 0..1; a constant map becomes NaN (it says nothing about where to look).

    Constant is a map whose values differ by no more than rounding does: a millionth of the largest.
    """
    low, high = maps.amin(dim=(1, 2), keepdim=True), maps.amax(dim=(1, 2), keepdim=True)
    spread = high - low
    return (maps - low) / torch.where(spread > CONSTANT * high.abs(), spread, torch.nan)


def is_constant(maps: Float[Tensor, "image height width"]) -> Bool[Tensor, " image"]:
    """Maps whose values differ by no more than rounding does: a millionth of the largest."""
    low, high = maps.amin(dim=(1, 2)), maps.amax(dim=(1, 2))
    return high - low <= CONSTANT * high.abs()


def sum_to_one(maps: Float[Tensor, "image height width"]) -> Float[Tensor, "image height width"]:
    """Each map divided by its sum."""
    return maps / maps.sum(dim=(1, 2), keepdim=True)


def upsampled(
    grids: Float[Tensor, "image grid_height grid_width"], size: int = MAP_SIZE
) -> Float[Tensor, "image size size"]:
    """Patch grids to attention maps: bilinear (align_corners=False) to size x size, then min-max; differentiable."""
    large = interpolate(grids[:, None], size=(size, size), mode="bilinear", align_corners=False)[:, 0]
    return min_max(large)


def densities(points: Points, index: Int[np.ndarray, " image"] | None = None) -> Float[Tensor, "image height width"]:
    """Human density maps of these images: counts, Gaussian with zero padding, min-max. No fixation gives NaN."""
    index = np.arange(len(points)) if index is None else index
    return min_max(smoothed(points, index))


def density(stimuli: Stimuli, sigma_px: float = 15.0, size: int = MAP_SIZE) -> Float[Tensor, "image size size"]:
    """Human density maps of a data set, 0..1, on a size x size grid (the paper's: 224, sigma 15 px)."""
    return densities(grid_points(stimuli, Human(sigma_px=sigma_px), size))
