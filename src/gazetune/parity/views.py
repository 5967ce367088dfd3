"""What a classifier is shown: every image of a labelled set, and its corrupted copies, at the model's input size."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from gazetune import processes
from gazetune.data.imagenet import VALIDATION_IMAGE
from gazetune.data.images import resized
from gazetune.data.labelled import Labelled, larger_side, squashed_crop
from gazetune.errors import InputError
from gazetune.parity.corruptions import corrupt, image_seed
from gazetune.parity.settings import Classification

AHEAD = 2  # batches that are made ready while the model works
Pixels = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class View:
    """One image as a model sees it, or why there is none; border_px: width of the frame that was taken off."""

    pixels: Pixels | None
    border_px: int = 0
    reason: str = ""


@dataclass(frozen=True)
class Batch:
    """Views one after another: their places, the pixels of those that are there, and what is known of each."""

    places: Int[np.ndarray, " batch"]
    images: UInt8[Tensor, "there 3 height width"]
    views: tuple[View, ...]


def preprocessing_text(settings: Classification, size: tuple[int, int]) -> str:
    """How an image reaches the model's input size (height, width), in words."""
    height, width = size
    if settings.preprocessing == "squashed":
        text = f"squashed to {width}x{height} (bicubic)"
    else:
        larger = larger_side(height)
        text = f"squashed to {larger}x{larger} (bilinear), centre crop {height}"
    if settings.corruptions:
        where = "the whole image" if settings.corrupt_at == "image" else "the crop that the model sees"
        other = "the crop" if settings.corrupt_at == "image" else "the whole image"
        text += f"; corrupted in memory at {where}, seed {settings.seed} (not comparable with {other} corrupted)"
    return text


def viewer(
    labelled: Labelled, settings: Classification, size: tuple[int, int], skip_bad: bool
) -> Callable[[int], View]:
    """A function that makes the view at a place: image place // copies, copy place % copies.

    Any number of threads may call it; a view depends on nothing but its place. It raises InputError for a file that
    cannot be read and for an image too small to corrupt, or with `skip_bad` gives a view without pixels.

    Raises:
        InputError: the paper's preprocessing of an input that is not square.
    """
    height, width = size
    if settings.preprocessing == "paper" and height != width:
        raise InputError(
            f"The paper's preprocessing crops squares, but the model's input is {width}x{height}. Use --preprocessing "
            f"squashed."
        )
    copies = settings.copies()
    read = lru_cache(maxsize=8)(labelled.pixels)  # the copies of an image stand one after another

    def cropped(pixels: Pixels) -> UInt8[np.ndarray, "input_height input_width 3"]:
        if settings.preprocessing == "squashed":
            return resized(pixels, size)
        return squashed_crop(pixels, larger_side(height), height)

    def view(place: int) -> View:
        index, copy = divmod(place, len(copies))
        name, severity = copies[copy]
        try:
            pixels, border = read(index)
            if not name:
                return View(cropped(pixels), border)
            seed = image_seed(_seeded_by(labelled.ids[index]), name, severity, settings.seed)
            if settings.corrupt_at == "image":
                return View(cropped(corrupt(pixels, name, severity, seed)), border)
            return View(corrupt(cropped(pixels), name, severity, seed), border)
        except InputError as reason:
            if not skip_bad:
                raise
            return View(None, reason=str(reason).partition(" Replace the file")[0])

    return view


def workers() -> int:
    """How many threads read images: the processors that this process may use, shared with those beside it."""
    own = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, own // processes.here())


def _seeded_by(image: str) -> str:
    """The id that a corruption is seeded by: ImageNet's own, in whatever folder and format its image lies."""
    found = VALIDATION_IMAGE.search(image)
    return f"ILSVRC2012_val_{found[1]}" if found else image


def batches_of(
    view: Callable[[int], View], places: Iterable[Sequence[int]], size: tuple[int, int], workers: int
) -> Iterator[Batch]:
    """The batches in order, made ready by threads while the caller works on those before."""
    with ThreadPoolExecutor(max(1, workers)) as pool:
        waiting: deque[tuple[Sequence[int], list[Future[View]]]] = deque()
        try:
            for part in places:
                waiting.append((part, [pool.submit(view, place) for place in part]))
                if len(waiting) > AHEAD:
                    yield _gathered(*waiting.popleft(), size)
            while waiting:
                yield _gathered(*waiting.popleft(), size)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def _gathered(places: Sequence[int], futures: Sequence[Future[View]], size: tuple[int, int]) -> Batch:
    views = tuple(future.result() for future in futures)
    there = [view.pixels for view in views if view.pixels is not None]
    images = np.stack(there) if there else np.empty((0, *size, 3), dtype=np.uint8)
    return Batch(np.array(places), torch.from_numpy(images).permute(0, 3, 1, 2), views)
