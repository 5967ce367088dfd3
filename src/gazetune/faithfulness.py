"""Does a map show what the model uses? Deletion and insertion (Petsiuk, Das & Saenko, 2018, RISE, BMVC).

Deletion: the cells of the map's grid are taken out of the image, the most important first, and the model is asked at
every step; the lower the area under its answers, the more faithful the map. Insertion: they are put back into a blurred
image; the higher the area, the better. An image with half of it gone is unlike any that the model was trained on, so
the areas say something only beside those of other maps, above all of a random order, on the same model.
"""

import time
from collections.abc import Callable
from functools import partial

import numpy as np
import pandas as pd
import torch
from jaxtyping import Bool, Float, Float64, Int, UInt8
from pydantic import BaseModel, ConfigDict, Field, PositiveFloat
from torch import Tensor
from torch.nn.functional import cosine_similarity

from gazetune import processes
from gazetune.backbones import Backbone, Output
from gazetune.maps import blur, is_constant
from gazetune.progress import track_all
from gazetune.training.precision import autocast
from gazetune.training.settings import Precision

AREAS = ("deletion", "insertion")
RANDOM = "random order"  # the control beside the methods: a map of noise, the same for all models
GROUP = 8  # images at a time, whose perturbed copies fill the batches

Images = UInt8[Tensor, "batch 3 height width"]
Grids = Float[Tensor, "image grid_height grid_width"]


