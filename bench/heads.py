"""Scoring every head of every layer on the patch grid, against enlarging each map and scoring it, side by side.

    python bench/heads.py
    python bench/heads.py --weights FOLDER            (also what the pass through a model costs)

Generated attention of 12 layers of 12 heads and their averages (156 maps an image, 16x16 patches) and 500 fixations
an image, 224x224 maps, sigma 15 px, batches of 16. Both ways get the same attention and the same points and take turns
in this process; every ratio is taken within its round. Processor time: a busy machine does not count. Then the peak
memory of streaming through the small model that ships with gazetune, in processes of their own.
"""

import argparse
import subprocess
import sys
import time

import numpy as np
import torch
from cost import in_turn, peak_bytes, spread
from jaxtyping import Float, UInt8
from rows import Row, kept, paired, rows_option
from torch import Tensor

from gazetune.attention.rollout import rollout
from gazetune.backbones import load_backbone
from gazetune.maps import Points, counts, densities, upsampled
from gazetune.metrics.heads import grid_scores, head_scores, human_on_grid
from gazetune.metrics.saliency import cc, nss

SIZE, GRID, LAYERS, HEADS, BATCH, FIXATIONS, SIGMA_PX = 224, 16, 12, 12, 16, 500, 15.0
Scores = Float[Tensor, "image map 2"]


def generated(n: int) -> Points:
    """Fixations around the centre of n images."""
    cells = np.clip(np.random.default_rng(0).normal(SIZE / 2, SIZE / 6, (2, n * FIXATIONS)), 0, SIZE - 1)
    row, column = cells.astype(np.int16)
    offsets = np.arange(n + 1, dtype=np.int64) * FIXATIONS
    ones, observer = np.ones(n * FIXATIONS, np.float32), np.zeros(n * FIXATIONS, np.int32)
    return Points(row, column, ones, observer, offsets, np.full((n, 2), SIGMA_PX, np.float32), SIZE)


def attention() -> Float[Tensor, "image map height width"]:
    """Attention of a batch: positive, sum 1, as uneven as a softmax makes it."""
    noise = 2 * torch.randn(BATCH, LAYERS * (HEADS + 1), GRID**2, generator=torch.Generator().manual_seed(0))
    return torch.softmax(noise, dim=-1).view(*noise.shape[:2], GRID, GRID)


def plain(grids: Float[Tensor, "image map height width"], points: Points) -> Scores:
    """Every map enlarged, min-max scaled and scored by itself; the human side once an image."""
    index = np.arange(len(points))
    density, fixations = densities(points, index), counts(points, index)
    scores = []
    for k in range(grids.shape[1]):
        maps = upsampled(grids[:, k], points.size)
        scores.append(torch.stack([cc(maps, density), nss(maps, fixations)], dim=-1))
    return torch.stack(scores, dim=1)


def on_grid(grids: Float[Tensor, "image map height width"], points: Points) -> Scores:
    """The same on the patch grid, the human side included."""
    return grid_scores(grids, *human_on_grid(points, np.arange(len(points)), (GRID, GRID)), points.size)


def against_plain(rounds: int) -> list[Row]:
    """Print ratio, milliseconds an image and the largest difference."""
    grids, points = attention(), generated(BATCH)
    difference = (on_grid(grids, points) - plain(grids, points)).abs().amax((0, 1))
    ways = (lambda: on_grid(grids, points)), (lambda: plain(grids, points))
    grid, enlarged = ([1000 * t / BATCH for t in taken] for taken in in_turn(rounds, *ways, clock=time.process_time))
    print(
        f"enlarged maps / patch grid: {spread([p / g for g, p in zip(grid, enlarged, strict=True)], 0)} times as fast"
    )
    print(f"  patch grid, ms an image: {spread(grid, 2)}")
    print(f"  enlarged maps, ms an image: {spread(enlarged, 1)}")
    print(f"  largest difference: CC {difference[0]:.1e}, NSS {difference[1]:.1e}")
    item = "CC and NSS of 156 maps on the patch grid, an image, processor time"
    return [paired(item, "each map enlarged and scored", grid, enlarged)]


def of_a_model(weights: str, rounds: int) -> list[Row]:
    """Print the whole way of a batch through a model, against the pass that the rollout takes."""
    backbone, points = load_backbone(weights), generated(BATCH)
    photos = torch.randint(0, 256, (BATCH, 3, *backbone.image_size), dtype=torch.uint8)

    def maps() -> None:
        with torch.no_grad():
            rollout(backbone(photos))

    def heads() -> None:
        head_scores(backbone, lambda start, stop: photos[start:stop], points, BATCH)

    maps(), heads()
    mapped, headed = in_turn(rounds, maps, heads, clock=time.process_time)
    ratio = spread([h / m for m, h in zip(mapped, headed, strict=True)], 2)
    print(f"heads / rollout, whole pass of {BATCH} images through the model: {ratio}")
    print(f"  heads, ms an image: {spread([1000 * t / BATCH for t in headed], 0)}")
    each = [1000 * t / BATCH for t in headed], [1000 * t / BATCH for t in mapped]
    name = "ViT tiny" if weights == "tiny" else "a model"
    return [paired(f"scores of every head, {name}, an image, processor time", "the rollout's pass", *each, slower=True)]


def peak(n: int) -> None:
    """Score the heads of the small model on n generated images and print the peak memory in MB."""
    backbone = load_backbone("tiny")

    def photos(start: int, stop: int) -> UInt8[Tensor, "batch 3 height width"]:
        return torch.randint(0, 256, (stop - start, 3, *backbone.image_size), dtype=torch.uint8)

    head_scores(backbone, photos, generated(n), BATCH)
    print(peak_bytes() / 1e6)


def peak_of(n: int) -> float:
    """The same in a process of its own, in MB."""
    command = [sys.executable, __file__, "--peak", str(n)]
    return float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--weights", default="tiny", help="of the model that is passed through")
    parser.add_argument("--skip-memory", action="store_true")
    rows_option(parser)
    parser.add_argument("--peak", type=int, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.peak:
        peak(arguments.peak)
        sys.exit()
    torch.set_num_threads(1)
    rows = against_plain(arguments.rounds) + of_a_model(arguments.weights, arguments.rounds)
    if not arguments.skip_memory:
        few, many = peak_of(1_000), peak_of(4_000)
        print(f"peak memory, 4,000 / 1,000 images: {many / few:.3f} ({few:.0f} and {many:.0f} MB)")
        rows.append(
            paired(
                "scores of every head, peak memory of 4,000 images", "of 1,000", [many], [few], unit="MB", slower=True
            )
        )
    kept(rows, arguments.rows)
