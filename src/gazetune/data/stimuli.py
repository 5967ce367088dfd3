"""What people saw and where they looked: the one form that every data set is read into."""

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import overload

import numpy as np
from jaxtyping import Bool, Int, Num, Shaped, UInt8

from gazetune.data.images import read_rgb, resized
from gazetune.data.levels import Levels
from gazetune.errors import InputError

Crop = tuple[int, int, Bool[np.ndarray, "box_height box_width"]]  # top row, left column, pixels
Column = Num[np.ndarray, " fixation"]


@dataclass(frozen=True)
class Fixations:
    """Fixations as columns, one entry a fixation.

    `x` and `y` are pixels of the original image, 0-based, origin top left; `observer` is a whole number per person;
    `order` counts from 0 within image and observer; times are milliseconds.
    """

    x: Column
    y: Column
    observer: Int[np.ndarray, " fixation"]
    order: Int[np.ndarray, " fixation"] | None = None
    onset_ms: Column | None = None
    duration_ms: Column | None = None

    def __len__(self) -> int:
        return len(self.x)

    def columns(self) -> dict[str, Shaped[np.ndarray, " fixation"]]:
        """The columns that are present, by name."""
        named = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return {name: column for name, column in named.items() if column is not None}

    def take(self, index: Int[np.ndarray, " kept"] | Bool[np.ndarray, " fixation"] | slice) -> "Fixations":
        """The fixations at these positions, in this order."""
        return Fixations(**{name: column[index] for name, column in self.columns().items()})


@dataclass(frozen=True)
class ObjectMask:
    """One annotated object of an image: its category, its area in the original image and, on request, its pixels.

    `crop` gives the same pixels as `decode` for readers that have a part of the mask sooner than all of it: the top
    row, the left column and the pixels of a box of the original image outside of which the object has none.
    """

    id: str
    category: str
    area_px2: float
    animate: bool | None
    decode: Callable[[], Bool[np.ndarray, "height width"]] = field(repr=False)
    crop: Callable[[], Crop] | None = field(default=None, repr=False)

    @cached_property
    def mask(self) -> Bool[np.ndarray, "height width"]:
        """The object's pixels at the resolution of the original image."""
        return self.decode()


@dataclass(frozen=True)
class Stimulus:
    """One image with everything that is known about it."""

    id: str
    path: Path | None
    width: int
    height: int
    fixations: Fixations
    objects: tuple[ObjectMask, ...] = ()
    label: int | None = None


