"""What a measurement of the bench suite says: one row of its table, kept as JSON.

A script of this folder measures in pairs, ours and the reference in turn in one process, and gives its rows to `kept`;
bench/suite.py runs all scripts and prints their rows as one table.
"""

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np


@dataclass(frozen=True)
class Row:
    """One measurement: `value` is what is judged, a ratio or a share, with the quartiles of its repetitions."""

    item: str
    against: str
    ours: float  # medians, in `unit`; NaN where there is nothing to set beside it
    theirs: float
    unit: str
    value: float
    low: float
    high: float
    n: int
    at_least: float | None = None
    at_most: float | None = None
    aim: bool = False  # its bounds are aims known to be out of reach (and documented), which no run fails for

    @property
    def holds(self) -> bool | None:
        """Whether the value keeps its bounds; None where it has none."""
        if self.at_least is None and self.at_most is None:
            return None
        return (self.at_least is None or self.value >= self.at_least) and (
            self.at_most is None or self.value <= self.at_most
        )


def paired(
    item: str,
    against: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    *,
    unit: str = "ms",
    at_least: float | None = None,
    at_most: float | None = None,
    slower: bool = False,
    aim: bool = False,
) -> Row:
    """The row of n pairs of times: theirs / ours (how many times as fast), or with `slower` ours / theirs.

    The value is the median of the n ratios, pair by pair.
    """
    a, b = np.asarray(ours, float), np.asarray(theirs, float)
    low, middle, high = (float(q) for q in np.quantile(a / b if slower else b / a, [0.25, 0.5, 0.75]))
    mine, other = float(np.median(a)), float(np.median(b))
    return Row(item, against, mine, other, unit, middle, low, high, len(a), at_least, at_most, aim)


def measured(
    item: str,
    against: str,
    values: Sequence[float],
    unit: str,
    *,
    at_least: float | None = None,
    at_most: float | None = None,
) -> Row:
    """The row of something with no counterpart beside it: the value is the median of `values` itself, in `unit`.

    `against` says where its bound comes from, or what it was checked with.
    """
    low, middle, high = (float(q) for q in np.quantile(np.asarray(values, float), [0.25, 0.5, 0.75]))
    return Row(item, against, middle, float("nan"), unit, middle, low, high, len(values), at_least, at_most)


def rows_option(parser: argparse.ArgumentParser) -> None:
    """The option by which the suite asks a script for its rows."""
    parser.add_argument("--rows", type=Path, metavar="FILE", help="also keep the table's rows as JSON in FILE")


def kept(rows: Sequence[Row], path: Path | None) -> None:
    """Write `rows` to `path`, if one was asked for."""
    if path is not None:
        path.write_text(json.dumps([asdict(row) for row in rows], indent=1) + "\n")


def read(path: Path) -> list[Row]:
    """The rows that `kept` wrote."""
    return [Row(**row) for row in json.loads(path.read_text())]
