"""A run's numbers as words and table cells: the same in the terminal and on the page."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from scipy import stats

from gazetune.metrics import Metric
from gazetune.tables.rows import CEILING, PRIORS, ROWS

NUMERIC = re.compile(r"[<>≥± +\-]*\d*\.?\d")
IN_BRACKETS = "In brackets: 95 % intervals."
ALPHA = 0.05  # what is called shown


@dataclass(frozen=True)
class Shown:
    """A table as text: what it is of, its headings (the first of a name) and its rows.

    source: the file of the run that holds its numbers and more. folded: whether the page opens it only when asked.
    """

    kind: ClassVar[str] = "table"
    title: str
    head: tuple[str, ...]
    rows: Sequence[tuple[str, ...]]
    source: str = ""
    folded: bool = False

    def is_text(self, column: int) -> bool:
        """Whether a column holds words, not numbers: it is then set from the left."""
        said = [row[column] for row in self.rows if column < len(row) and row[column] not in ("", "–")]
        return sum(NUMERIC.match(cell) is None for cell in said) * 2 > len(said)


def number(value: float | int | str | None, digits: int = 3) -> str:
    """A number as text; a dash for what could not be computed."""
    if value is None or value != value:
        return "–"
    return str(value) if isinstance(value, str) else f"{value:.{digits}f}"


def row_name(key: str, labels: Mapping[str, str]) -> str:
    """What a row is called: a model by its label, humans and priors by their names."""
    return ROWS.get(key, labels.get(key, key))


def p_value(p: float | None) -> str:
    """A p value to two digits, as a power of ten where it is small."""
    return "–" if p is None or p != p else f"{p:.3f}" if p >= 0.001 else "<1e-300" if p == 0 else f"{p:.1e}"


def table_rows(
    summary: Mapping[str, Any], dataset: str, labels: Mapping[str, str], metrics: Sequence[str], spread: bool = True
) -> list[list[str]]:
    """One row a model: its label, then the mean of each metric, ± SD with `spread`, and n where images are missing."""
    cells, shown = _cells(summary, dataset, labels, metrics)
    whole = summary["datasets"][dataset]["images"]["test"]
    return [[row_name(key, labels), *(_cell(cells.get((key, m)), spread, whole) for m in metrics)] for key in shown]


def shares(
    summary: Mapping[str, Any], dataset: str, labels: Mapping[str, str], metrics: Mapping[str, Metric]
) -> list[list[str]]:
    """For each row of `table_rows`, how much of the way from the centre prior to the human ceiling each mean has gone.

    A whole per cent; empty where a metric has no direction or the humans do not beat the prior: there is no way then.
    """
    cells, shown = _cells(summary, dataset, labels, list(metrics))
    ways = [name for name, metric in metrics.items() if _humans_beat_the_prior(cells, name, metric)]
    found = [[cells.get((key, m), {}) if m in ways else {} for m in metrics] for key in shown]
    return [[_share(cell) for cell in row] for row in found]


def _share(cell: Mapping[str, Any]) -> str:
    """A share in per cent, with its n where that is lower than the mean's."""
    share = cell.get("share_of_ceiling")
    few = f" (n = {cell['share_n']})" if cell.get("share_n", cell.get("n")) != cell.get("n") else ""
    return "" if share is None or share != share else f"{share:z.0%}{few}"


def _humans_beat_the_prior(cells: Mapping[tuple[str, str], Mapping[str, Any]], name: str, metric: Metric) -> bool:
    prior = next((cells[row, name]["mean"] for row in PRIORS if (row, name) in cells), None)
    human = cells.get((CEILING, name))
    if prior is None or human is None or metric.better == "neither":
        return False
    return human["mean"] > prior if metric.better == "higher" else human["mean"] < prior


def _cells(
    summary: Mapping[str, Any], dataset: str, labels: Mapping[str, str], metrics: Sequence[str]
) -> tuple[dict[tuple[str, str], Mapping[str, Any]], list[str]]:
    """The means of a data set by row and metric, and the rows that have any, in order."""
    cells = {(a["model"], a["metric"]): a for a in summary["alignment"] if a["dataset"] == dataset}
    return cells, [key for key in (*ROWS, *labels) if any((key, m) in cells for m in metrics)]


def _cell(found: Mapping[str, Any] | None, spread: bool, whole: int) -> str:
    if found is None:
        return "–"
    few = f" (n = {found['n']})" if found["n"] < whole else ""
    return number(found["mean"]) + (f" ± {number(found['sd'])}" if spread else "") + few


