"""The table of models by attention methods, for page and terminal, and what is gained by each."""

from collections.abc import Iterator, Mapping
from typing import Any

from gazetune.faithfulness import AREAS
from gazetune.report.words import number, p_value, row_name, turned

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

    Rows are grouped by method, which is called as --attention calls it. interval: False leaves the intervals out.
    """
    found = [row for row in summary.get("methods", []) if row["dataset"] == dataset]
    cells = {(row["attention"], row["model"], row["metric"]): row for row in found}
    columns = [name for name in SHOWN if any(name == metric for *_, metric in cells)]
    rows = []
    methods, keys = dict.fromkeys(method for method, *_ in cells), [*labels, *(key for _, key, _ in cells)]
    there = {(method, key) for method, key, _ in cells}
    for method, key in ((method, key) for method in methods for key in dict.fromkeys(keys) if (method, key) in there):
        of = [cells.get((method, key, name)) for name in columns]
        n = max(row["n"] for row in of if row) if any(of) else 0
        rows.append([method, row_name(key, labels), str(n), *(_cell(row, n, interval) for row in of)])
    return ["method", "model", "n", *(SHOWN[name] for name in columns)], rows


def gain_table(
    summary: Mapping[str, Any], dataset: str, labels: Mapping[str, str], first: str, second: str
) -> tuple[list[str], list[list[str]]]:
    """Headings and rows, one a method: n, and what one model has over another in each metric ± half its interval, p."""
    found: dict[str, dict[str, Mapping[str, Any]]] = {}
    for test in summary.get("method_tests", []):
        if test["dataset"] == dataset and {test["first"], test["second"]} == {first, second}:
            by = found.setdefault(test["attention"], {})
            by[test["metric"]] = test if test["first"] == first else turned(test)
    columns = [name for name in SHOWN if name not in AREAS and any(name in by for by in found.values())]
    rows = [
        [method, str(max(test["n"] for test in by.values())), *(_gain(by.get(name)) for name in columns)]
        for method, by in found.items()
        if any(name in by for name in columns)
    ]
    return ["method", "n", *(SHOWN[name] for name in columns)], rows


def left_out_lines(summary: Mapping[str, Any], dataset: str, labels: Mapping[str, str]) -> Iterator[str]:
    """A line for each model and method that lacks images of the data set, with the reason."""
    seen = set()
    for row in summary.get("methods", []):
        which = (row["model"], row["attention"])
        if row["dataset"] == dataset and row.get("reason") and which not in seen:
            seen.add(which)
            yield f"{row_name(row['model'], labels)} by {row['attention']}: n = {row['n']}; left out: {row['reason']}"


def _gain(test: Mapping[str, Any] | None) -> str:
    if test is None or test["difference"] is None:
        return "–"
    half = number(None if test["ci_low"] is None else (test["ci_high"] - test["ci_low"]) / 2)
    return f"{test['difference']:+.3f} ±{half} {p_value(test['p'])}"


def _cell(row: Mapping[str, Any] | None, n: int, interval: bool) -> str:
    if row is None:
        return "–"
    few = f" (n = {row['n']})" if row["n"] < n else ""
    ends = f" [{number(row['ci_low'])}, {number(row['ci_high'])}]" if interval else ""
    return number(row["mean"]) + ends + few
