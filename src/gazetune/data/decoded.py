"""Photos decoded once to uint8 on disk, and read from there by every stage and epoch."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from gazetune.data.stimuli import Stimuli
from gazetune.errors import InputError
from gazetune.progress import track

CHUNK = 64
Pixels = UInt8[np.ndarray, "decoded 3 input_height input_width"]


def decode(
    stimuli: Stimuli, size: tuple[int, int], path: Path, replace: Callable[[Path, Path], None]
) -> dict[str, str]:
    """Decode every image at `size` = (height, width) into one .npy file, 3 x height x width bytes an image.

    The file is written beside and renamed when whole. Returns what could not be read: image id -> the reason; those
    images are zero in the file.
    """
    unreadable: dict[str, str] = {}
    beside = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.lib.format.open_memmap(beside, mode="w+", dtype=np.uint8, shape=(len(stimuli), 3, *size))

    def one(i: int) -> None:
        try:
            pixels[i] = stimuli.pixels(i, size).transpose(2, 0, 1)
        except InputError as reason:
            unreadable[stimuli.ids[i]] = str(reason)

    with ThreadPoolExecutor() as pool:  # Pillow decodes and resizes outside the interpreter lock
        starts = range(0, len(stimuli), CHUNK)
        for start in track(starts, "reading photos", total=len(starts)):
            list(pool.map(one, range(start, min(start + CHUNK, len(stimuli)))))
    pixels.flush()
    del pixels
    replace(beside, path)
    return unreadable


def open_decoded(path: Path) -> Pixels:
    """The decoded images, mapped from disk: memory holds only what is being used."""
    return np.load(path, mmap_mode="r", allow_pickle=False)


def batch_of(
    pixels: Pixels, index: Int[np.ndarray, " batch"], device: torch.device
) -> UInt8[Tensor, "batch 3 height width"]:
    """These images as a tensor on the device."""
    return torch.from_numpy(pixels[index]).to(device)