class Faithfulness(BaseModel):
    """How deletion and insertion are done.

    steps: of equal size, from none to all cells of the grid; 0: not at all. sigma_px: SD of the Gaussian that blurs the
    canvas of insertion, in pixels of a side of 224 (10: Fong & Vedaldi, 2017, ICCV). precision: of the forward passes.
    images: at most so many, evenly spread over the test images, for each costs 2 x steps + 1 forward passes; None: all.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    steps: int = Field(default=16, ge=0)
    sigma_px: PositiveFloat = 10.0
    precision: Precision = "fp32"
    images: int | None = Field(default=None, ge=2)

    def chosen(self, n: int) -> Int[np.ndarray, " image"]:
        """Which of n images are asked about."""
        return np.linspace(0, n - 1, n if self.images is None else min(self.images, n)).round().astype(np.int64)


def ranks(grids: Grids) -> Int[Tensor, "image grid_height grid_width"]:
    """The place of each cell when the cells of its map are sorted, most important (0) first; ties in reading order."""
    order = grids.flatten(1).argsort(dim=1, descending=True, stable=True)
    return order.argsort(dim=1).view(grids.shape)


def counts_at(steps: int, cells: int) -> Int[Tensor, " step"]:
    """How many cells are gone at each of steps + 1 points, from none to all; no two points are the same."""
    steps = min(steps, cells)
    return (torch.arange(steps + 1) * cells + steps // 2) // steps


def area(curve: Float[Tensor, "image step"], counts: Int[Tensor, " step"]) -> Float[Tensor, " image"]:
    """The area under a curve over the share of cells, 0 to 1, by trapezia."""
    return torch.trapezoid(curve, (counts / counts[-1]).to(curve), dim=1)


def mean_colour(images: Images) -> Images:
    """Each image as one colour, its mean: what deletion leaves behind."""
    return images.float().mean((2, 3), keepdim=True).round().to(torch.uint8).expand(images.shape)


def blurred(images: Images, sigma_px: float) -> Images:
    """Each image blurred, sigma in pixels of a side of 224; at the edge the kernel is cut and scaled to sum 1."""
    height, width = images.shape[2:]
    sigma = np.tile(np.array([[sigma_px * height / 224, sigma_px * width / 224]], dtype=np.float32), (3, 1))
    whole = blur(torch.ones(1, height, width, device=images.device), sigma[:1])
    soft = torch.stack([blur(image, sigma) for image in images.float()]) / whole
    return soft.round().clamp(0, 255).to(torch.uint8)


def taken(
    rank: Int[Tensor, "image grid_height grid_width"], counts: Int[Tensor, " step"], size: tuple[int, int]
) -> Bool[Tensor, "image step 1 height width"]:
    """The pixels of the cells that come first, at each step."""
    down, across = (
        torch.arange(n, device=rank.device) * cells // n for n, cells in zip(size, rank.shape[1:], strict=True)
    )
    pixels = rank[:, down][:, :, across]
    return pixels[:, None, None] < counts.to(rank.device)[None, :, None, None, None]


def curves(
    backbone: Backbone, images: Images, grids: Grids, settings: Faithfulness, batch_size: int
) -> tuple[Float[Tensor, "image step"], Float[Tensor, "image step"]]:
    """Deletion and insertion: the answer for each image with none to all cells taken out, and put in.

    The answer is the probability of the class that the model sees in the whole image or, without a head, the cosine
    similarity of its representation to that of the whole image.
    """
    counts = counts_at(settings.steps, grids[0].numel())
    first = taken(ranks(grids).to(images.device), counts, (images.shape[2], images.shape[3]))
    whole = images[:, None]
    out = torch.where(first, mean_colour(images)[:, None], whole)
    back = torch.where(first, whole, blurred(images, settings.sigma_px)[:, None])
    asked = torch.cat([whole, out[:, 1:], back[:, :-1]], dim=1)  # the whole image once: it is an end of both curves
    states, are_classes = _states(backbone, asked.flatten(0, 1), settings.precision, batch_size)
    states = states.unflatten(0, asked.shape[:2])
    if are_classes:
        own = states[:, :1].argmax(dim=2, keepdim=True).expand(-1, states.shape[1], 1)
        answer = states.gather(2, own)[:, :, 0]
    else:
        answer = cosine_similarity(states, states[:, :1], dim=2)
    last = len(counts)
    return answer[:, :last], torch.cat([answer[:, last:], answer[:, :1]], dim=1)


def _states(
    backbone: Backbone, images: Images, precision: Precision, batch_size: int
) -> tuple[Float[Tensor, "image dim"], bool]:
    """Class probabilities of each image, or its representation; and whether they are the former."""

    def state(output: Output) -> Float[Tensor, "image dim"]:
        if output.logits is not None:
            return output.logits.float().softmax(dim=1)
        return (output.feature if output.representation is None else output.representation).float()

    found, are_classes = [], False
    with torch.no_grad(), autocast(images.device, precision):
        for part in images.split(batch_size):
            output = backbone(part, "none")
            are_classes = output.logits is not None
            found.append(state(output).cpu())
    return torch.cat(found), are_classes


def passes_per_second(backbone: Backbone, settings: Faithfulness, batch_size: int) -> float:
    """How many images a second a model answers about, as deletion and insertion ask it; the better of two batches."""
    device = next(backbone.model.parameters()).device
    images = torch.zeros(batch_size, 3, *backbone.image_size, dtype=torch.uint8, device=device)
    taken = []
    for _ in range(2):
        begin = time.monotonic()
        _states(backbone, images, settings.precision, batch_size)  # whose answers come back: the device is done
        taken.append(time.monotonic() - begin)
    return batch_size / max(min(taken), 1e-9)


def faithfulness(
    backbone: Backbone,
    images: Callable[[int, int], Images],
    grids: Grids,
    settings: Faithfulness,
    batch_size: int = 16,
    what: str = "deletion and insertion",
) -> pd.DataFrame:
    """One row an image: the areas `deletion` and `insertion` of its map, and the `reason` where there are none.

    `images(start, stop)` gives the pixels of some images, on the model's device. NaN for a constant map, which puts the
    cells in no order.
    """
    areas = np.full((len(grids), len(AREAS)), np.nan)
    usable = np.flatnonzero(~(is_constant(grids) | grids.isnan().flatten(1).any(dim=1)).numpy())
    counts = counts_at(settings.steps, grids[0].numel())

    def of_group(index: Int[np.ndarray, " group"]) -> Float64[np.ndarray, "group 2"]:
        photos = torch.cat([images(i, i + 1) for i in index.tolist()])
        both = curves(backbone, photos, grids[torch.from_numpy(index)], settings, batch_size)
        return torch.stack([area(curve.double(), counts) for curve in both], dim=1).numpy()

    groups = [usable[start : start + GROUP] for start in range(0, len(usable), GROUP)]
    for index, found in zip(groups, processes.dealt(of_group, groups, partial(track_all, what=what)), strict=True):
        areas[index] = found
    table = pd.DataFrame(areas, columns=list(AREAS))
    reason = pd.Series("constant map", index=table.index, dtype="str").mask(table.index.isin(usable))
    return table.assign(reason=reason)


def random_order(n: int, grid: tuple[int, int]) -> Grids:
    """Maps of noise, whose cells come in random order: the same for every model with this grid."""
    return torch.rand(n, *grid, generator=torch.Generator().manual_seed(0))
