"""Rows of an alignment table that need no model: other images' human maps, and how well humans predict humans.

Each is a function from positions of images to maps, so `metrics.score.score_points` scores it like a model.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from numpy.typing import ArrayLike

from gazetune.maps import Points, blur, counts, densities, min_max
from gazetune.metrics.score import Index, Maps
from gazetune.observers import by_observer, every_second, only

Numbers = ArrayLike | float  # one or many


@dataclass(frozen=True)
class HumanRow:
    """Humans predicted by other humans: `maps` are to be scored against `points`, both counted by `image`.

    points: the fixations of those who are predicted. image: the position of each row's image in the data set.
    """

    maps: Maps
    points: Points
    image: Int[np.ndarray, " row"]


def next_image(points: Points, ids: Sequence[str] | None = None) -> Maps:
    """The human density map of the next image in id order, wrapping: what any human map earns on any image.

    Without `ids` the order is that of the points. Images without fixations are passed over; an image is never its
    own next: if it is the only one, its map is NaN.
    """
    order = np.arange(len(points)) if ids is None else np.argsort(np.array(ids, dtype=str), kind="stable")
    seen = order[np.diff(points.offsets)[order] > 0]
    place = np.empty(len(order), dtype=np.int64)
    place[order] = np.arange(len(order))
    # the place of each image's successor among those with fixations, past the end to the first
    after = np.searchsorted(place[seen], place, side="right")
    following = seen[after % len(seen)] if len(seen) else np.arange(len(order))

    def maps(index: Index) -> Float[torch.Tensor, "batch height width"]:
        found = densities(points, following[index])
        found[torch.from_numpy(following[index] == index)] = torch.nan
        return found

    return maps


def half_against_half(points: Points) -> HumanRow:
    """Half of the observers of each image predict the other half: the 1st, 3rd, ... are predicted by the 2nd, 4th, ...

    Observers are counted within the image in the order of their numbers (15 observers 0..14: 1, 3, .., 13 predict
    0, 2, .., 14). The scores are those of half as many observers; for CC see `spearman_brown`. An image with one
    observer has a NaN map.
    """
    second = every_second(points)
    predictors, predicted = only(points, second), only(points, ~second)
    return HumanRow(lambda index: densities(predictors, index), predicted, np.arange(len(points)))


def leave_one_out(points: Points) -> HumanRow:
    """All other observers of an image predict each one: one row a pair of image and observer.

    Average the scores by image first (`by_image`): images with more observers then weigh no more. Against a single
    observer's sparse map CC, KL and SIM are low whoever predicts; NSS and the AUCs have no such bias.
    """
    single, image = by_observer(points)

    def maps(index: Index) -> Float[torch.Tensor, "batch height width"]:
        rest = counts(points, image[index]) - counts(single, index)
        alone = rest.amax(dim=(1, 2)) <= 0
        found = min_max(blur(rest, single.sigma_px[index]))
        found[alone] = torch.nan
        return found

    return HumanRow(maps, single, image)


def by_image(table: pd.DataFrame, row: HumanRow, n_images: int) -> pd.DataFrame:
    """Scores of a human row averaged over the rows of each image (NaN left out), one row an image of the data set."""
    numbers = table.select_dtypes("number").groupby(row.image).mean()
    return numbers.reindex(range(n_images))


def spearman_brown(r: Numbers, factor: float = 2.0) -> Float[np.ndarray, "*values"]:
    """The correlation expected with `factor` times as many observers on both sides: f r / (1 + (f - 1) r).

    Spearman (1910), Brown (1910). With 2 it takes the CC of two halves to that of two groups of the full size. It
    supposes that observers differ by independent noise, and holds for CC alone.
    """
    values = np.asarray(r, dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(factor * values / (1 + (factor - 1) * values))


def share_of_ceiling(score: Numbers, prior_score: Numbers, human_score: Numbers) -> Float[np.ndarray, "*values"]:
    """The share of the way from the centre prior (0) to the human ceiling (1): (score - prior) / (human - prior).

    Below 0: worse than the prior; above 1: better than other humans. The same for metrics where lower is better. Use
    means over the same images. NaN where humans and prior score the same: there is no way to go.
    """
    score, prior, human = (np.asarray(v, dtype=np.float64) for v in (score, prior_score, human_score))
    way = human - prior
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(way == 0, np.nan, (score - prior) / way)