def test_between(
    summary: Mapping[str, Any], dataset: str, metric: str, first: str, second: str
) -> dict[str, Any] | None:
    """The paired test of these rows, with the difference as first minus second whichever way it was tested."""
    for t in summary["tests"]:
        if (t["dataset"], t["metric"]) == (dataset, metric) and {t["first"], t["second"]} == {first, second}:
            return t if t["first"] == first else turned(t)
    return None


def turned(test: Mapping[str, Any]) -> dict[str, Any]:
    """A paired test with first and second exchanged."""
    signs = {k: _minus(test[k]) for k in ("difference", "t", "d")}
    ends = {"ci_low": _minus(test["ci_high"]), "ci_high": _minus(test["ci_low"])}
    means = {"mean_first": test["mean_second"], "mean_second": test["mean_first"]}
    return {**test, **signs, **ends, **means, "first": test["second"], "second": test["first"]}


def _minus(value: float | str | None) -> float | str | None:
    if isinstance(value, str):  # JSON has no infinity
        return value.removeprefix("-") if value.startswith("-") else f"-{value}"
    return None if value is None else -value


def in_question(roles: Mapping[str, str]) -> list[str]:
    """The models that a run is about: the tuned ones; where nothing was tuned, all but the reference, or it alone."""
    tuned = [key for key, role in roles.items() if role == "tuned"]
    return tuned or [key for key, role in roles.items() if role == "other"] or list(roles)


def accuracy_lines(summary: Mapping[str, Any], labels: Mapping[str, str]) -> list[str]:
    """The accuracy of each training at every evaluation, where it was measured, and what was refused for it."""
    return [
        f"{row_name(key, labels)}, accuracy while it was tuned, on {_labelled(state['accuracy_on'])}: {_course(state)}"
        for key, state in summary["training"].items()
        if state.get("accuracy")
    ]


def _labelled(about: Mapping[str, Any]) -> str:
    return f"{about['name']} ({about['n']} images, {about['preprocessing']}, by {about['head']})"


def _course(state: Mapping[str, Any]) -> str:
    """`step 0 86.6 %, step 40 85.0 % (refused), ...; ...` and what it means."""
    refused, limit = set(state["refused"]), state["accuracy_on"]["max_loss"]
    steps = ", ".join(
        f"step {step} {share:.1%}{' (refused)' if int(step) in refused else ''}"
        for step, share in state["accuracy"].items()
    )
    if limit is None:
        return f"{steps}. Nothing was refused for it (no max_accuracy_loss)."
    kept = f"Kept: step {state['best_step']}, at most {limit:g} points below the start."
    return f"{steps}. {nothing_kept(state) if all_refused(state) else kept}"


def all_refused(state: Mapping[str, Any]) -> bool:
    """Whether every evaluation of a training after its start was refused for its accuracy."""
    refused = state.get("refused", [])
    return bool(refused) and len(refused) == len(state["evaluated"]) - 1


def nothing_kept(state: Mapping[str, Any]) -> str:
    """Why the start weights are the result, where every evaluation was refused."""
    about = state["accuracy_on"]
    return (
        f"every evaluation after step 0 lost more than {about['max_loss']:g} points of accuracy on {about['name']}, so "
        f"these weights are the start weights."
    )


def bracketed(low: float | None, high: float | None, digits: int = 3) -> str:
    """An interval in brackets on a line of its own, to stand below its value; empty where there is none."""
    return "" if low is None or low != low else f"\n[{number(low, digits)}, {number(high, digits)}]"


def mean_interval(mean: float | None, sem: float | None, n: int) -> tuple[float | None, float | None]:
    """The 95 % t interval of a mean over n images; nothing where there is no SEM."""
    if mean is None or sem is None or sem != sem or n < 2:
        return None, None
    half = float(stats.t.ppf(0.975, n - 1)) * sem
    return mean - half, mean + half


def is_shown(p: float | None) -> bool:
    """Whether a p value is below ALPHA; one that could not be computed is not."""
    return p is not None and p == p and p < ALPHA


def listed(words: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([*([", ".join(words[:-1])] if words[1:] else []), *words[-1:]])


def compared(p: float | None) -> str:
    """`= 0.012` or `< 1e-300`, to stand after a p."""
    text = p_value(p)
    return text.replace("<", "< ") if text.startswith("<") else f"= {text}"
