"""A user's own study: a folder of images and a CSV of fixations, with object masks or boxes if there are any.

The folder holds `fixations.csv` (or .csv.gz) and the images, in `images/` or beside the CSV:
  image, observer, x, y        needed; x and y are pixels, 0-based from the top left; observer may be a name
  order, onset_ms, duration_ms optional
  image_width, image_height    optional: the frame of x and y, where the image files have been resized since
  split                        optional: train, validation or test (the same for all rows of an image)
  label                        optional: the class of the image, as a name (the same for all rows of an image)
  any other                    optional: a group of observers or a condition of images, where `by` names it
and, optionally, `objects.csv` with boxes or masks of objects (format: see objects.py).
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from gazetune.data.csv_files import read_csv
from gazetune.data.images import check_frame, image_size
from gazetune.data.levels import read_levels
from gazetune.data.objects import load_objects
from gazetune.data.stimuli import Fixations, Stimuli, grouped
from gazetune.documents import short
from gazetune.errors import InputError
from gazetune.files import sha256_file, sha256_files
from gazetune.progress import say

PHOTOS = {".jpg", ".jpeg", ".png", ".bmp", ".tif", ".tiff", ".webp", ".gif"}
NEEDED = ("image", "observer", "x", "y")
NUMBERS = ("x", "y", "order", "onset_ms", "duration_ms", "image_width", "image_height")
MOST = 2**31 - 1  # of any number: pixels, milliseconds (25 days)
UNREADABLE = 1, 1  # the frame of a file that is no image; its fixations cannot be placed and are left out
MAX_OUTSIDE = 0.05  # more fixations than this outside their image: the columns are swapped or the frame is wrong


def load_table(path: str | Path, images: str | Path | None = None, by: Sequence[str] = ()) -> Stimuli:
    """A data set from a CSV of fixations and a folder of images (format: see this module's docstring).

    Args:
        path: the folder, or the CSV itself.
        images: the folder of the images, where it is neither `images/` beside the CSV nor the CSV's own folder.
        by: columns that hold a group of observers or a condition of images (see levels.py).

    Images in the folder without a fixation in the CSV are part of the data set. Fixations outside their image are
    left out and counted, up to 5 %. Without any image file, image_width and image_height are needed.

    Raises:
        InputError: a file, column or image that is missing, no name of an image or observer, NaN or non-numeric
            coordinates, more than 5 % of the
            fixations outside their image, a column of `by` that is neither a group nor a condition.
    """
    csv = _find_csv(Path(path).expanduser())
    table = _read(csv, by)
    levels = read_levels(str(csv), table, by, (*NEEDED, *NUMBERS))
    folder = _find_photos(csv, images)
    photos = {p.name: p for p in sorted(folder.iterdir()) if p.suffix.lower() in PHOTOS} if folder else {}
    named = [str(name) for name in table["image"].cat.categories]
    missing = [name for name in named if name not in photos]
    if photos and missing:
        raise InputError(
            f"{len(missing)} images of '{csv}' are not in '{folder}', the first is '{missing[0]}'. Add them, or take "
            f"their rows out of the CSV."
        )
    ids = tuple(sorted(set(named) | set(photos)))
    position = {name: i for i, name in enumerate(ids)}
    image = np.array([position[name] for name in named], dtype=np.int64)[table["image"].cat.codes.to_numpy()]
    width, height = _frames(csv, table, image, [photos.get(name) for name in ids], ids)
    inside = _inside(csv, table, width[image], height[image])
    placed = (width[image] > 1) | (height[image] > 1)
    outside = np.bincount(image[~inside & placed], minlength=len(ids))
    fixations, offsets = grouped(len(ids), image[inside], _fixations(table[inside]))
    labels, classes = _labels(csv, table, image, len(ids))
    objects_csv = csv.parent / "objects.csv"
    sources = {csv.name: sha256_file(csv), "images": sha256_files([photos[i] for i in ids if i in photos])}
    if objects_csv.is_file():
        sources["objects.csv"] = sha256_file(objects_csv)
    return Stimuli(
        name="table",
        ids=ids,
        width=width,
        height=height,
        fixations=fixations,
        offsets=offsets,
        paths=tuple(photos.get(i) for i in ids),
        find_objects=load_objects(objects_csv, ids, width, height) if objects_csv.is_file() else None,
        labels=labels,
        classes=classes,
        given_split=_one_per_image(csv, table, image, len(ids), "split"),
        outside=outside,
        observers=tuple(str(name) for name in table["observer"].cat.categories),
        levels=levels,
        sources=sources,
    )


def _find_csv(path: Path) -> Path:
    candidates = [path] if path.is_file() else [path / "fixations.csv", path / "fixations.csv.gz"]
    found = [c for c in candidates if c.is_file()]
    if not found:
        raise InputError(f"No table of fixations at '{path}': needed a folder with fixations.csv, or the CSV itself.")
    return found[0]


def _find_photos(csv: Path, images: str | Path | None) -> Path | None:
    if images is not None and not Path(images).expanduser().is_dir():
        raise InputError(f"The folder of images '{images}' does not exist.")
    for folder in (Path(images).expanduser(),) if images is not None else (csv.parent / "images", csv.parent):
        if folder.is_dir() and any(p.suffix.lower() in PHOTOS for p in folder.iterdir()):
            return folder
    return None


def _read(csv: Path, by: Sequence[str]) -> pd.DataFrame:
    words = {"image", "observer", "split", "label", *by} - {*NUMBERS}
    types: dict[str, Any] = dict.fromkeys(sorted(words), "category")
    table = read_csv(csv, dtype=types, keep_default_na=False, na_values={c: [""] for c in NUMBERS})
    table = table.reset_index(drop=True)
    if table.empty:
        raise InputError(f"'{csv}' has no row of data. Needed: one row a fixation.")
    missing = [c for c in NEEDED if c not in table]
    if missing:
        only = str(table.columns[0]) if len(table.columns) == 1 else ""
        hint = " Save it with commas between the columns." if ";" in only or "\t" in only else ""
        raise InputError(
            f"'{csv}' needs the columns {', '.join(NEEDED)}; missing: {', '.join(missing)}. It has: "
            f"{', '.join(map(str, table.columns))}.{hint}"
        )
    for column in ("image", "observer"):
        blank = [code for code, name in enumerate(table[column].cat.categories) if not str(name).strip()]
        empty = table[column].cat.codes.isin([-1, *blank])
        if empty.any():
            raise InputError(
                f"'{csv}', line {int(np.flatnonzero(empty)[0]) + 2}: '{column}' is empty ({empty.sum()} such rows). "
                f"Fill it in, or take these rows out."
            )
    for column in (c for c in NUMBERS if c in table):
        if not pd.api.types.is_numeric_dtype(table[column]):
            odd = pd.to_numeric(table[column].astype(str), errors="coerce").isna().to_numpy()
            wrong = int(np.flatnonzero(odd)[0]) if odd.any() else 0  # numbers without an end are numbers to pandas
            came = short(str(table[column].iloc[wrong]))
            raise InputError(f"'{csv}', line {wrong + 2}: '{column}' must be a number, got '{came}'.")
        bad = ~np.isfinite(table[column].to_numpy(dtype=np.float64))
        if bad.any():
            raise InputError(
                f"'{csv}', line {int(np.flatnonzero(bad)[0]) + 2}: '{column}' is empty or NaN ({bad.sum()} such rows). "
                f"Take these rows out."
            )
        large = np.abs(table[column].to_numpy(dtype=np.float64)) > MOST
        if large.any():
            raise InputError(
                f"'{csv}', line {int(np.flatnonzero(large)[0]) + 2}: '{column}' is above {MOST:,} ({large.sum()} such "
                f"rows). Mend these rows."
            )
    return table


def _frames(
    csv: Path, table: pd.DataFrame, image: Int[np.ndarray, " n"], photos: list[Path | None], ids: tuple[str, ...]
) -> tuple[Int[np.ndarray, " image"], Int[np.ndarray, " image"]]:
    """Width and height of the frame that each image's coordinates live in."""
    frame = np.zeros((len(ids), 2), dtype=np.int64)
    for k, column in enumerate(("image_width", "image_height")):
        if column in table:
            frame[image, k] = table[column].to_numpy()
            if (frame[image, k] != table[column].to_numpy()).any():
                raise InputError(f"'{csv}': '{column}' must be one whole number for all rows of an image.")
    for i in np.flatnonzero((frame > 0).all(axis=1)):
        try:
            check_frame(*frame[i].tolist())
        except ValueError as reason:
            raise InputError(f"'{csv}': '{ids[i]}' is {reason}.") from None
    for i in np.flatnonzero((frame <= 0).any(axis=1)):
        photo = photos[i]
        if photo is None:
            raise InputError(
                f"'{csv}': the size of image '{ids[i]}' is not known. Add the columns image_width and image_height, or "
                f"the image files."
            )
        try:
            frame[i] = image_size(photo)
        except InputError:
            frame[i] = UNREADABLE  # named when its pixels are asked for, and left out then with --skip-bad
    return frame[:, 0], frame[:, 1]


def _inside(
    csv: Path, table: pd.DataFrame, width: Int[np.ndarray, " n"], height: Int[np.ndarray, " n"]
) -> Bool[np.ndarray, " n"]:
    x, y = table["x"].to_numpy(), table["y"].to_numpy()
    placed = (width > 1) | (height > 1)
    inside = (x >= 0) & (y >= 0) & (x < width) & (y < height) & placed
    outside = int((~inside & placed).sum())
    if outside > MAX_OUTSIDE * len(table):
        first = int(np.flatnonzero(~inside & placed)[0])
        raise InputError(
            f"{outside} of {len(table)} fixations in '{csv}' lie outside their image ({outside / len(table):.1%}; "
            f"at most {MAX_OUTSIDE:.0%} may), the first in line {first + 2}: ({x[first]:g}, {y[first]:g}) in "
            f"{width[first]}x{height[first]}. Are x and y swapped, or are image_width and image_height missing?"
        )
    if outside:
        say(f"warning: {outside} of {len(table)} fixations in '{csv}' lie outside their image and are left out")
    return inside


def _fixations(table: pd.DataFrame) -> Fixations:
    def column(name: str, kind: type) -> np.ndarray | None:
        return table[name].to_numpy(dtype=kind) if name in table else None

    return Fixations(
        x=table["x"].to_numpy(dtype=np.float32),
        y=table["y"].to_numpy(dtype=np.float32),
        observer=table["observer"].cat.codes.to_numpy(dtype=np.int32),
        order=column("order", np.int32),
        onset_ms=column("onset_ms", np.float32),
        duration_ms=column("duration_ms", np.float32),
    )


def _one_per_image(
    csv: Path, table: pd.DataFrame, image: Int[np.ndarray, " n"], n: int, column: str
) -> tuple[str, ...] | None:
    if column not in table:
        return None
    codes = np.full(n, -1)
    codes[image] = table[column].cat.codes.to_numpy()
    if (codes[image] != table[column].cat.codes.to_numpy()).any():
        raise InputError(f"'{csv}': '{column}' must be the same for all rows of an image.")
    names = [str(c) for c in table[column].cat.categories]
    return tuple(names[c] if c >= 0 else "" for c in codes)


def _labels(
    csv: Path, table: pd.DataFrame, image: Int[np.ndarray, " n"], n: int
) -> tuple[Int[np.ndarray, " image"] | None, tuple[str, ...]]:
    names = _one_per_image(csv, table, image, n, "label")
    if names is None:
        return None, ()
    classes = tuple(sorted(set(names) - {""}))
    return np.array([classes.index(name) if name else -1 for name in names]), classes
