"""What tuning cost: the accuracy of a model against the reference's, in words, data set by data set."""

from collections.abc import Mapping, Sequence
from typing import Any

from gazetune.report.parity import as_factor, as_points, compared_rows, head_note, margin_of
from gazetune.report.words import compared, is_shown, listed, row_name

Summary = Mapping[str, Any]
Labels = Mapping[str, str]
Row = Mapping[Any, Any]
Part = tuple[str, str]
UNDECIDED = "undecided"
UNKNOWN = (
    "What it cost in accuracy was not measured:",
    "no labelled images were classified with both models (gazetune parity RUN --data KIND=PATH).",
)


def cost(summary: Summary, model: str, reference: str, labels: Labels) -> list[Part]:
    """The verdict on each labelled data set (and head) that both models classified, and the numbers; or that none was.

    A loss or a gain is one where p < .05; no loss beyond the margin is one that TOST shows (p < .05).
    """
    rows = _rows(summary, model, reference)
    if not rows:
        return [UNKNOWN]
    verdicts = [f"{_word(row)} on {row['dataset']}{head_note(row)}{_open(row)}" for row in rows]
    return [(f"Cost: {listed(verdicts)}:", "; ".join(_numbers(row, labels) for row in rows) + ".")]


def cost_of_all(summary: Summary, models: Sequence[str], reference: str, labels: Labels) -> list[Part]:
    """The same for each of several models, by name; empty where nothing was classified."""
    parts = []
    for model in models:
        for row in _rows(summary, model, reference):
            pair = f"{row_name(model, labels)} against {row_name(reference, labels)} on {row['dataset']}"
            parts.append((f"{pair}{head_note(row)}: {_word(row)}{_open(row)}:", _numbers(row, labels) + "."))
    return parts


def _rows(summary: Summary, model: str, reference: str) -> list[Row]:
    sets = dict.fromkeys(row["dataset"] for row in summary.get("parity") or [])
    rows = [row for name in sets for row in compared_rows(summary, name)]
    return [r for r in rows if (r["first"], r["second"]) == (model, reference)]


def _word(row: Row) -> str:
    within, same = margin_of(row), is_shown(row["tost_p"])
    if is_shown(row["p"]) and row["difference"] < 0:
        return f"accuracy fell, by less than {within}," if same else "accuracy fell"
    if is_shown(row["p"]) and row["difference"] > 0:
        return "accuracy rose"
    return f"no loss beyond {within}" if same else UNDECIDED


def _open(row: Row) -> str:
    """What undecided means."""
    return f" (neither a change nor equality within {margin_of(row)} is shown)" if _word(row) == UNDECIDED else ""


def _numbers(row: Row, labels: Labels) -> str:
    shares = f"{row['accuracy_first']:.1%} against {row['accuracy_second']:.1%} of {row_name(row['second'], labels)}"
    change = f"{as_points(row['difference'])} points [{as_points(row['ci_low'])}, {as_points(row['ci_high'])}]"
    factor = f"BF01 = {as_factor(row['bf01_jzs'])} of at most {as_factor(row['ceiling_jzs'])}"
    return (
        f"top-1 {shares} ({change}, n = {row['n']:,}, p {compared(row['p'])}; {factor}, {row['evidence_jzs']}; "
        f"equivalence within {margin_of(row)}: p {compared(row['tost_p'])})"
    )
