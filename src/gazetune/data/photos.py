"""Photos without fixations, for a training to hold on to or to be right about; ObjectNet is refused."""

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from gazetune.data.images import read_rgb
from gazetune.data.labelled import (
    CROP,
    RESIZE,
    Labelled,
    existing_folder,
    larger_side,
    photos_in,
    squashed_crop,
)
from gazetune.data.objectnet import MAPPING_FILES, OFF, REDDEST
from gazetune.data.sources import read_labelled
from gazetune.errors import InputError
from gazetune.provenance import fingerprint

LOOKED_AT = 5  # photos that are looked at for ObjectNet's red border
BORDER = 2  # px of its official files


@dataclass(frozen=True)
class Photos:
    """Photos by id; `read` gives the pixels of a file at a size (height, width), `how` says how it does."""

    name: str
    ids: tuple[str, ...]
    paths: tuple[Path, ...]
    read: Callable[[Path, tuple[int, int]], UInt8[np.ndarray, "height width 3"]] = field(default=read_rgb, repr=False)
    how: str = "squashed to the input size (bicubic)"

    def __len__(self) -> int:
        return len(self.ids)

    def pixels(self, index: int, size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
        """RGB pixels of one photo at `size` = (height, width). Raises InputError for a file that cannot be read."""
        return self.read(self.paths[index], size)

    def fingerprint(self) -> str:
        """A sha256 over ids, how they are read, and the sizes and times of the files."""
        about = [path.stat() for path in self.paths]
        files = [(i, s.st_size, s.st_mtime_ns) for i, s in zip(self.ids, about, strict=True)]
        return fingerprint([self.how, files])


def photos_for_tuning(path: str) -> Photos:
    """Every photo in a folder and its sub-folders, squashed to the input size (PIL, bicubic) as fixation images are.

    Raises InputError: no such folder, no photo, or ObjectNet, whose licence forbids it.
    """
    folder = existing_folder(path)
    found = photos_in(folder)
    if not found:
        raise InputError(
            f"training.distil_on: '{path}' has no photo. Needed: a folder of photos, in sub-folders or not."
        )
    refuse_objectnet(folder, found)
    return Photos(folder.name, tuple(p.relative_to(folder).as_posix() for p in found), tuple(found))


def labels_for_tuning(path: str) -> Labelled:
    """Labelled images that a training is judged by: a folder with one sub-folder a class, or a CSV of file and label.

    Raises InputError: not there, no labels, labels that do not fit, or ObjectNet, whose licence forbids it.
    """
    place = Path(path).expanduser()
    if not place.exists():
        raise InputError(
            f"training.accuracy_on: '{path}' does not exist. Needed: a folder with one sub-folder a class, or a CSV "
            f"with the columns file and label."
        )
    labelled = read_labelled("labels" if place.is_file() else "folder", place)
    refuse_objectnet(place.parent if place.is_file() else place, _files(labelled))
    return labelled.for_tuning()


def as_classified(labelled: Labelled) -> Photos:
    """The photos of labelled images with the preprocessing of classification: squashed, then the middle cut out.

    256 to 224 for a model of 224 pixels, in that proportion for others. Raises InputError, when read, for an input
    that is not square.
    """

    def read(path: Path, size: tuple[int, int]) -> UInt8[np.ndarray, "height width 3"]:
        if size[0] != size[1]:
            raise InputError(f"training.accuracy_on needs a model with a square input, not {size[0]}x{size[1]}.")
        return squashed_crop(labelled.read(path)[0], larger_side(size[0]), size[0])

    how = f"squashed, then the middle cut out, {RESIZE} to {CROP} for an input of {CROP} (bilinear)"
    return Photos(labelled.name, labelled.ids, _files(labelled), read, how)


def _files(labelled: Labelled) -> tuple[Path, ...]:
    return tuple(path for path in labelled.paths if isinstance(path, Path))  # rows of a table: not of these kinds


def tunable(labelled: Labelled) -> Labelled:
    """The labelled images, where something may be fitted on them. Raises InputError for ObjectNet, however read."""
    files = _files(labelled.for_tuning())
    if files:
        refuse_objectnet(Path(os.path.commonpath([path.parent for path in files])), files)
    return labelled


def refuse_objectnet(folder: Path, paths: tuple[Path, ...] | list[Path]) -> None:
    """Raises InputError if photos are ObjectNet's, as far as can be told.

    Told by its name, by its mapping files in the folder or beside it, or by the red border of 2 px that its photos
    have: on all of five photos, spread over the folder.
    """
    place = folder.resolve()
    known = any(re.fullmatch(r"objectnet[-_. v\d]*", name, re.IGNORECASE) for name in (place.name, place.parent.name))
    known = known or any((where / name).is_file() for where in (place, place.parent) for name in MAPPING_FILES)
    some = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, LOOKED_AT).astype(int))]
    if known or all(_has_red_border(path) for path in some):
        raise InputError(
            f"'{folder}' is ObjectNet, by its name, its mapping files or the red border of its photos. Its licence "
            f"forbids to tune a model on it, so it is no training, distillation or validation data, and no linear "
            f"probe is fitted on it. Use it with `gazetune parity` only."
        )


def _has_red_border(path: Path) -> bool:
    try:
        pixels = read_rgb(path).astype(np.int16)
    except InputError:
        return False  # said when it is decoded
    sides = (pixels[:BORDER], pixels[-BORDER:], pixels[:, :BORDER], pixels[:, -BORDER:])
    return all((np.abs(side - REDDEST) <= OFF).all() for side in sides)
