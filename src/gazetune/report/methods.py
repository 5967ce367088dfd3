"""The table of models by attention methods, for page and terminal."""

from collections.abc import Mapping
from typing import Any

from gazetune.attention import METHODS
from gazetune.report.words import number, row_name

SHOWN = {  # metric -> what its column is called
    "cc": "CC ↑",
    "nss": "NSS ↑",
    "sauc": "sAUC ↑",
    "deletion": "deletion ↓",
    "insertion": "insertion ↑",
    "deletion_gain": "deletion: below random",
    "insertion_gain": "insertion: above random",
}


def method_table(
    summary: Mapping[str, Any], dataset: str, labels: Mapping[str, str], interval: bool = True
) -> tuple[list[str], list[list[str]]]:
    """Headings and rows, one a method and model: n, and each mean with its 95 % interval; no rows where none was asked.

    Rows are grouped by method. interval: False leaves the intervals out.
    """
    found = [row for row in summary.get("methods", []) if row["dataset"] == dataset]
    cells = {(row["attention"], row["model"], row["metric"]): row for row in found}
    columns = [name for name in SHOWN if any(name == metric for *_, metric in cells)]
    rows = []
    for method, key in dict.fromkeys((method, key) for method, key, _ in cells):
        of = [cells.get((method, key, name)) for name in columns]
        n = max(row["n"] for row in of if row) if any(of) else 0
        name = METHODS[method].label or method if method in METHODS else method
        rows.append([name, row_name(key, labels), str(n), *(_cell(row, n, interval) for row in of)])
    return ["method", "model", "n", *(SHOWN[name] for name in columns)], rows


def _cell(row: Mapping[str, Any] | None, n: int, interval: bool) -> str:
    if row is None:
        return "–"
    few = f" (n = {row['n']})" if row["n"] < n else ""
    ends = f" [{number(row['ci_low'])}, {number(row['ci_high'])}]" if interval else ""
    return number(row["mean"]) + ends + few
