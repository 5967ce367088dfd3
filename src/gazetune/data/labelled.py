"""Labelled images to classify, and how a folder of classes is read; `sources.py` reads every kind by its name.

They come without fixations; a study with fixations and labels is read by `table.py`.
"""

import hashlib
import os
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int, UInt8
from PIL import Image

from gazetune.data.classes import Classes
from gazetune.data.images import read_rgb
from gazetune.data.table import PHOTOS
from gazetune.documents import short
from gazetune.errors import InputError
from gazetune.progress import say

RESIZE, CROP = 256, 224
NAMED = 5  # of many wrong names, how many an error spells out

Pixels = UInt8[np.ndarray, "height width 3"]


def whole(path: Path) -> tuple[Pixels, int]:
    """The pixels of a file, and 0 for no border."""
    return read_rgb(path), 0


@dataclass(frozen=True)
class Labelled:
    """Images with the classes that are right for them; it can be pickled, so that loaders may work in processes.

    ids: the images' names; where a set comes corrupted, the copies of one image share its id.
    paths: where each image lies: a file, or the row of a table that `read` knows.
    answers: the indices that count as right, one row an image, filled up with -1 (most data sets have one).
    groups: the class as the data set calls it, for tables by class.
    corrupted: corruption and severity of each file of a set that comes corrupted; else empty.
    may_tune: whether the licence allows to tune a model on it; `for_tuning` enforces it.
    read: the pixels that lie at one of `paths`, and how wide a border was taken off them.
    sources: files behind the data and their sha256.
    """

    name: str
    ids: tuple[str, ...]
    paths: tuple[Path | int, ...]
    answers: Int[np.ndarray, "image answer"]
    groups: tuple[str, ...]
    classes: Classes
    may_tune: bool = True
    read: Callable[[Any], tuple[Pixels, int]] = field(default=whole, repr=False)
    sources: dict[str, str] = field(default_factory=dict)
    citation: str = ""
    corrupted: tuple[tuple[str, int], ...] = ()

    def __post_init__(self) -> None:
        pairs = list(zip(self.ids, self.corrupted, strict=True)) if self.corrupted else list(self.ids)
        if len(set(pairs)) < len(pairs):
            raise InputError(
                f"Every image of '{self.name}' must occur once; {len(pairs) - len(set(pairs))} occur again. Rename or "
                f"take out the copies."
            )

    def __len__(self) -> int:
        return len(self.ids)

    def pixels(self, index: int) -> tuple[Pixels, int]:
        """RGB pixels of one image, and the width of the border that was removed. Raises InputError for a bad file."""
        return self.read(self.paths[index])

    def take(self, index: Int[np.ndarray, " kept"] | Bool[np.ndarray, " image"]) -> "Labelled":
        """The data set of these images only, in this order."""
        rows = np.arange(len(self))[index]
        return replace(
            self,
            ids=tuple(self.ids[i] for i in rows),
            paths=tuple(self.paths[i] for i in rows),
            answers=self.answers[rows],
            groups=tuple(self.groups[i] for i in rows),
            corrupted=tuple(self.corrupted[i] for i in rows) if self.corrupted else (),
        )

    def fingerprint(self) -> str:
        """A sha256 over ids, answers, classes and corruptions, sources, and the size and time of every file.

        Equal as long as the data are, without reading gigabytes of photos.
        """
        told = (self.name, self.ids, self.groups, self.classes, self.corrupted, sorted(self.sources.items()))
        digest = hashlib.sha256(repr((told, self.answers.shape)).encode())
        digest.update(np.ascontiguousarray(self.answers, dtype="<i8").tobytes())
        for path in self.paths:
            digest.update(repr(path if isinstance(path, int) else _size_and_time(path)).encode())
        return digest.hexdigest()

    def for_tuning(self) -> "Labelled":
        """The data set itself, where its licence allows to tune a model on it.

        Raises:
            InputError: it does not.
        """
        if not self.may_tune:
            raise InputError(
                f"The licence of '{self.name}' forbids to tune a model on it, so it is not taken as training, "
                f"validation or distillation data. Use it with `gazetune parity` only."
            )
        return self


def _size_and_time(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None  # said when its pixels are asked for
    return found.st_size, found.st_mtime_ns


def larger_side(crop: int) -> int:
    """The side that an image is squashed to before the middle is cut out of it: 256 for 224."""
    return round(crop * RESIZE / CROP)


def squashed_crop(pixels: Pixels, resize: int = RESIZE, crop: int = CROP) -> UInt8[np.ndarray, "crop crop 3"]:
    """The paper's preprocessing: squashed to resize x resize by PIL's bilinear filter, then the middle crop x crop."""
    squashed = Image.fromarray(pixels).resize((resize, resize), Image.Resampling.BILINEAR)
    start = (resize - crop) // 2
    return np.asarray(squashed)[start : start + crop, start : start + crop]


def load_image_folder(
    path: str | Path, classes: Classes | None = None, name: str = "", beside: Collection[str] = ()
) -> Labelled:
    """A folder with one sub-folder a class, as torchvision's ImageFolder; ids are paths within it.

    Args:
        path: the folder. classes: the known classes; sub-folders bear their synset ids or names. Without: the
            sub-folders in alphabetical order are the classes. beside: sub-folders that are no classes.

    Raises:
        InputError: no such folder, no image, sub-folders that are no known class.
    """
    folder = existing_folder(path)
    inside = [p for p in sub_folders(folder) if p.name not in beside]
    known = classes or Classes(names=tuple(p.name for p in inside))
    unknown = [p.name for p in inside if known.place(p.name) is None]
    if unknown:
        raise InputError(
            f"{len(unknown)} of {len(inside)} sub-folders of '{folder}' are no class among the {len(known)} known: "
            f"{some(unknown)}. Rename them, take them out, or give the class list that they belong to."
        )
    found = [(p, known.place(sub.name)) for sub in inside for p in photos_in(sub)]
    if not found:
        raise InputError(f"'{folder}' has no image in a sub-folder. Needed: one sub-folder a class, images in each.")
    return Labelled(
        name=name or folder.name,
        ids=tuple(p.relative_to(folder).as_posix() for p, _ in found),
        paths=tuple(p for p, _ in found),
        answers=np.array([[place] for _, place in found], dtype=np.int64),
        groups=tuple(p.parent.relative_to(folder).parts[0] for p, _ in found),
        classes=known,
    )


def existing_folder(path: str | Path) -> Path:
    """The folder. Raises InputError if it does not exist."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise InputError(f"The folder of images '{path}' does not exist.")
    return folder


def sub_folders(folder: Path) -> list[Path]:
    """The folders in a folder by name, but for hidden ones."""
    with os.scandir(folder) as entries:
        return sorted(Path(e.path) for e in entries if not e.name.startswith(".") and e.is_dir())


def photos_in(folder: Path, deep: bool = True) -> list[Path]:
    """The image files of a folder (if deep, of its sub-folders too) by path; other files are counted and said."""
    found: list[Path] = []
    others: list[Path] = []
    for place, below, names in os.walk(folder):  # a folder of millions: no look at each file
        below[:] = [name for name in below if deep and not name.startswith(".")]
        for name in names:
            if not name.startswith("."):
                (found if f".{name.rpartition('.')[2]}".lower() in PHOTOS else others).append(Path(place, name))
    if others:
        first = min(others).name
        say(f"warning: {len(others)} files in '{folder}' are no images and are left out, such as '{first}'")
    return sorted(found)


def some(names: Sequence[str]) -> str:
    """The first few of many names."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(f"'{short(name)}'" for name in names[:NAMED]) + more
