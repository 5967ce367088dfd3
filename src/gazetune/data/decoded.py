"""Photos decoded once to uint8 on disk, and read from there by every stage and epoch."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Int, UInt8
from numpy.typing import DTypeLike
from torch import Tensor

from gazetune.errors import InputError
from gazetune.files import move, not_written
from gazetune.progress import track

CHUNK = 64
Pixels = UInt8[np.ndarray, "decoded 3 input_height input_width"]


@runtime_checkable
class Photographed(Protocol):
    """Images that have pixels: `Stimuli`, `Photos`."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Their names, each once."""

    def __len__(self) -> int: ...

    def pixels(self, index: int, size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
        """RGB pixels of one at `size` = (height, width). Raises InputError if it has none or cannot be read."""


def decode(
    stimuli: Photographed, size: tuple[int, int], path: Path, skip_bad: bool, wanted: Bool[np.ndarray, " image"]
) -> dict[str, str]:
    """Decode the wanted images at `size` = (height, width) into one .npy file, 3 x height x width bytes an image.

    The file is written beside and renamed when whole. Returns what could not be read: image id -> the reason; those
    images are zero in the file, as are those that nobody wants. Raises GazetuneError where the disk has no room for
    it, and InputError naming the first unreadable photo, unless `skip_bad`; the file is then left as it was.
    """
    unreadable: dict[str, str] = {}
    beside = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = room_for(beside, (len(stimuli), 3, *size))

    def one(i: int) -> None:
        try:
            pixels[i] = stimuli.pixels(i, size).transpose(2, 0, 1)  # noqa: F821
        except InputError as reason:
            unreadable[stimuli.ids[i]] = f"unreadable: {reason}"

    with ThreadPoolExecutor() as pool:  # Pillow decodes and resizes outside the interpreter lock
        rows = np.flatnonzero(wanted)
        starts = range(0, len(rows), CHUNK)
        for start in track(starts, "reading photos", total=len(starts)):
            list(pool.map(one, rows[start : start + CHUNK].tolist()))
    pixels.flush()
    del pixels
    if unreadable and not skip_bad:
        beside.unlink()
        first = next(unreadable[i] for i in stimuli.ids if i in unreadable).removeprefix("unreadable: ")
        raise InputError(f"{len(unreadable)} of {len(rows)} images cannot be used. The first: {first}")
    move(beside, path)
    return unreadable


def room_for(path: Path, shape: tuple[int, ...], dtype: DTypeLike = np.uint8) -> np.memmap:
    """An .npy file of this shape, mapped for writing, whose room on the disk is taken before anything is written.

    Without that, a full disk would kill the process at the first page that finds no room.
    """
    try:
        pixels = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        with path.open("rb+") as opened:
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(opened.fileno(), 0, path.stat().st_size)
    except OSError as reason:
        path.unlink(missing_ok=True)
        raise not_written(path, reason) from reason
    return pixels


def open_decoded(path: Path) -> Pixels:
    """The decoded images, mapped from disk: memory holds only what is being used."""
    return np.load(path, mmap_mode="r", allow_pickle=False)


def batch_of(
    pixels: Pixels, index: Int[np.ndarray, " batch"], device: torch.device
) -> UInt8[Tensor, "batch 3 height width"]:
    """These images as a tensor on the device."""
    return torch.from_numpy(pixels[index]).to(device)
