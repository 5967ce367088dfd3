"""Ready-made saliency maps of any other system: one PNG or NPY file an image, into the run like a model's attention."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float, Float32, Num
from torch import Tensor
from torch.nn.functional import interpolate

from gazetune.attention.extract import READY, SHARD, sweep
from gazetune.data.images import MOST_PIXELS, opened_photo
from gazetune.documents import short
from gazetune.errors import InputError
from gazetune.maps import min_max
from gazetune.progress import say, track
from gazetune.run import Run

KINDS = (".png", ".npy")
NO_MAP = "no map"
MANY_ZEROS = 0.1  # share of pixels; ln of the epsilon in their place is what KL then measures


def find_maps(folder: str | Path, ids: Sequence[str], skip_bad: bool = True) -> dict[str, Path]:
    """The file of each image that has one, named as the image with .png or .npy in place of its ending, or after it.

    Raises InputError: no such folder, two files for one image, one file for two images, no file for any or, unless
    `skip_bad`, for one.
    """
    root = Path(folder).expanduser()
    if not root.is_dir():
        raise InputError(f"The folder of maps '{folder}' does not exist.")
    files: dict[str, list[Path]] = {}
    for path in sorted(p for p in root.rglob("*") if p.suffix.lower() in KINDS):
        files.setdefault(path.relative_to(root).with_suffix("").as_posix(), []).append(path)
    found: dict[str, Path] = {}
    owner: dict[Path, str] = {}
    for image in ids:
        names = dict.fromkeys((image, Path(image).with_suffix("").as_posix()))
        fitting = [path for name in names for path in files.get(name, [])]
        if len(fitting) > 1:
            raise InputError(f"Two maps for the image '{image}': '{fitting[0]}' and '{fitting[1]}'. Keep one.")
        for path in fitting:
            if path in owner:
                raise InputError(
                    f"The map '{path}' fits two images, '{owner[path]}' and '{image}'. Name the map of each after its "
                    f"whole name, such as '{Path(image).name}{path.suffix}'."
                )
            found[image], owner[path] = path, image
    if ids and not found:
        there = f"it has '{next(iter(files))}{files[next(iter(files))][0].suffix}'" if files else "it has neither"
        raise InputError(
            f"No map in '{folder}' belongs to an image. Needed: PNG or NPY files named as the images, such as "
            f"'{Path(ids[0]).stem}.png'; {there}."
        )
    missing = [image for image in ids if image not in found]
    if missing and not skip_bad:
        raise InputError(
            f"{len(missing)} of {len(ids)} images have no map in '{folder}', the first is '{missing[0]}'. Add them, or "
            f"go on without them with --skip-bad."
        )
    return found


def read_map(path: Path) -> Float32[np.ndarray, "height width"]:
    """A saliency map as it is in the file: grey PNG (8 or 16 bit), or a two-dimensional NPY of numbers.

    Raises InputError naming the file: not readable, in colour, or not two-dimensional.
    """
    if path.suffix.lower() == ".npy":
        values = _array(path)
    else:
        with opened_photo(path) as opened:
            if opened.mode == "P":
                raise InputError(f"'{path}' is a palette image: its numbers are no saliency. Save it as grey.")
            values = np.asarray(opened)
    if values.ndim == 3 and values.shape[2] in (3, 4) and (values[..., :3] == values[..., :1]).all():
        values = values[..., 0]  # grey, saved as colour
    if values.ndim != 2 or values.dtype.kind not in "fiub" or not values.size:
        raise InputError(
            f"'{path}' is no saliency map: needed one number a pixel (grey), got {values.dtype}, shape {values.shape}."
        )
    return values.astype(np.float32)


def _array(path: Path) -> Num[np.ndarray, "..."]:
    """The array of an NPY file, whose header is looked at first: it may say more than there is, or that it is a pickle.

    Raises InputError.
    """
    try:
        with path.open("rb") as opened:
            version = np.lib.format.read_magic(opened)
            header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
            shape, _, kind = header(opened)
            n, there = math.prod(shape), path.stat().st_size - opened.tell()
            if kind.kind not in "fiub" or any(side < 0 for side in shape) or n > MOST_PIXELS:
                raise ValueError(f"{kind}, shape {shape}; needed are numbers, at most {MOST_PIXELS:,}")
            if n * kind.itemsize != there:
                raise ValueError(f"{there:,} bytes for {n:,} numbers of {kind}")
        return np.load(path, allow_pickle=False)
    except Exception as reason:  # numpy has the header evaluated as Python's literals, which raises anything
        raise InputError(f"'{path}' cannot be read as a saliency map ({short(reason)}).") from None


def _on_grid(values: Float32[np.ndarray, "height width"], size: int) -> Float[Tensor, "1 size size"]:
    """The map on the map grid: bilinear, antialiased where it shrinks; scaled to 0..1 unless it is faulty.

    A map with negative values, NaN or infinity is left as it is, so that the table can say so.
    """
    given = torch.from_numpy(values)[None]
    if given.shape[1:] != (size, size):
        faulty = not bool(given.isfinite().all()) or bool((given < 0).any())
        resized = interpolate(given[None], size=(size, size), mode="bilinear", align_corners=False, antialias=True)[0]
        given = resized if faulty else resized.clamp(min=0)
    return given if not bool(given.isfinite().all()) or bool((given < 0).any()) else min_max(given)


def write_ready(
    run: Run, folder: str, inputs: str, files: dict[str, Path], ids: Sequence[str], size: int, skip_bad: bool
) -> list[str]:
    """The maps of these images as shards in `folder`, and `ready.json`: sizes found, and why an image has none.

    An image without a usable map is NaN in its shard. Raises InputError for it, unless `skip_bad`.
    """
    why: dict[str, str] = {}
    sizes: dict[str, int] = {}
    zeros: list[float] = []
    written = []
    starts = range(0, len(ids), SHARD)
    for number, start in track(enumerate(starts), f"maps {folder.split('/')[-1]}", total=len(starts)):
        part = ids[start : start + SHARD]
        grid = torch.full((len(part), size, size), torch.nan)
        for i, image in enumerate(part):
            try:
                if image not in files:
                    raise InputError(NO_MAP)
                values = read_map(files[image])
            except InputError as reason:
                if not skip_bad:
                    raise
                why[image] = str(reason) if str(reason) == NO_MAP else f"unreadable map: {reason}"
                continue
            shape = f"{values.shape[1]}x{values.shape[0]}"
            sizes[shape] = sizes.get(shape, 0) + 1
            zeros.append(float((values == 0).mean()))
            grid[i] = _on_grid(values, size)[0]
        name = f"{folder}/{number:05d}.safetensors"
        written.append(run.write_tensors(name, {"map": grid}, inputs=inputs))
    for shape, n in sizes.items():
        if shape != f"{size}x{size}":
            say(f"{n} of {len(ids)} maps of '{folder.split('/')[-1]}' are {shape}: resized to {size}x{size} (bilinear)")
    zero = sum(zeros) / len(zeros) if zeros else 0.0
    if zero > MANY_ZEROS:
        say(f"{zero:.0%} of the pixels of '{folder.split('/')[-1]}' are 0: its KL and information gain hang on epsilon")
    about = {"sizes": sizes, "zero_share": zero, "reasons": why}
    written.append(run.write_json(f"{folder}/{READY}", about))
    sweep(run, folder, written)
    return written
