"""The report's tables of observers, groups and conditions."""

from collections.abc import Mapping
from typing import Any

from gazetune.metrics import Metric
from gazetune.report.words import Shown, bracketed, in_question, mean_interval, number, p_value, row_name
from gazetune.tables.groups import ALL, INTERACTION

SAID = ("cc", "nss")  # in the terminal; group_tests.csv has all
Cells = tuple[str, ...]
OBSERVERS = (
    "Each map scored against each single observer: mean over observers of their means over images, ± SD between "
    "observers, [95 % t interval]."
)
OBSERVER_TESTS = (
    "Difference over pairs of an image and an observer; 95 % intervals by bootstrap over images, and over images and "
    "observers. Last: observers for whom the first scores higher."
)
GROUPS = (
    "Means by level: over observers (of their means over images) for groups of observers, over images for conditions "
    "of images; [95 % t interval]."
)
GROUP_TESTS = (
    "Within a level: paired t of first minus second. Interaction: Welch's test of whether this difference differs "
    "between levels."
)
OBSERVER_HEAD = (
    "metric", "first", "second", "images", "observers", "difference", "interval: images", "images and observers",
    "first higher (share)",
)  # fmt: skip
GROUP_HEAD = ("column", "level", "metric", "row", "n", "mean", "SD")
GROUP_TEST_HEAD = (
    "column", "test", "level", "metric", "first", "second", "n", "difference", "95 % interval", "statistic", "df", "p",
    "d",
)  # fmt: skip
Labels = Mapping[str, str]


def people_tables(
    summary: Mapping[str, Any], dataset: str, labels: Labels, metrics: Mapping[str, Metric]
) -> dict[str, list[Shown]]:
    """Heading -> tables of a data set: single observers, and groups and conditions; as far as the run has them."""
    mine = {
        kind: [r for r in summary.get(kind, []) if r["dataset"] == dataset]
        for kind in ("observers", "observer_tests", "groups", "group_tests")
    }
    tests = [_observer_test(row, labels, metrics) for row in mine["observer_tests"]]
    groups = [_group(row, labels, metrics) for row in mine["groups"]]
    group_tests = [_group_test(row, labels, metrics) for row in mine["group_tests"]]
    found = {
        "Observer by observer": [
            _observers(mine["observers"], labels, metrics),
            Shown(OBSERVER_TESTS, OBSERVER_HEAD, tests, "observer_tests.csv"),
        ],
        "Groups and conditions": [
            Shown(GROUPS, GROUP_HEAD, groups, "groups.csv", folded=True),
            Shown(GROUP_TESTS, GROUP_TEST_HEAD, group_tests, "group_tests.csv"),
        ],
    }
    return {title: kept for title, tables in found.items() if (kept := [t for t in tables if t.rows])}


def _observers(means: list[Mapping[str, Any]], labels: Labels, metrics: Mapping[str, Metric]) -> Shown:
    cells = {(row["model"], row["metric"]): row for row in means}
    chosen = [name for name in metrics if any(name == metric for _, metric in cells)]
    rows = [
        (row_name(key, labels), str(cells[key, chosen[0]]["n_observers"]), *(_mean(cells[key, m]) for m in chosen))
        for key in (dict.fromkeys(key for key, _ in cells) if chosen else ())
    ]
    return Shown(OBSERVERS, ("", "observers", *(metrics[m].heading or m for m in chosen)), rows, "observers.csv")


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
    sem = None if row["sd"] is None else row["sd"] / row["n_observers"] ** 0.5
    interval = bracketed(*mean_interval(row["mean"], sem, row["n_observers"]))
    return f"{number(row['mean'])} ± {number(row['sd'])}{interval}"


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
    mean = number(row["mean"]) + bracketed(*mean_interval(row["mean"], row["sem"], row["n"]))
    return of, row["level"], name, row_name(row["model"], labels), str(row["n"]), mean, number(row["sd"])


def _group_test(row: Mapping[str, Any], labels: Labels, metrics: Mapping[str, Metric]) -> Cells:
    is_f = row["f"] == row["f"] and row["f"] is not None
    statistic = f"F = {number(row['f'], 2)}" if is_f else f"t = {number(row['t'], 2)}"
    df = f"{number(row['df'], 0)}, {number(row['df2'], 1)}" if is_f else number(row["df"], 1)
    found = (number(row["difference"]), _interval(row["ci_low"], row["ci_high"]), statistic, df, p_value(row["p"]))
    pair = _pair(row, labels, metrics)
    return row["by"], row["test"], row["level"], *pair, str(row["n"]), *found, number(row["d"], 2)
