"""Lists of classes: names, synset ids and numbers, and which is which."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Int
from scipy.io import loadmat

from gazetune.errors import InputError

INDEX_COLUMNS = ("index", "wnid", "ilsvrc2012_id", "label")


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
        return unambiguous(self.names) | unambiguous(self.wnids)

    def place(self, name: str) -> int | None:
        """The index of a class by its synset id or name; None if no class, or more than one, is called so."""
        return self._place.get(name)

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


def unambiguous(names: Sequence[str]) -> dict[str, int]:
    """Places by name, without the names that stand twice: ImageNet has two classes "crane"."""
    times = Counter(names)
    return {name: i for i, name in enumerate(names) if times[name] == 1}


def read_class_index(path: str | Path) -> Classes:
    """Classes from a CSV with the columns index, wnid, ilsvrc2012_id and label, one row a class.

    Raises:
        InputError: no such file, a missing column, indices other than 0, 1, 2, ..., a class twice.
    """
    try:
        table = pd.read_csv(path, keep_default_na=False)
    except (OSError, ValueError) as reason:
        raise InputError(f"The class list '{path}' cannot be read ({reason}).") from None
    missing = [c for c in INDEX_COLUMNS if c not in table]
    if missing:
        raise InputError(f"'{path}' needs the columns {', '.join(INDEX_COLUMNS)}; missing: {', '.join(missing)}.")
    table = table.sort_values("index", ignore_index=True)
    if table["index"].tolist() != list(range(len(table))) or table["wnid"].duplicated().any():
        raise InputError(f"'{path}' must have one row for each index 0, 1, 2, ..., each with a wnid of its own.")
    return Classes(
        names=tuple(table["label"]), wnids=tuple(table["wnid"]), ilsvrc2012=tuple(map(int, table["ilsvrc2012_id"]))
    )


def read_devkit(path: str | Path) -> Classes:
    """The 1,000 classes of ImageNet from `meta.mat` of the development kit (ILSVRC2012_devkit_t12/data).

    The usual index is the place of the synset id in alphabetical order, of those that have no children (the kit also
    lists inner nodes, numbered above 1,000).

    Raises:
        InputError: no such file, or not the kit's.
    """
    try:
        synsets = np.atleast_1d(loadmat(path, squeeze_me=True)["synsets"])
        rows = [
            (str(s["WNID"]), int(s["ILSVRC2012_ID"]), str(s["words"])) for s in synsets if int(s["num_children"]) == 0
        ]
    except Exception as reason:  # a damaged .mat file makes scipy raise errors of a dozen kinds
        raise InputError(f"'{path}' is no meta.mat of the ImageNet development kit ({reason}).") from None
    wnids, numbers, names = zip(*sorted(rows), strict=True)
    return Classes(names=names, wnids=wnids, ilsvrc2012=numbers)
