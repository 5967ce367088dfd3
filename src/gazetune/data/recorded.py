"""Points of many workers on many images, gathered record by record into columns grouped by image."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Int, Num

from gazetune.data.faults import Faults
from gazetune.errors import InputError

MAX_OUTSIDE = 0.05  # of the points; more of them outside their image are no slips: the axes are swapped
MOST_SIDE_PX = 2**15 - 1
Points = Num[np.ndarray, "point 2"]


@dataclass(frozen=True)
class Recorded:
    """Images and points of one source, grouped by image.

    ids: the photos' names. size: (width, height) per image. x, y: pixels, 0-based. observer: place in `workers`, or the
    number of the record where workers have no names. order: place within the record, where it is known.
    outside: points per image that lay outside it and were left out. sources: file -> sha256.
    """

    ids: tuple[str, ...]
    size: Int[np.ndarray, "image 2"]
    x: Num[np.ndarray, " point"]
    y: Num[np.ndarray, " point"]
    observer: Int[np.ndarray, " point"]
    offsets: Int[np.ndarray, " bounds"]
    outside: Int[np.ndarray, " image"]
    workers: tuple[str, ...] = ()
    order: Int[np.ndarray, " point"] | None = None
    sources: dict[str, str] = field(default_factory=dict)


def check_frame(width: int, height: int) -> None:
    """Raises ValueError for a frame that points in int16 have no room for."""
    if not (1 <= width <= MOST_SIDE_PX and 1 <= height <= MOST_SIDE_PX):
        raise ValueError(f"an image of {width}x{height}; sides are 1 to {MOST_SIDE_PX:,} px")


class Records:
    """Records on their way into columns: one array of (x, y) per image and worker, in any order of images."""

    def __init__(self, ids: Sequence[str], size: Int[np.ndarray, "image 2"]) -> None:
        self.ids, self.size = tuple(ids), size
        self.image: list[int] = []
        self.worker: list[Any] = []
        self.points: list[Points] = []
        self.strays: list[tuple[int, int, Any]] = []  # image, number of points outside it, the record's id

    def add(self, image: int, worker: Any, record: Any, points: Points) -> None:
        """The points (x, y), 0-based, of a worker on an image; those outside the image are put aside."""
        inside = ((points >= 0) & (points < self.size[image])).all(axis=1)
        if not inside.all():
            self.strays.append((image, int((~inside).sum()), record))
            points = points[inside]
        self.image.append(image)
        self.worker.append(worker)
        self.points.append(points if points.dtype.kind == "f" else points.astype(np.int16))

    def gathered(self, faults: Faults, where: Callable[[Any], str], axes: str, named: bool, ordered: bool) -> Recorded:
        """The columns. Peak memory is about 12 bytes a point.

        Args:
            where: what to call a record in a message, from its id. axes: how the source writes a point.
            named: whether workers have names that mean the same person on every image. ordered: keep the order.

        Raises InputError where nothing was recorded or more than 5 % of the points lie outside; through `faults`
        where fewer do.
        """
        self._look_outside(faults, where, axes)
        order = np.argsort(np.array(self.image, dtype=np.int64), kind="stable")
        length = np.array([len(self.points[i]) for i in order], dtype=np.int64)
        joined = np.concatenate([self.points[i] for i in order])
        self.points.clear()
        x, y = (np.ascontiguousarray(joined[:, k]) for k in range(2))
        del joined
        workers, observer = np.arange(len(order)), np.arange(len(order))
        if named:
            workers, observer = np.unique(np.array(self.worker)[order], return_inverse=True)
        image = np.array(self.image, dtype=np.int64)[order]
        count = np.bincount(image, weights=length, minlength=len(self.ids)).astype(np.int64)
        outside = np.zeros(len(self.ids), dtype=np.int64)
        for i, n, _ in self.strays:
            outside[i] += n
        within = np.arange(len(x)) - np.repeat(np.cumsum(length) - length, length) if ordered else None
        return Recorded(
            ids=self.ids,
            size=self.size,
            x=x,
            y=y,
            observer=np.repeat(observer.astype(np.int16 if len(workers) < 2**15 else np.int32), length),
            offsets=np.concatenate([[0], np.cumsum(count)]),
            outside=outside,
            workers=tuple(map(str, workers)) if named else (),
            order=None if within is None else within.astype(np.int32),
        )

    def _look_outside(self, faults: Faults, where: Callable[[Any], str], axes: str) -> None:
        outside = sum(n for _, n, _ in self.strays)
        total = outside + sum(map(len, self.points))
        if not total:
            raise InputError("There is no record with points.")
        if outside > MAX_OUTSIDE * total:
            raise InputError(
                f"{outside:,} of {total:,} points lie outside their image ({outside / total:.1%}), the first in "
                f"{where(self.strays[0][2])}. The axes seem to be swapped: this release writes {axes}."
            )
        for image, n, record in self.strays:
            width, height = self.size[image]
            faults.add("points outside the image", where(record), f"{n} outside {width}x{height} '{self.ids[image]}'")
