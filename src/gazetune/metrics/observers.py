"""Does a map look where each single observer looked? CC, NSS and AUC-Judd of all observers of an image at once.

The same numbers as `score_points` gives on `by_observer`, but what a map costs (its blur, its sorted values) is paid
once an image instead of once an observer, and no observer's density map is made.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
import torch
from jaxtyping import Float, Int

from gazetune.maps import Points, blur, is_constant
from gazetune.metrics.consistency import FLAT, low_rank
from gazetune.metrics.score import Index, Maps, by_batch
from gazetune.observers import by_observer

# against one observer's few fixations these three say something; the others want a density map of many
OBSERVER_METRICS = ("cc", "nss", "auc_judd")
MAPS = 256  # observers whose density maps are measured at a time

Values = Float[np.ndarray, " pair"]
Batch = Float[torch.Tensor, "batch height width"]


@dataclass(frozen=True)
class Pairs:
    """Each image taken apart into its observers.

    points: one image per pair of an image and an observer who looked at it, sorted by image, then observer. image: the
    position of each pair's image among `n_images`. observer: the number of each pair's observer.
    """

    points: Points
    image: Int[np.ndarray, " pair"]
    n_images: int

    def __len__(self) -> int:
        return len(self.image)

    @cached_property
    def observer(self) -> Int[np.ndarray, " pair"]:
        """The number of each pair's observer."""
        return self.points.observer[self.points.offsets[:-1]]

    @cached_property
    def density_norm(self) -> Values:
        """The norm of each observer's density map less its mean; NaN where the map is constant."""
        norm = np.full(len(self), np.nan)
        sigma = self.points.sigma_px
        for pair in np.unique(sigma, axis=0):
            members = np.flatnonzero((sigma == pair).all(axis=1))
            for start in range(0, len(members), MAPS):
                index = members[start : start + MAPS]
                flat, total = low_rank(self.points, index)
                energy = (flat**2).sum(1)
                square = energy - total**2 / self.points.size**2
                norm[index] = np.sqrt(np.where(square > FLAT * energy, square, np.nan))
        return norm


def pairs_of(points: Points) -> Pairs:
    """The pairs of an image and one of its observers; an image without a fixation has none."""
    single, image = by_observer(points)
    return Pairs(single, image, len(points))


def score_pairs(maps: Maps, pairs: Pairs, metrics: Sequence[str] = OBSERVER_METRICS) -> dict[str, Values]:
    """Each metric of an image's map against each of its observers, one value a pair; NaN for an unusable map.

    CC: with the density of the observer's own fixations. It is sum_i w_i (G A G)[fixation i] over the two norms, for
    the filter G is symmetric: blurring the map A once serves all observers. NSS: as `saliency.nss`. AUC-Judd: fixated
    pixels (each once) against all others; of n fixated pixels among N the ranks r (pixels below, ties 1/2) give
    (sum r - n^2 / 2) / (n (N - n)).

    Raises:
        ValueError: a metric that is not one of OBSERVER_METRICS.
    """
    if unknown := set(metrics) - set(OBSERVER_METRICS):
        raise ValueError(f"single observers are scored by {', '.join(OBSERVER_METRICS)}, not by {', '.join(unknown)}")
    wants_cc = "cc" in metrics
    norm = pairs.density_norm if wants_cc else np.ones(len(pairs))

    def part(index: Index) -> Mapping[str, Values]:
        here = _Fixated.of(pairs, index)
        found: dict[str, Values] = {name: np.empty(0) for name in OBSERVER_METRICS}
        if len(here.image):
            given = _usable(maps(index))
            centred = given - given.mean((1, 2), keepdim=True)
            energy = (centred.double() ** 2).sum((1, 2)).numpy()[here.image]
            inner = here.total(here.at(blur(centred, here.sigma_px))) if wants_cc else np.empty(len(here.image))
            found["cc"] = inner / np.sqrt(energy) / norm[here.first : here.first + len(here.image)]
            found["nss"] = here.total(here.at(centred)) / here.weight_sum / np.sqrt(energy / given[0].numel())
            found["auc_judd"] = _auc(given, here) if "auc_judd" in metrics else found["nss"]
        return {name: found[name] for name in metrics}

    parts = by_batch(part, pairs.n_images)
    return {name: np.concatenate([p[name] for p in parts]) if parts else np.empty(0) for name in metrics}


@dataclass(frozen=True)
class _Fixated:
    """The pairs of a batch of images: per pair its image in the batch; per fixation its pair, cell and weight."""

    first: int
    image: Int[np.ndarray, " pair"]
    pair: Int[np.ndarray, " point"]
    cell: Int[np.ndarray, " point"]
    weight: Float[np.ndarray, " point"]
    sigma_px: Float[np.ndarray, "image 2"]

    @staticmethod
    def of(pairs: Pairs, index: Index) -> "_Fixated":
        points = pairs.points
        first, end = np.searchsorted(pairs.image, (index[0], index[-1] + 1))
        image = pairs.image[first:end] - index[0]
        rows = slice(int(points.offsets[first]), int(points.offsets[end]))
        sigma = np.ones((len(index), 2), np.float32)  # an image without a fixation needs none
        sigma[image] = points.sigma_px[first:end]
        pair = np.repeat(np.arange(len(image)), np.diff(points.offsets[first : end + 1]))
        cell = points.row[rows].astype(np.int64) * points.size + points.column[rows]
        return _Fixated(int(first), image, pair, cell, points.weight[rows].astype(np.float64), sigma)

    def at(self, maps: Batch) -> Float[np.ndarray, " point"]:
        """A map's value at every fixation."""
        return maps.flatten(1).numpy()[self.image[self.pair], self.cell].astype(np.float64)

    def total(self, values: Float[np.ndarray, " point"]) -> Values:
        """The weighted sum over each pair's fixations."""
        return np.bincount(self.pair, weights=self.weight * values, minlength=len(self.image))

    @cached_property
    def weight_sum(self) -> Values:
        return self.total(np.ones(len(self.pair)))


def _usable(maps: Batch) -> Batch:
    """The maps, those that say nothing (constant, or with a value that is no number) as NaN."""
    flat = maps.detach().flatten(1)
    unusable = is_constant(maps) | ~flat.isfinite().all(1)
    return torch.where(unusable[:, None, None], torch.nan, maps.detach()).contiguous()


def _auc(maps: Batch, here: _Fixated) -> Values:
    size = maps[0].numel()
    flat = maps.flatten(1).numpy()
    pair, cell = np.divmod(np.unique(here.pair * size + here.cell), size)
    image = here.image[pair]
    value = flat[image, cell]
    rank = np.full(len(pair), np.nan)
    bounds = np.searchsorted(image, np.arange(len(flat) + 1))  # pairs, and so images, ascend
    for i, (start, stop) in enumerate(pairwise(bounds)):
        if stop > start and not np.isnan(flat[i, 0]):
            ascending, seen = np.sort(flat[i]), value[start:stop]
            below = np.searchsorted(ascending, seen) + np.searchsorted(ascending, seen, side="right")
            rank[start:stop] = below / 2
    n = np.bincount(pair, minlength=len(here.image))
    with np.errstate(divide="ignore", invalid="ignore"):
        return (np.bincount(pair, weights=rank, minlength=len(n)) - n**2 / 2) / (n * (size - n))
