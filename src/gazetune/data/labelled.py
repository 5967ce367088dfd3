"""Labelled images to classify: a folder of classes, ImageNet's validation images, or a CSV of paths and labels.

They come without fixations; a study with fixations and labels is read by `table.py`. ObjectNet: `objectnet.py`.
"""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int, UInt8
from PIL import Image

from gazetune.data.classes import Classes
from gazetune.data.images import read_rgb
from gazetune.data.table import PHOTOS
from gazetune.errors import InputError
from gazetune.files import sha256_file
from gazetune.progress import say

RESIZE, CROP = 256, 224
PREPROCESSING = f"resized to {RESIZE}x{RESIZE} (bilinear), centre crop {CROP}"  # the paper's; then mean = std = 0.5
VALIDATION_IMAGE = re.compile(r"ILSVRC2012_val_(\d{8})", re.IGNORECASE)
LABEL_COLUMNS, FILE_COLUMNS = ("index", "wnid", "label"), ("file", "path", "image")
NAMED = 5  # of many wrong names, how many an error spells out

Pixels = UInt8[np.ndarray, "height width 3"]


@dataclass(frozen=True)
class Labelled:
    """Images with the classes that are right for them.

    answers: the indices that count as right, one row an image, filled up with -1 (most data sets have one).
    groups: the class as the data set calls it, for tables by class.
    may_tune: whether the licence allows to tune a model on it; `for_tuning` enforces it.
    read: the pixels of a file, and how wide a border was taken off it.
    """

    name: str
    ids: tuple[str, ...]
    paths: tuple[Path, ...]
    answers: Int[np.ndarray, "image answer"]
    groups: tuple[str, ...]
    classes: Classes
    may_tune: bool = True
    read: Callable[[Path], tuple[Pixels, int]] = field(default=lambda path: (read_rgb(path), 0), repr=False)
    sources: dict[str, str] = field(default_factory=dict)
    citation: str = ""

    def __len__(self) -> int:
        return len(self.ids)

    def pixels(self, index: int) -> tuple[Pixels, int]:
        """RGB pixels of one image, and the width of the border that was removed. Raises InputError for a bad file."""
        return self.read(self.paths[index])

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


def squashed_crop(pixels: Pixels, resize: int = RESIZE, crop: int = CROP) -> UInt8[np.ndarray, "crop crop 3"]:
    """The paper's preprocessing: squashed to resize x resize by PIL's bilinear filter, then the middle crop x crop."""
    squashed = Image.fromarray(pixels).resize((resize, resize), Image.Resampling.BILINEAR)
    start = (resize - crop) // 2
    return np.asarray(squashed)[start : start + crop, start : start + crop]


def load_image_folder(path: str | Path, classes: Classes | None = None, name: str = "") -> Labelled:
    """A folder with one sub-folder a class, as torchvision's ImageFolder; ids are paths within it.

    Args:
        path: the folder. classes: the known classes; sub-folders bear their synset ids or names. Without: the
            sub-folders in alphabetical order are the classes.

    Raises:
        InputError: no such folder, no image, sub-folders that are no known class.
    """
    folder = existing_folder(path)
    inside = sorted(p for p in folder.iterdir() if p.is_dir() and not p.name.startswith("."))
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


def load_imagenet_val(path: str | Path, ground_truth: str | Path, classes: Classes) -> Labelled:
    """ImageNet's validation images as one flat folder, with the labels of the development kit.

    Args:
        path: the folder of ILSVRC2012_val_00000001.JPEG and so on; some of the 50,000 are enough.
        ground_truth: ILSVRC2012_validation_ground_truth.txt, one development-kit number a line.
        classes: with development-kit numbers (`read_devkit`, `read_class_index`).

    Raises:
        InputError: a missing file, a file name without an image number or with one beyond the labels, a label that is
            no number of a class.
    """
    folder, truth = existing_folder(path), Path(ground_truth).expanduser()
    try:
        numbers = np.array(truth.read_text().split(), dtype=np.int64)
    except (OSError, ValueError) as reason:
        raise InputError(f"The labels '{truth}' cannot be read ({reason}). Needed: one number a line.") from None
    places = classes.from_ilsvrc2012(numbers)
    paths = photos_in(folder, deep=False)
    matches = [VALIDATION_IMAGE.match(p.name) for p in paths]
    wrong = [p.name for p, m in zip(paths, matches, strict=True) if m is None or not 1 <= int(m[1]) <= len(numbers)]
    if wrong or not paths:
        raise InputError(
            f"'{folder}' must hold images named ILSVRC2012_val_00000001.JPEG to "
            f"ILSVRC2012_val_{len(numbers):08d}.JPEG; it has {some(wrong) if wrong else 'no image'}."
        )
    index = np.array([int(m[1]) - 1 for m in matches if m])
    return Labelled(
        name="imagenet_val",
        ids=tuple(p.name for p in paths),
        paths=tuple(paths),
        answers=places[index][:, None],
        groups=tuple(classes.wnids[i] for i in places[index]),
        classes=classes,
        sources={truth.name: sha256_file(truth)},
        citation="Russakovsky et al. (2015), ImageNet Large Scale Visual Recognition Challenge, IJCV 115(3).",
    )


