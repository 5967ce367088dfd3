"""Do observers agree where to look? The mean pairwise CC between the observers' own density maps, image by image."""

from functools import lru_cache
from itertools import pairwise

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from scipy.sparse import coo_array

from gazetune.data.stimuli import Stimuli, rows_of
from gazetune.maps import MAP_SIZE, Human, Points, gaussian_matrix, grid_points
from gazetune.observers import by_observer

RANK_TOLERANCE = 3e-5  # of the largest singular value; what is cut changes a CC by about 1e-9 (sigma 15 on 224)
FLAT = 1e-12  # variance of a map beside its energy, below which it is constant but for rounding

Factor = tuple[Float[np.ndarray, "rank size"], Float[np.ndarray, " rank"]]


def consistency(stimuli: Stimuli, human: Human | None = None, size: int = MAP_SIZE) -> pd.DataFrame:
    """One row an image: n_observers with a fixation on it, and the mean CC over all pairs of their density maps.

    Each observer's map is the density of their own fixations (see maps.densities; min-max does not change a CC).
    -1..1. Observers without a usable fixation are left out; fewer than two give NaN.

    Raises:
        InputError: an option of `human` needs a column that the fixations do not have.
    """
    found = agreement(grid_points(stimuli, human, size))
    found.insert(0, "image", list(stimuli.ids))
    return found


def agreement(points: Points) -> pd.DataFrame:
    """One row an image: n_observers and consistency, as `consistency` gives them, from the points of a run."""
    pairs, image = by_observer(points)
    bounds = np.searchsorted(image, np.arange(len(points) + 1))
    number, mean = np.zeros(len(points), dtype=int), np.full(len(points), np.nan)
    for i, (start, stop) in enumerate(pairwise(bounds)):
        found = pairwise_cc(pairs, np.arange(start, stop)) if stop > start else np.empty((0, 0))
        seen = ~np.isnan(found.diagonal())
        n = number[i] = int(seen.sum())
        if n > 1:
            mean[i] = (found[np.ix_(seen, seen)].sum() - n) / (n * (n - 1))
    return pd.DataFrame({"n_observers": number, "consistency": mean})


def pairwise_cc(points: Points, index: Int[np.ndarray, " map"]) -> Float[np.ndarray, "map map"]:
    """CC between the density maps of every two of these images, all of one sigma (float64); NaN for an empty map.

    The maps are not made. The filter is a matrix of low rank but for rounding (24 of 224 at sigma 15): G = U F with
    orthonormal columns U. So a blurred map is U (F_down C F_across^T) U^T, and inner products of maps are those of
    the small matrices in the brackets, which the fixations give directly. Sums over pixels need only U^T 1.
    """
    flat, total = low_rank(points, index)
    products = flat @ flat.T
    covariance = products - np.outer(total, total) / points.size**2
    variance, energy = covariance.diagonal(), products.diagonal()
    sd = np.sqrt(np.where(variance > FLAT * energy, variance, np.nan))
    return covariance / np.outer(sd, sd)


def low_rank(
    points: Points, index: Int[np.ndarray, " map"]
) -> tuple[Float[np.ndarray, "map rank_squared"], Float[np.ndarray, " map"]]:
    """Blurred maps of one sigma as short vectors with the same inner products (see `pairwise_cc`), and their sums."""
    (down, down_sums), (across, across_sums) = (_factor(points.size, float(s)) for s in points.sigma_px[index[0]])
    rows, offsets = rows_of(points.offsets, index)
    owner = np.repeat(np.arange(len(index)), np.diff(offsets))
    maps, size, rank = len(index), points.size, len(across)
    line = points.row[rows].astype(np.int64) * maps + owner
    cells = coo_array((points.weight[rows], (line, points.column[rows])), (size * maps, size))
    profile = (cells.tocsr() @ across.T).reshape(size, maps * rank)
    small = (down @ profile).reshape(len(down), maps, rank).transpose(1, 0, 2)
    total = np.einsum("r,mrs,s->m", down_sums, small, across_sums)
    return small.reshape(maps, -1), total


@lru_cache(maxsize=64)
def _factor(size: int, sigma_px: float) -> Factor:
    """The Gaussian filter as U F: F [rank, size], and the sum of each column of U."""
    basis, strength, turned = torch.linalg.svd(gaussian_matrix(size, sigma_px))
    rank = int((strength > RANK_TOLERANCE * strength[0]).sum())
    return (strength[:rank, None] * turned[:rank]).numpy(), basis[:, :rank].sum(0).numpy()
