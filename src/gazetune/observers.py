"""Fixations taken apart by who made them: every second observer of an image, or one observer at a time."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int

from gazetune.maps import Points


def image_of(points: Points) -> Int[np.ndarray, " point"]:
    """The position of the image that each point lies on."""
    return np.repeat(np.arange(len(points)), np.diff(points.offsets))


def only(points: Points, keep: Bool[np.ndarray, " point"]) -> Points:
    """The same images with the marked points only; an image may be left without any."""
    number = np.bincount(image_of(points)[keep], minlength=len(points))
    columns = {name: getattr(points, name)[keep] for name in ("row", "column", "weight", "observer")}
    return replace(points, **columns, offsets=np.concatenate([[0], np.cumsum(number)]).astype(np.int64))


def rank_of_observer(points: Points) -> Int[np.ndarray, " point"]:
    """Each point's observer as a number from 0 among those who looked at its image, in the order of their numbers.

    Where every observer saw every image, this is the observer's place among all.
    """
    image, observer = image_of(points), points.observer
    order = np.lexsort((observer, image))
    changed = np.diff(image[order], prepend=-1) != 0
    new = changed | (np.diff(observer[order], prepend=-1) != 0)
    number = np.cumsum(new) - 1
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = number - np.maximum.accumulate(np.where(changed, number, 0))
    return rank


def every_second(points: Points) -> Bool[np.ndarray, " point"]:
    """Which points are of the 2nd, 4th, ... observer of their image: those who predict the others."""
    return rank_of_observer(points) % 2 == 1


def by_observer(points: Points) -> tuple[Points, Int[np.ndarray, " pair"]]:
    """Points in which each pair of an image and an observer who looked at it is an image of its own.

    Returns them, sorted by image and then observer, and the position of each pair's image. An image that nobody looked
    at has no pair.
    """
    image, observer = image_of(points), points.observer
    order = np.lexsort((observer, image))  # stable: an observer's points keep their order
    new = (np.diff(image[order], prepend=-1) != 0) | (np.diff(observer[order], prepend=-1) != 0)
    start = np.flatnonzero(new)
    owner = image[order][start]
    rows = slice(None) if bool((np.diff(order) == 1).all()) else order  # sorted already: seen, not copied
    columns = {name: getattr(points, name)[rows] for name in ("row", "column", "weight", "observer")}
    offsets = np.append(start, len(order)).astype(np.int64)
    return replace(points, **columns, offsets=offsets, sigma_px=points.sigma_px[owner]), owner