def load_label_table(csv: str | Path, images: str | Path | None = None, classes: Classes | None = None) -> Labelled:
    """Images and labels from a CSV: a column `file` (or `path`, `image`) and one of `index`, `wnid`, `label`.

    Args:
        csv: paths are relative to `images`; by default the folder `images` beside the CSV, or the CSV's own.
        classes: the known classes; needed for `index` and `wnid`. Without, the labels in alphabetical order.

    Raises:
        InputError: a missing file or column, an index out of range, a label that is no known class.
    """
    table_path = Path(csv).expanduser()
    try:
        table = pd.read_csv(table_path, keep_default_na=False, dtype=str)
    except (OSError, ValueError) as reason:
        raise InputError(f"'{csv}' cannot be read as a CSV ({reason}).") from None
    files = next((c for c in FILE_COLUMNS if c in table), None)
    column = next((c for c in LABEL_COLUMNS if c in table and (classes or c == "label")), None)
    if files is None or column is None or table.empty:
        raise InputError(
            f"'{csv}' needs rows with the columns file and label, or, with a class list, wnid or index; it has "
            f"{len(table)} rows with {', '.join(table.columns)}."
        )
    known = classes or Classes(names=tuple(sorted(set(table[column]))))
    beside = table_path.parent / "images"
    folder = existing_folder(images if images is not None else beside if beside.is_dir() else table_path.parent)
    paths = [folder / name for name in table[files]]
    absent = [str(p) for p in paths if not p.is_file()]
    if absent:
        raise InputError(f"{len(absent)} of {len(paths)} images of '{csv}' are not there: {some(absent)}.")
    places = [_index(x, len(known)) if column == "index" else known.place(x) for x in table[column]]
    wrong = [label for label, place in zip(table[column], places, strict=True) if place is None]
    if wrong:
        raise InputError(
            f"{len(wrong)} rows of '{csv}' have a {column} that is none of the {len(known)} classes"
            f"{f' (0 to {len(known) - 1})' if column == 'index' else ''}: {some(list(dict.fromkeys(wrong)))}."
        )
    twice = table[files][table[files].duplicated()]
    if len(twice):
        raise InputError(f"{len(twice)} images stand twice in '{csv}', the first is '{twice.iloc[0]}'.")
    return Labelled(
        name=table_path.parent.name,
        ids=tuple(table[files]),
        paths=tuple(paths),
        answers=np.array(places, dtype=np.int64)[:, None],
        groups=tuple(table[column]),
        classes=known,
        sources={table_path.name: sha256_file(table_path)},
    )


def _index(text: str, n: int) -> int | None:
    return int(text) if text.strip().isdecimal() and int(text) < n else None


def existing_folder(path: str | Path) -> Path:
    """The folder. Raises InputError if it does not exist."""
    folder = Path(path).expanduser()
    if not folder.is_dir():
        raise InputError(f"The folder of images '{path}' does not exist.")
    return folder


def photos_in(folder: Path, deep: bool = True) -> list[Path]:
    """The image files of a folder (if deep, of its sub-folders too) by path; other files are counted and said."""
    files = sorted(p for p in (folder.rglob("*") if deep else folder.iterdir()) if p.is_file())
    others = [p for p in files if p.suffix.lower() not in PHOTOS and not p.name.startswith(".")]
    if others:
        say(f"warning: {len(others)} files in '{folder}' are no images and are left out, such as '{others[0].name}'")
    return [p for p in files if p.suffix.lower() in PHOTOS and not p.name.startswith(".")]


def some(names: Sequence[str]) -> str:
    """The first few of many names."""
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(f"'{name}'" for name in names[:NAMED]) + more
