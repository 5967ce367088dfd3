"""The tables of a run in the terminal."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gazetune.report.answer import Asked, answer, as_text
from gazetune.report.biases import bias_tables
from gazetune.report.explorer import EXPLORER
from gazetune.report.gain import agreement_line
from gazetune.report.methods import gain_table, left_out_lines, method_table
from gazetune.report.parity import classified, parity_lines, parity_tables, preprocessing
from gazetune.report.people import group_lines
from gazetune.report.words import (
    accuracy_lines,
    in_question,
    number,
    p_value,
    row_name,
    table_rows,
    test_between,
)
from gazetune.run import Run
from gazetune.tables.changes import read_changes
from gazetune.tables.rows import CEILING, PRIORS

CLASSES = 3  # of a model, those with the largest changes
MANY_ROWS = 12  # more do not stand side by side


def print_summary(summary: dict[str, Any], console: Console) -> None:
    """Print alignment, tests and accuracy of every data set of a run, and where the report lies."""
    labels, roles, metrics = summary["_labels"], summary["_roles"], summary["_metrics"]
    for dataset, about in summary["datasets"].items():
        title = f"{dataset}: means over {about['images']['test']} test images (SD: report.html)"
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        rows = table_rows(summary, dataset, labels, list(metrics), spread=False)
        across = [[metric.heading or name for name, metric in metrics.items()], *(row[1:] for row in rows)]
        lines = list(zip(*across, strict=True))  # models side by side: there may be many metrics
        head = ["", *(row[0] for row in rows)]
        if len(rows) > MANY_ROWS:
            head, lines = ["", *across[0]], [tuple(row) for row in rows]
        for name in head:
            table.add_column(name, justify="right" if name else "left", no_wrap=not name, overflow="fold")
        for cells in lines:
            table.add_row(*cells)
        console.print(table)
        for tests in _tests(summary, dataset, roles, labels, metrics):
            console.print(tests)
        _print_methods(summary, dataset, labels, roles, console)
        for line in group_lines(summary, dataset, labels, roles, metrics):
            console.print(line)
        console.print(as_text(answer(Asked(summary, roles, labels, metrics), dataset)), markup=False)
        console.print(agreement_line(summary, dataset, labels))
    for line in accuracy_lines(summary, labels):
        console.print(line, markup=False)
    _classification(summary, console, {})
    if (summary["_run"] / EXPLORER).is_file():
        console.print(f"every image: {summary['_run'] / EXPLORER}", soft_wrap=True)
    console.print(f"report: {summary['_run'] / 'report.html'}", soft_wrap=True)


def print_classification(summary: dict[str, Any], console: Console) -> None:
    """Print accuracies, comparisons and changes of every data set with labels, and where all of them lie."""
    if not classified(summary):
        console.print("No data set of this run was classified: its images have no labels, or its models no head.")
    changes = read_changes(Run(summary["_run"])) if summary.get("parity") else {}
    _classification(summary, console, changes)
    lie = ", ".join(str(summary["_run"] / f"parity{part}.csv") for part in ("", "_classes"))
    console.print(f"every number: {lie}; report: {summary['_run'] / 'report.html'}", soft_wrap=True, markup=False)


def _classification(summary: dict[str, Any], console: Console, changes: Mapping[str, pd.DataFrame]) -> None:
    labels = summary["_labels"]
    for dataset in classified(summary):
        console.print(f"Classification: {dataset}", style="bold", markup=False)
        for line in [*preprocessing(summary, dataset, labels), *parity_lines(summary, dataset, labels)]:
            console.print(line, markup=False)
        for shown in parity_tables(summary, dataset, labels, changes, CLASSES):
            console.print(_table(shown.title, shown.head, shown.rows))


def _table(title: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A table whose cells are text as it stands: a class may be called [red]."""
    table = Table(title=Text(title), title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for place, name in enumerate(head):
        table.add_column(Text(name), justify="right" if place else "left", overflow="fold")
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def _print_methods(
    summary: dict[str, Any], dataset: str, labels: dict[str, str], roles: dict[str, str], console: Console
) -> None:
    head, rows = method_table(summary, dataset, labels, interval=False)
    if not rows:
        return
    title = f"{dataset}: means by attention method (intervals: methods.csv; tests: method_tests.csv)"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for place, name in enumerate(head):
        table.add_column(name, justify="right" if place > 1 else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)
    reference = next(key for key, role in roles.items() if role == "reference")
    for key in in_question(roles):
        head, rows = gain_table(summary, dataset, labels, key, reference)
        if rows:
            over = f"{labels[key]} minus {labels[reference]} by method: difference ± half its 95 % interval, p"
            console.print(_table(f"{over} (of the paired t; all: method_tests.csv)", head, rows))
    for line in left_out_lines(summary, dataset, labels):
        console.print(line, markup=False)


def print_biases(summary: dict[str, Any], console: Console) -> None:
    """Print the tables of the bias analyses of every data set that has objects."""
    found = False
    for dataset in summary["datasets"]:
        for shown in bias_tables(summary, dataset, summary["_labels"], brief=True):
            table = Table(
                title=f"{dataset}, {shown.title}", title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0)
            )
            for name in shown.head:
                table.add_column(name, justify="right" if name else "left", overflow="fold")
            for row in shown.rows:
                table.add_row(*row)
            console.print(table)
            found = True
    if not found:
        console.print(
            "No data set of this run has annotated objects: give one with --data, for example salicon=FOLDER."
        )
    console.print(
        f"every test: {summary['_run'] / 'bias_tests.csv'}; report: {summary['_run'] / 'report.html'}", soft_wrap=True
    )


def _tests(summary: dict[str, Any], dataset: str, roles: Any, labels: Any, metrics: Any) -> list[Table]:
    """Each model in question against the others, the centre prior and the human ceiling; tests.csv has every pair."""
    tables = []
    for key in in_question(roles):
        found = {(m, r): test_between(summary, dataset, m, key, r) for m in metrics for r in (CEILING, *PRIORS, *roles)}
        rivals = list(dict.fromkeys(r for (_, r), test in found.items() if test is not None and r != key))
        title = (
            f"{labels[key]} minus ...: difference ± half its 95 % interval, p of the paired t (all pairs: tests.csv)"
        )
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in ("", *(row_name(r, labels) for r in rivals)):
            table.add_column(name, justify="right" if name else "left", overflow="fold")
        for name, metric in metrics.items():
            table.add_row(metric.heading or name, *(_difference(found[name, r]) for r in rivals))
        tables += [table] if rivals else []
    return tables


def _difference(test: dict[str, Any] | None) -> str:
    if test is None or test["difference"] is None:
        return "–"
    half = number(None if test["ci_low"] is None else (test["ci_high"] - test["ci_low"]) / 2)
    return f"{test['difference']:+.3f} ±{half} {p_value(test['p'])}"
