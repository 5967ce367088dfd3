"""The same images with the fixations of some observers only."""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Int

from gazetune.data.stimuli import Stimuli


def image_of(stimuli: Stimuli) -> Int[np.ndarray, " fixation"]:
    """The position of the image that each fixation lies on."""
    return np.repeat(np.arange(len(stimuli)), stimuli.n_fixations)


def only(stimuli: Stimuli, keep: Bool[np.ndarray, " fixation"]) -> Stimuli:
    """The data set with the marked fixations only; an image may be left without any."""
    number = np.bincount(image_of(stimuli)[keep], minlength=len(stimuli))
    offsets = np.concatenate([[0], np.cumsum(number)]).astype(np.int64)
    return replace(stimuli, fixations=stimuli.fixations.take(keep), offsets=offsets)


def rank_of_observer(stimuli: Stimuli) -> Int[np.ndarray, " fixation"]:
    """Each fixation's observer as a number from 0 among those who looked at its image, in the order of their numbers.

    Where every observer saw every image, this is the observer's place among all.
    """
    image, observer = image_of(stimuli), stimuli.fixations.observer
    order = np.lexsort((observer, image))
    changed = np.diff(image[order], prepend=-1) != 0
    new = changed | (np.diff(observer[order], prepend=-1) != 0)
    number = np.cumsum(new) - 1
    rank = np.empty(len(order), dtype=np.int64)
    rank[order] = number - np.maximum.accumulate(np.where(changed, number, 0))
    return rank


def every_second(stimuli: Stimuli) -> Bool[np.ndarray, " fixation"]:
    """Which fixations are of the 2nd, 4th, ... observer of their image: those who predict the others."""
    return rank_of_observer(stimuli) % 2 == 1


def by_observer(stimuli: Stimuli) -> tuple[Stimuli, Int[np.ndarray, " pair"]]:
    """A data set in which each pair of an image and an observer who looked at it is an image of its own.

    Returns it, sorted by image and then observer, and the position of each pair's image. An image that nobody looked
    at has no pair; pairs have no objects.
    """
    image, rank = image_of(stimuli), rank_of_observer(stimuli)
    order = np.lexsort((rank, image))  # stable: an observer's fixations keep their order
    new = (np.diff(image[order], prepend=-1) != 0) | (np.diff(rank[order], prepend=-1) != 0)
    start = np.flatnonzero(new)
    owner = image[order][start]
    pairs = replace(
        stimuli,
        ids=tuple(f"{stimuli.ids[i]} {r}" for i, r in zip(owner, rank[order][start], strict=True)),
        width=stimuli.width[owner],
        height=stimuli.height[owner],
        fixations=stimuli.fixations.take(order),
        offsets=np.append(start, len(order)).astype(np.int64),
        paths=tuple(stimuli.paths[i] for i in owner),
        labels=None if stimuli.labels is None else stimuli.labels[owner],
        given_split=None if stimuli.given_split is None else tuple(stimuli.given_split[i] for i in owner),
        render=None,  # these know images by their own ids
        find_objects=None,
        outside=None,
    )
    return pairs, owner
