"""Lists of classes: names, synset ids and numbers, and which is which."""

import re
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from jaxtyping import Int

from gazetune.data.csv_files import read_csv
from gazetune.data.matlab import read_matlab
from gazetune.documents import short
from gazetune.errors import InputError

INDEX_COLUMNS = ("index", "label")
MOST_NUMBER = 10_000_000  # of the development kit, which has 1,860
SYNSET_AND_NAME = re.compile(r"(n\d{8})(?:\s+(.*))?")


@dataclass(frozen=True)
class Classes:
    """The classes of a data set or model, in the order of their indices.

    wnids: synset ids of ImageNet such as n01440764, empty for other classes. ilsvrc2012: the numbers of the official
    development kit (from 1), which are NOT indices.
    """

    names: tuple[str, ...]
    wnids: tuple[str, ...] = ()
    ilsvrc2012: tuple[int, ...] = ()

    def __len__(self) -> int:
        return len(self.names)

    @cached_property
    def _place(self) -> dict[str, int]:
        plain = [plain_name(n) for n in self.names]
        by_name = unambiguous([first_synonym(n) for n in self.names]) | unambiguous(plain)
        return by_name | unambiguous(self.names) | unambiguous(self.wnids)

    def place(self, name: str) -> int | None:
        """The index of a class by its synset id or name; None if no class, or more than one, is called so.

        Case and _ do not count in names, and the first of several synonyms ("tench, Tinca tinca") will do.
        """
        exact = self._place.get(name)
        return self._place.get(plain_name(name)) if exact is None else exact

    def from_ilsvrc2012(self, numbers: Int[np.ndarray, " image"]) -> Int[np.ndarray, " image"]:
        """Indices of the classes with these numbers of the development kit.

        Raises:
            InputError: the classes have no such numbers, or a number is not among them.
        """
        if not self.ilsvrc2012:
            raise InputError("These classes have no development-kit numbers; needed: class_index.csv or meta.mat.")
        place = np.full(max(self.ilsvrc2012) + 1, -1, dtype=np.int64)
        place[list(self.ilsvrc2012)] = np.arange(len(self))
        inside = (numbers >= 1) & (numbers < len(place))
        found = np.where(inside, place[np.where(inside, numbers, 0)], -1)
        if (found < 0).any():
            raise InputError(
                f"No class has the development-kit number {numbers[found < 0][0]} ({(found < 0).sum()} such labels); "
                f"they run from 1 to {max(self.ilsvrc2012)}. Labels counted from 0 are indices, not these numbers."
            )
        return found


def plain_name(name: str) -> str:
    """A class name to compare by: without case, and _ is a space."""
    return " ".join(name.replace("_", " ").casefold().split())


def first_synonym(name: str) -> str:
    """The first of the names that a class has, to compare by: "tench" of "Tench, Tinca tinca"."""
    return plain_name(name.split(",")[0])


def unambiguous(names: Sequence[str]) -> dict[str, int]:
    """Places by name, without the names that stand twice: ImageNet has two classes "crane"."""
    times = Counter(names)
    return {name: i for i, name in enumerate(names) if times[name] == 1}


def read_classes(path: str | Path) -> Classes:
    """A class list by the kind of its file.

    `.mat`: the development kit's (`read_devkit`); `.csv`: `read_class_index`; `.txt`: one class a line in the order of
    the indices, with its synset id in front or without (as synset_words.txt and LOC_synset_mapping.txt of ImageNet).

    Raises:
        InputError: no such file, another kind of file, or as the readers do.
    """
    file = Path(path).expanduser()
    if file.suffix == ".mat":
        return read_devkit(file)
    if file.suffix == ".csv":
        return read_class_index(file)
    if file.suffix != ".txt":
        raise InputError(f"A class list is a .csv, a .txt or the development kit's meta.mat; got '{path}'.")
    try:
        lines = [line.strip() for line in file.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, ValueError) as reason:
        raise InputError(f"The class list '{path}' cannot be read ({reason}).") from None
    found = [SYNSET_AND_NAME.fullmatch(line) for line in lines]
    matches = [m for m in found if m]
    if not lines or (matches and len(matches) < len(lines)):
        raise InputError(
            f"'{path}' must have one class a line, all with a synset id in front or none; it has {len(lines)} lines, "
            f"{len(matches)} of them with one."
        )
    wnids = tuple(m[1] for m in matches)
    if len(set(wnids)) < len(wnids):
        raise InputError(f"'{path}' has {len(wnids) - len(set(wnids))} synset ids twice.")
    return Classes(names=tuple(m[2] or m[1] for m in matches) or tuple(lines), wnids=wnids)


def read_class_index(path: str | Path) -> Classes:
    """Classes from a CSV: index, label, and where there are wnid and ilsvrc2012_id; one row a class.

    Raises:
        InputError: no such file, a missing column, indices other than 0, 1, 2, ..., a synset id twice.
    """
    table = read_csv(path, f"The class list '{path}'", keep_default_na=False)
    missing = [c for c in INDEX_COLUMNS if c not in table]
    if missing:
        raise InputError(f"'{path}' needs the columns {', '.join(INDEX_COLUMNS)}; missing: {', '.join(missing)}.")
    with suppress(TypeError):  # numbers beside text: said below
        table = table.sort_values("index", ignore_index=True)
    wnids = tuple(map(str, table.get("wnid", ())))
    if table["index"].tolist() != list(range(len(table))) or len(set(wnids)) < len(wnids):
        raise InputError(
            f"'{path}' must have one row for each index 0, 1, 2, ..., and no synset id (column wnid) twice."
        )
    try:
        numbers = tuple(map(int, table.get("ilsvrc2012_id", ())))
        if any(not 0 < number <= MOST_NUMBER for number in numbers) or len(set(numbers)) < len(numbers):
            raise ValueError
    except (ValueError, OverflowError):
        raise InputError(
            f"'{path}': the numbers of the development kit (ilsvrc2012_id) are whole numbers above 0, each once."
        ) from None
    return Classes(names=tuple(map(str, table["label"])), wnids=wnids, ilsvrc2012=numbers)


def read_devkit(path: str | Path) -> Classes:
    """The 1,000 classes of ImageNet from `meta.mat` of the development kit (ILSVRC2012_devkit_t12/data).

    The usual index is the place of the synset id in alphabetical order, of those that have no children (the kit also
    lists inner nodes, numbered above 1,000).

    Raises:
        InputError: no such file, or not the kit's.
    """
    try:
        synsets = np.atleast_1d(read_matlab(path, squeeze_me=True)["synsets"])
        rows = [
            (str(s["WNID"]), int(s["ILSVRC2012_ID"]), str(s["words"])) for s in synsets if int(s["num_children"]) == 0
        ]
        if len({wnid for wnid, *_ in rows}) < max(1, len(rows)):
            raise ValueError("a synset id stands twice, or there is none")
    except (InputError, ValueError, KeyError, TypeError, IndexError, OverflowError) as reason:
        raise InputError(f"'{path}' is no meta.mat of the ImageNet development kit ({short(reason, 300)}).") from None
    wnids, numbers, names = zip(*sorted(rows), strict=True)
    return Classes(names=names, wnids=wnids, ilsvrc2012=numbers)
