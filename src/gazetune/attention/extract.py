"""The maps of a whole data set: batches without a graph; in a run, shard by shard on disk."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Int, UInt8
from safetensors import safe_open
from torch import Tensor

from gazetune import processes
from gazetune.attention import METHODS, Method, require_fit
from gazetune.backbones import Backbone
from gazetune.data.decoded import Pixels, batch_of
from gazetune.data.stimuli import Stimuli
from gazetune.maps import MAP_SIZE, upsampled
from gazetune.progress import track
from gazetune.run import Run

SHARD = 1024  # images a file
READY = "ready.json"  # in a folder of ready-made maps: the sizes of the files, and why an image has none


def forward(
    backbone: Backbone,
    images: Callable[[int, int], UInt8[Tensor, "batch 3 h w"]],
    n: int,
    method: Method,
    batch_size: int,
    classes: Int[Tensor, " image"] | None = None,
) -> dict[str, Tensor]:
    """`grid` [image, grid_height, grid_width] and, with a head, `logits` [image, class] of n images, without a graph.

    `images(start, stop)` gives the pixels of a batch. `classes` are those that a method made of gradients explains;
    without them, each image's own prediction.
    """

    def batch(start: int) -> tuple[Tensor, Tensor | None]:
        stop = min(start + batch_size, n)
        output = method.forward(backbone, images(start, stop))
        part = None if classes is None else classes[start:stop]
        logits = None if output.logits is None else output.logits.detach().float().cpu()
        return method.of(output, part).detach().float().cpu(), logits

    found = processes.dealt(batch, range(0, n, batch_size))
    logits = [answers for _, answers in found if answers is not None]
    return {"grid": torch.cat([grid for grid, _ in found])} | ({"logits": torch.cat(logits)} if logits else {})


def photos_of(stimuli: Stimuli, size: tuple[int, int]) -> Callable[[int, int], UInt8[Tensor, "batch 3 h w"]]:
    """The photos of a data set at a model's input size, a batch at a time: (start, stop) to RGB as uint8.

    Raises InputError, when called, if an image has no pixels or cannot be read.
    """

    def images(start: int, stop: int) -> UInt8[Tensor, "batch 3 h w"]:
        return torch.stack([torch.tensor(stimuli.pixels(i, size)) for i in range(start, stop)]).permute(0, 3, 1, 2)

    return images


def attention_maps(
    backbone: Backbone, stimuli: Stimuli, method: str = "rollout", size: int = MAP_SIZE, batch_size: int = 16
) -> Float[Tensor, "image size size"]:
    """Attention maps of every image of a data set, 0..1, on a size x size grid: what `score` takes.

    A method made of gradients explains the model's own prediction. Raises InputError if the method does not fit the
    model, or if an image has no pixels or cannot be read.
    """
    images = photos_of(stimuli, backbone.image_size)
    with torch.no_grad():
        require_fit(method, backbone, type(backbone.model).__name__)
        return upsampled(forward(backbone, images, len(stimuli), METHODS[method], batch_size)["grid"], size)


def write_maps(
    run: Run, folder: str, inputs: str, backbone: Backbone, pixels: Pixels, rows: Int[np.ndarray, " image"],
    method: Method, batch_size: int, classes: Int[Tensor, " image"] | None = None,
) -> list[str]:  # fmt: skip
    """Attention grids (and logits) of these images as shards in `folder`; a whole shard of the same inputs is kept.

    Several processes share out the batches of each shard; the main one writes.
    `classes`: of each of the rows, what a method made of gradients explains; None: the model's own predictions.
    """
    device = next(backbone.model.parameters()).device
    written = []
    starts = range(0, len(rows), SHARD)
    for number, start in track(enumerate(starts), f"attention {folder.split('/')[-1]}", total=len(starts)):
        name, part = f"{folder}/{number:05d}.safetensors", rows[start : start + SHARD]
        written.append(name)
        if processes.from_main(partial(run.is_whole, name, inputs)):
            continue

        def images(first: int, stop: int, part: Int[np.ndarray, " image"] = part) -> UInt8[Tensor, "batch 3 h w"]:
            return batch_of(pixels, part[first:stop], device)

        with torch.no_grad():
            explained = None if classes is None else classes[start : start + SHARD]
            found = forward(backbone, images, len(part), method, batch_size, explained)
        processes.on_main(partial(run.write_tensors, name, found, inputs=inputs, classes=backbone.classes))
    processes.on_main(partial(sweep, run, folder, written))
    return written


def sweep(run: Run, folder: str, written: Sequence[str]) -> None:
    """Remove from a folder of maps what is not among `written`: shards of an earlier run on more images."""
    for leftover in {path.name for path in run.file(folder).iterdir()} - {Path(name).name for name in written}:
        run.file(f"{folder}/{leftover}").unlink()


def open_maps(run: Run, folder: str, size: int) -> Callable[[Int[np.ndarray, " batch"]], Float[Tensor, "batch s s"]]:
    """The maps of a model, or ready-made ones, by positions of images, 0..1 on a size x size grid.

    All stay on disk, patch grids too, which are enlarged when asked for: memory does not grow with the images. Every
    shard is checked against its sha256 first.
    """
    kinds = {"map" if "map" in part else "grid" for part in shards(run, folder)}
    files = [run.file(name) for name in _names(run, folder)]
    if "map" in kinds:
        return partial(_rows_of, files, "map")
    return lambda index: upsampled(_rows_of(files, "grid", index), size)


def _rows_of(files: Sequence[Path], kind: str, index: Int[np.ndarray, " batch"]) -> Float[Tensor, "batch height width"]:
    """The patch grids (`grid`) or ready-made maps (`map`) of these images, read from the shards."""
    found = list[Tensor]()
    # images that follow each other in a file are read at once: safetensors keeps some memory at each read
    cuts = np.flatnonzero((np.diff(index) != 1) | (np.diff(index // SHARD) != 0)) + 1
    for stretch in np.split(index, cuts):
        shard, first = divmod(int(stretch[0]), SHARD)
        with safe_open(files[shard], "pt") as opened:
            found.append(opened.get_slice(kind)[first : first + len(stretch)])
    return torch.cat(found)


def shards(run: Run, folder: str) -> Iterator[dict[str, Tensor]]:
    """The files of a folder of maps in order, SHARD images each, one at a time; each is checked against its sha256."""
    return (run.tensors(name) for name in _names(run, folder))


def _names(run: Run, folder: str) -> list[str]:
    return sorted(f"{folder}/{path.name}" for path in run.file(folder).glob("*.safetensors"))


def class_names(run: Run, folder: str) -> tuple[str, ...]:
    """The names of the classes that the model of these shards tells apart, in the order of its logits."""
    first = sorted(run.file(folder).glob("*.safetensors"))[0]
    return tuple(run.about(f"{folder}/{first.name}")["classes"])


def read_maps(run: Run, folder: str) -> dict[str, Tensor]:
    """All shards of a folder as one."""
    parts = list(shards(run, folder))
    return {key: torch.cat([part[key] for part in parts]) for key in parts[0]}
