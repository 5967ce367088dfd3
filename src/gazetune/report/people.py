"""The report's tables of observers, groups and conditions."""

from collections.abc import Mapping
from typing import Any

from gazetune.metrics import Metric
from gazetune.report.words import in_question, number, p_value, row_name
from gazetune.tables.groups import ALL, INTERACTION

SAID = ("cc", "nss")  # in the terminal; group_tests.csv has all
Cells = tuple[str, ...]
Labels = Mapping[str, str]


def people(
    summary: Mapping[str, Any], dataset: str, labels: Labels, metrics: Mapping[str, Metric]
) -> dict[str, list[Cells]]:
    """Rows of four tables of a data set: means over observers, tests over observers, groups, tests of groups."""
    mine = {
        kind: [r for r in summary.get(kind, []) if r["dataset"] == dataset]
        for kind in ("observers", "observer_tests", "groups", "group_tests")
    }
    shown = {row["metric"] for row in mine["observers"]}
    rows = dict.fromkeys(row["model"] for row in mine["observers"])
    means = {(row["model"], row["metric"]): row for row in mine["observers"]}
    chosen = [metric for metric in metrics if metric in shown]
    return {
        "metrics": [(metrics[m].heading or m,) for m in chosen],
        "observers": [(row_name(key, labels), *(_mean(means[key, m]) for m in chosen)) for key in rows],
        "observer_tests": [_observer_test(row, labels, metrics) for row in mine["observer_tests"]],
        "groups": [_group(row, labels, metrics) for row in mine["groups"]],
        "group_tests": [_group_test(row, labels, metrics) for row in mine["group_tests"]],
    }


def group_lines(
    summary: Mapping[str, Any], dataset: str, labels: Labels, roles: Mapping[str, str], metrics: Mapping[str, Metric]
) -> list[str]:
    """One sentence per column and model in question: its CC and NSS against the reference's, between levels.

    group_tests.csv has every pair and metric, and p corrected over the metrics.
    """
    lines = []
    reference = {key for key, role in roles.items() if role == "reference"}
    for row in summary.get("group_tests", []):
        if row["dataset"] != dataset or row["test"] != INTERACTION or row["metric"] not in SAID:
            continue
        if row["first"] in in_question(roles) and row["second"] in reference:
            pair = f"{labels[row['first']]} against {labels[row['second']]}"
            name = metrics[row["metric"]].label or row["metric"]
            lines.append(
                f"{row['by']}, {name} of {pair}: {_words(row)}, uncorrected p = {p_value(row['p'])} (n = {row['n']})"
            )
    return lines


def _words(row: Mapping[str, Any]) -> str:
    if row["level"] == ALL:
        return f"differs between levels by F({number(row['df'], 0)}, {number(row['df2'], 1)}) = {number(row['f'], 2)}"
    interval = f"95 % interval {number(row['ci_low'])} to {number(row['ci_high'])}"
    return f"{row['level']} = {number(row['difference'])}, {interval}"


def _mean(row: Mapping[str, Any]) -> str:
    return f"{number(row['mean'])} ± {number(row['sd'])}"


def _interval(low: float | None, high: float | None) -> str:
    return f"{number(low)} to {number(high)}"


def _pair(row: Mapping[str, Any], labels: Labels, metrics: Mapping[str, Metric]) -> Cells:
    name = metrics[row["metric"]].label or row["metric"]
    return name, row_name(row["first"], labels), row_name(row["second"], labels)


def _observer_test(row: Mapping[str, Any], labels: Labels, metrics: Mapping[str, Metric]) -> Cells:
    images, both = (_interval(row[f"boot_{k}_low"], row[f"boot_{k}_high"]) for k in ("images", "both"))
    size = (str(row["n_images"]), str(row["n_observers"]))
    higher = f"{row['n_higher']} ({number(row['share_higher'], 2)})"
    return *_pair(row, labels, metrics), *size, number(row["difference"]), images, both, higher


def _group(row: Mapping[str, Any], labels: Labels, metrics: Mapping[str, Metric]) -> Cells:
    name = metrics[row["metric"]].label or row["metric"]
    of = f"{row['by']} ({row['unit']}s)"
    return of, row["level"], name, row_name(row["model"], labels), str(row["n"]), number(row["mean"]), number(row["sd"])


def _group_test(row: Mapping[str, Any], labels: Labels, metrics: Mapping[str, Metric]) -> Cells:
    is_f = row["f"] == row["f"] and row["f"] is not None
    statistic = f"F = {number(row['f'], 2)}" if is_f else f"t = {number(row['t'], 2)}"
    df = f"{number(row['df'], 0)}, {number(row['df2'], 1)}" if is_f else number(row["df"], 1)
    found = (number(row["difference"]), _interval(row["ci_low"], row["ci_high"]), statistic, df, p_value(row["p"]))
    pair = _pair(row, labels, metrics)
    return row["by"], row["test"], row["level"], *pair, str(row["n"]), *found, number(row["d"], 2)
