"""Which head of which layer looks where people look? CC and NSS of the [CLS] attention of each, image by image.

A map is a patch grid g enlarged bilinearly to U g, and U is linear and separable. CC and NSS do not change when a map
is shifted and scaled, so all that they need of U g are inner products, which can be had on the patch grid: <U g, d> is
<g, U'd>, and the variance of U g comes from U'U. So no map is ever enlarged: exact, and a patch grid of 16x16 has 196
times fewer cells than the map. Sums run in float64.
"""

from collections.abc import Callable, Collection
from functools import partial

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Float64, UInt8
from torch import Tensor
from torch.nn.functional import interpolate

from gazetune import processes
from gazetune.attention.extract import photos_of
from gazetune.backbones import Backbone
from gazetune.data.stimuli import Stimuli
from gazetune.errors import InputError
from gazetune.maps import CONSTANT, MAP_SIZE, Human, Points, counts, grid_points, is_constant, smoothed
from gazetune.metrics.score import Index
from gazetune.progress import track_all
from gazetune.run import Run

NAMES = ("cc", "nss")
MEAN = 0  # in the column `head`, where heads count from 1: the average over the heads of a layer
TABLE = "heads"

Grids = Float64[Tensor, "image height width"]


def bilinear_matrix(length: int, size: int) -> Float64[Tensor, "size length"]:
    """Bilinear enlarging along one side (align_corners=False) as a matrix; each of its rows sums to 1."""
    return interpolate(torch.eye(length, dtype=torch.float64)[None], size=size, mode="linear", align_corners=False)[0].T


def human_on_grid(points: Points, index: Index, grid: tuple[int, int]) -> tuple[Grids, Grids]:
    """What these images' fixations ask of a map, on its patch grid.

    Returns:
        U'd, d the density less its mean and scaled to norm 1; NaN without a fixation or where the density is constant.
        U'f, f the fixations per pixel, scaled to sum 1; NaN without a fixation.
    """
    down, across = (bilinear_matrix(length, points.size) for length in grid)
    blurred = smoothed(points, index)
    centred = blurred.double() - blurred.double().mean((1, 2), keepdim=True)
    norm = centred.square().sum((1, 2), keepdim=True).sqrt()
    density = centred / torch.where(is_constant(blurred)[:, None, None], torch.nan, norm)
    fixations = counts(points, index).double()
    fixations /= fixations.sum((1, 2), keepdim=True)
    return down.T @ density @ across, down.T @ fixations @ across


def grid_scores(
    grids: Float[Tensor, "image map height width"], density: Grids, fixations: Grids, size: int = MAP_SIZE
) -> Float64[Tensor, "image map 2"]:
    """CC and NSS (population SD, repeated fixations count) of several maps of each image, from their patch grids.

    The numbers of `cc` and `nss` of the enlarged maps (`upsampled`). NaN for a constant map and where the human side
    is NaN.

    Args:
        grids: patch grids, on any scale. density, fixations: from `human_on_grid`, for the same grid and size.
        size: side of the enlarged maps in pixels.
    """
    down, across = (bilinear_matrix(length, size) for length in grids.shape[2:])
    exact = grids.double()
    mean = torch.einsum("imhw,h,w->im", exact, down.sum(0), across.sum(0)) / size**2
    high, low = exact.amax((2, 3)), exact.amin((2, 3))
    # a constant is enlarged to itself, so the mean of the enlarged map can be taken off before: no loss of digits
    centred = exact - torch.where(high - low > CONSTANT * high.abs(), mean, torch.nan)[..., None, None]
    squares = (down.T @ down @ centred @ (across.T @ across) * centred).sum((2, 3))
    r = torch.einsum("imhw,ihw->im", centred, density) / squares.sqrt()
    z = torch.einsum("imhw,ihw->im", centred, fixations) / (squares / size**2).sqrt()
    return torch.stack([r, z], dim=-1)


def head_scores(
    backbone: Backbone,
    images: Callable[[int, int], UInt8[Tensor, "batch 3 h w"]],
    points: Points,
    batch_size: int = 16,
    what: str = "heads",
) -> Float64[np.ndarray, "image layer head 2"]:
    """CC and NSS of the [CLS] row of every layer and head over the patches; head 0 is the average over heads.

    Models that are not read at [CLS] give the mean of the patches' rows instead.

    Only the scores are kept: memory grows with the batch, not with the images.

    Args:
        backbone: a model with attention heads. images: (start, stop) to the pixels of a batch.
        points: the fixations of these images, in the same order. what: for the progress line.

    Raises:
        InputError: the model has no attention heads.
    """
    if not backbone.heads:
        raise InputError("This model has no attention heads, so there is none to compare. Give a transformer.")

    def batch(start: int) -> Float64[np.ndarray, "batch layer head 2"]:
        index = np.arange(start, min(start + batch_size, len(points)))
        with torch.no_grad():
            output = backbone(images(start, start + len(index)), attention="cls")
        rows = torch.stack([layer[..., output.prefix :].cpu().double() for layer in output.attention], dim=1)
        rows = torch.cat([rows.mean(dim=2, keepdim=True), rows], dim=2)
        grids = rows.view(len(index), -1, *output.grid)
        found = grid_scores(grids, *human_on_grid(points, index, output.grid), points.size)
        return found.view(*rows.shape[:3], len(NAMES)).numpy()

    starts = range(0, len(points), batch_size)
    return np.concatenate(processes.dealt(batch, starts, partial(track_all, what=what)))


def head_table(scores: Float64[np.ndarray, "image layer head 2"]) -> pd.DataFrame:
    """One row per layer (from 1), head (from 1; 0: the average over heads) and metric: n, mean, SD and SEM.

    n counts the images with a value; SD is the sample's (n - 1).
    """
    rows = []
    for layer, head in np.ndindex(scores.shape[1:3]):
        for name, values in zip(NAMES, scores[:, layer, head].T, strict=True):
            found = pd.Series(values).dropna()
            sd = found.std(ddof=1)
            spread = {"n": len(found), "mean": found.mean(), "sd": sd, "sem": sd / max(len(found), 1) ** 0.5}
            rows.append({"layer": layer + 1, "head": head, "metric": name, **spread})
    return pd.DataFrame(rows)


def score_heads(
    backbone: Backbone, stimuli: Stimuli, human: Human | None = None, size: int = MAP_SIZE, batch_size: int = 16
) -> pd.DataFrame:
    """`head_table` of a model on every image of a data set.

    Raises InputError if the model has no attention heads, or an image has no pixels or cannot be read.
    """
    photos = photos_of(stimuli, backbone.image_size)
    return head_table(head_scores(backbone, photos, grid_points(stimuli, human, size), batch_size))


def gather_heads(run: Run, parts: Collection[str]) -> list[str]:
    """heads.csv: these files of the run (`scores/DATA-heads-MODEL.csv`) one below the other; none of them, no table."""
    if not parts:
        return []
    tables = [run.table(part.removesuffix(".csv")) for part in parts]
    return [run.write_table(TABLE, pd.concat(tables, ignore_index=True))]
