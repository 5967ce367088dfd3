"""Groups of observers and conditions of images, as a column of a study's table names them (`--by COLUMN`)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import pandas as pd

from gazetune.errors import InputError
from gazetune.progress import say

MOST_LEVELS = 20  # more is a number such as an age, or a name

Unit = Literal["image", "observer"]


@dataclass(frozen=True)
class Levels:
    """A column's value for each unit: conditions of images by image id, or groups of observers by observer name.

    A unit whose cell is empty is not in `of`.
    """

    unit: Unit
    of: Mapping[str, str]


def read_levels(csv: str, table: pd.DataFrame, columns: Sequence[str], reserved: Sequence[str]) -> dict[str, Levels]:
    """The levels of each column of a table of fixations (image, observer and the columns as categories of text).

    A column that is the same for all rows of an image is a condition of images; else one that is the same for all rows
    of an observer is a group of observers. `csv` names the table in messages; `reserved`: columns with another use.

    Raises:
        InputError: no such column, a reserved one, one that is constant within neither images nor observers, or one
            without 2 to 20 levels.
    """
    return {column: _levels(csv, table, column, reserved) for column in columns}


def _levels(csv: str, table: pd.DataFrame, column: str, reserved: Sequence[str]) -> Levels:
    if column not in table:
        free = [str(c) for c in table.columns if c not in reserved]
        raise InputError(f"--by {column}: '{csv}' has no such column. There are: {', '.join(free)}.")
    if column in reserved:
        raise InputError(f"--by {column}: this column has another use. Name one that holds a group or a condition.")
    mixed: list[str] = []
    fitting: list[Levels] = []
    for unit in ("image", "observer"):
        seen = table[[unit, column]].drop_duplicates().astype(str)
        twice = seen[seen[unit].duplicated()]
        if len(twice):
            name = twice[unit].iloc[0]
            two = seen.loc[seen[unit] == name, column].iloc[:2]
            mixed.append(f"{unit} '{name}' has {' and '.join(map(repr, two))}")
        else:
            named = seen[seen[column] != ""]
            fitting.append(Levels(unit, dict(zip(named[unit], named[column], strict=True))))
    if not fitting:
        raise InputError(
            f"--by {column}: in '{csv}' it is neither a condition of images ({mixed[0]}) nor a group of observers "
            f"({mixed[1]}). If an image was shown in several versions, give each a file name of its own."
        )
    number = len(set(fitting[0].of.values()))
    if not 2 <= number <= MOST_LEVELS:
        raise InputError(
            f"--by {column}: needed 2 to {MOST_LEVELS} levels, '{csv}' has {number}. Put numbers into classes first."
        )
    if len(fitting) == 2:
        say(f"note: '{column}' is constant within images and within observers; taken as a condition of images")
    return fitting[0]
