"""Images and labels from a CSV."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from gazetune.data.classes import Classes
from gazetune.data.csv_files import read_csv
from gazetune.data.labelled import Labelled, existing_folder, some
from gazetune.documents import short
from gazetune.errors import InputError
from gazetune.files import sha256_file

LABEL_COLUMNS, FILE_COLUMNS = ("index", "wnid", "label"), ("file", "path", "image")


def load_label_table(csv: str | Path, images: str | Path | None = None, classes: Classes | None = None) -> Labelled:
    """Images and labels from a CSV: a column `file` (or `path`, `image`) and one of `index`, `wnid`, `label`.

    Args:
        csv: paths are relative to `images`; by default the folder `images` beside the CSV, or the CSV's own.
        classes: the known classes; needed for `index` and `wnid`. Without, the labels in alphabetical order.

    Raises:
        InputError: a missing file or column, an index out of range, a label that is no known class.
    """
    table_path = Path(csv).expanduser()
    table = label_table(table_path)
    files = next((c for c in FILE_COLUMNS if c in table), None)
    column = next((c for c in LABEL_COLUMNS if c in table and (classes or c == "label")), None)
    if files is None or column is None or table.empty:
        raise InputError(
            f"'{csv}' needs rows with the columns file and label, or, with a class list, wnid or index; it has "
            f"{len(table)} rows with {', '.join(table.columns)}."
        )
    empty = np.flatnonzero(table[column].str.strip() == "")
    if len(empty):
        raise InputError(f"{len(empty)} rows of '{csv}' have no {column}, the first is line {empty[0] + 2}.")
    known = classes or Classes(names=tuple(sorted(set(table[column]))))
    beside = table_path.parent / "images"
    folder = existing_folder(images if images is not None else beside if beside.is_dir() else table_path.parent)
    paths = [folder / name for name in table[files]]
    absent = [short(p.name) for p in paths if not _is_file(p)]
    if absent:
        raise InputError(f"{len(absent)} of {len(paths)} images of '{csv}' are not there: {some(absent)}.")
    places = [_index(x, len(known)) if column == "index" else known.place(x) for x in table[column]]
    wrong = [label for label, place in zip(table[column], places, strict=True) if place is None]
    if wrong:
        raise InputError(
            f"{len(wrong)} rows of '{csv}' have a {column} that is none of the {len(known)} classes"
            f"{f' (0 to {len(known) - 1})' if column == 'index' else ''}: {some(list(dict.fromkeys(wrong)))}."
        )
    _check_agreement(table_path, table, column, [p for p in places if p is not None], known)
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


def label_table(csv: Path) -> pd.DataFrame:
    """A CSV as text, as it stands. Raises InputError if it cannot be read."""
    return read_csv(csv, keep_default_na=False, dtype=str)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):  # a name that no file can have
        return False


def _check_agreement(csv: Path, table: pd.DataFrame, column: str, places: Sequence[int], known: Classes) -> None:
    """Raises InputError where another column of a row names another class of the list."""
    for other in (c for c in ("wnid", "label") if c in table and c != column):
        also = [known.place(x) for x in table[other]]
        wrong = [i for i, (a, b) in enumerate(zip(places, also, strict=True)) if b is not None and a != b]
        if wrong:
            i = wrong[0]
            raise InputError(
                f"The labels of '{csv}' do not match the class list ({len(wrong)} rows, the first in line {i + 2}): "
                f"{column} '{table[column][i]}' is class {places[i]} ('{known.names[places[i]]}'), {other} "
                f"'{table[other][i]}' is class {also[i]}. Is it the list for these labels?"
            )


def _index(text: str, n: int) -> int | None:
    known = len(text) < 10 and text.strip().isdecimal() and int(text) < n
    return int(text) if known else None