@dataclass(frozen=True)
class Stimuli(Sequence[Stimulus]):
    """The images of a data set, in a fixed order, with all their fixations in shared columns.

    `offsets[i]:offsets[i + 1]` are the fixations of image i. Pixels and object masks are read when asked for.
    `render` gives the pixels of an image that has no file (a generated world). `sources` names the files behind the
    data and their sha256. `outside` counts, per image, the fixations that lay outside it and were left out. `left_out`
    names the records of its files that are not part of it, by the reason.
    `observers` names the observers by number; empty: the number is the name. `levels`: groups of observers or
    conditions of images, by the name of the column that says them.
    """

    name: str
    ids: tuple[str, ...]
    width: Int[np.ndarray, " image"]
    height: Int[np.ndarray, " image"]
    fixations: Fixations
    offsets: Int[np.ndarray, " bounds"]
    paths: tuple[Path | None, ...]
    render: Callable[[str], UInt8[np.ndarray, "height width 3"]] | None = None
    find_objects: Callable[[str], tuple[ObjectMask, ...]] | None = None
    labels: Int[np.ndarray, " image"] | None = None
    classes: tuple[str, ...] = ()
    given_split: tuple[str, ...] | None = None
    outside: Int[np.ndarray, " image"] | None = None
    observers: tuple[str, ...] = ()
    levels: Mapping[str, Levels] = field(default_factory=dict)
    left_out: dict[str, tuple[str, ...]] = field(default_factory=dict)
    sources: dict[str, str] = field(default_factory=dict)
    citation: str = ""

    def __post_init__(self) -> None:
        seen: set[str] = set()
        twice = [i for i in self.ids if i in seen or seen.add(i)]  # type: ignore[func-returns-value]
        if twice:
            raise InputError(
                f"Every image id must occur once in the data set '{self.name}', but these occur more often: "
                f"{', '.join(sorted(set(twice))[:5])}. Rename the files or merge their fixations."
            )

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, index: int) -> Stimulus: ...
    @overload
    def __getitem__(self, index: slice) -> "Stimuli": ...
    def __getitem__(self, index: int | slice) -> "Stimulus | Stimuli":
        if isinstance(index, slice):
            return self.take(np.arange(len(self))[index])
        i = range(len(self))[index]
        return Stimulus(
            id=self.ids[i],
            path=self.paths[i],
            width=int(self.width[i]),
            height=int(self.height[i]),
            fixations=self.fixations.take(slice(int(self.offsets[i]), int(self.offsets[i + 1]))),
            objects=self.find_objects(self.ids[i]) if self.find_objects else (),
            label=None if self.labels is None else int(self.labels[i]),
        )

    def __iter__(self) -> Iterator[Stimulus]:
        return (self[i] for i in range(len(self)))

    @property
    def n_fixations(self) -> Int[np.ndarray, " image"]:
        """The number of fixations of each image."""
        return np.diff(self.offsets)

    def take(self, index: Int[np.ndarray, " kept"]) -> "Stimuli":
        """The data set of these images only, in this order."""
        rows, offsets = rows_of(self.offsets, index)
        return replace(
            self,
            ids=tuple(self.ids[i] for i in index),
            width=self.width[index],
            height=self.height[index],
            fixations=self.fixations.take(rows),
            offsets=offsets,
            paths=tuple(self.paths[i] for i in index),
            labels=None if self.labels is None else self.labels[index],
            given_split=None if self.given_split is None else tuple(self.given_split[i] for i in index),
            outside=None if self.outside is None else self.outside[index],
        )

    def pixels(self, index: int, size: tuple[int, int] | None = None) -> UInt8[np.ndarray, "height width 3"]:
        """The RGB pixels of one image, squashed to `size` = (height, width) by PIL's bicubic filter when given.

        Raises InputError if the image has no pixels or its file cannot be read.
        """
        path = self.paths[index]
        if path is not None:
            return read_rgb(path, size)
        if self.render is None:
            raise InputError(
                f"Image '{self.ids[index]}' of '{self.name}' has fixations but no photo; a model needs one."
            )
        return resized(self.render(self.ids[index]), size)

    def fingerprint(self) -> str:
        """A sha256 over ids, sizes, fixations, observers and source files: equal exactly when the data are.

        `levels` are no part of it.
        """
        named = (self.observers,) if self.observers else ()
        digest = hashlib.sha256(repr((self.name, self.ids, sorted(self.sources.items()), *named)).encode())
        for column in (self.width, self.height, self.offsets, *self.fixations.columns().values()):
            digest.update(np.ascontiguousarray(column).tobytes())
        return digest.hexdigest()


def rows_of(
    offsets: Int[np.ndarray, " bounds"], index: Int[np.ndarray, " kept"]
) -> tuple[Int[np.ndarray, " row"] | slice, Int[np.ndarray, " new_bounds"]]:
    """The rows that belong to these images in columns grouped by `offsets`, and the offsets of the selection.

    The rows of images that follow each other are a slice: columns are then seen, not copied.
    """
    length = (offsets[1:] - offsets[:-1])[index]
    bounds = np.concatenate([[0], np.cumsum(length)]).astype(np.int64)
    if len(index) and index[0] >= 0 and bool((np.diff(index) == 1).all()):
        return slice(int(offsets[index[0]]), int(offsets[index[-1] + 1])), bounds
    return np.repeat(offsets[:-1][index] - bounds[:-1], length) + np.arange(bounds[-1]), bounds


def grouped(
    n_images: int, image: Int[np.ndarray, " fixation"], fixations: Fixations
) -> tuple[Fixations, Int[np.ndarray, " bounds"]]:
    """Fixations sorted by image (a stable sort), and the offsets of each image; `image` says whose each is."""
    by_image = np.argsort(image, kind="stable")
    offsets = np.concatenate([[0], np.cumsum(np.bincount(image, minlength=n_images))]).astype(np.int64)
    return fixations.take(by_image), offsets
