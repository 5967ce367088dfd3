"""The tables of a run in the terminal."""

from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table

from gazetune.report.gain import agreement_line
from gazetune.report.people import group_lines
from gazetune.report.words import answer, in_question, number, p_value, table_rows
from gazetune.tables.rows import CEILING, PRIORS, ROWS


def print_summary(summary: dict[str, Any], console: Console) -> None:
    """Print alignment, tests and accuracy of every data set of a run, and where the report lies."""
    labels, roles, metrics = summary["_labels"], summary["_roles"], summary["_metrics"]
    for dataset, about in summary["datasets"].items():
        title = f"{dataset}: means over {about['images']['test']} test images (SD: report.html)"
        table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
        rows = table_rows(summary, dataset, labels, list(metrics), spread=False)
        for name in ("", *(row[0] for row in rows)):  # models side by side: there may be many metrics
            table.add_column(name, justify="right" if name else "left", no_wrap=not name, overflow="fold")
        for i, (name, metric) in enumerate(metrics.items(), start=1):
            table.add_row(metric.heading or name, *(row[i] for row in rows))
        console.print(table)
        console.print(_tests(summary, dataset, roles, labels, metrics))
        for a in (a for a in summary.get("accuracy", []) if a["dataset"] == dataset):
            interval = f"95 % interval {a['top1_ci_low']:.1%} to {a['top1_ci_high']:.1%}"
            console.print(f"accuracy of {labels[a['model']]}: {a['top1']:.1%} of {a['n']} images ({interval})")
        for line in group_lines(summary, dataset, labels, metrics):
            console.print(line)
        console.print(answer(summary, dataset, roles, labels))
        console.print(agreement_line(summary, dataset, labels))
    console.print(f"report: {summary['_run'] / 'report.html'}", soft_wrap=True)


def _tests(summary: dict[str, Any], dataset: str, roles: Any, labels: Any, metrics: Any) -> Table:
    """The models in question against the others, the centre prior and the human ceiling; tests.csv has every pair."""
    asked = in_question(roles)
    title = "paired t-tests (all pairs: tests.csv)"
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD)
    for name in ("metric", "model", "against", "n", "difference [95 %]", "t", "p", "d"):
        table.add_column(name, justify="left" if name in ("metric", "model", "against") else "right", overflow="fold")
    rivals = {CEILING, *PRIORS, *roles}
    for t in summary["tests"]:
        if t["dataset"] == dataset and t["first"] in asked and t["second"] in rivals:
            interval = f"{number(t['difference'])} [{number(t['ci_low'])}, {number(t['ci_high'])}]"
            rival = ROWS.get(t["second"], labels.get(t["second"], t["second"]))
            name = metrics[t["metric"]].label or t["metric"]
            table.add_row(
                name,
                labels[t["first"]],
                rival,
                str(t["n"]),
                interval,
                number(t["t"], 1),
                p_value(t["p"]),
                number(t["d"], 2),
            )
    return table
