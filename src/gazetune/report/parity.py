"""Is a model as good a classifier as the reference? In words and as table cells."""

from collections.abc import Mapping
from typing import Any

from gazetune.report.words import number, p_value, row_name

HEAD = (
    "model", "n", "difference, points", "95 % interval", "t", "p", "BF01, r = √2/2 (ceiling)", "BF01, r = 1 (ceiling)",
    "BF01, unit (ceiling)", "in words", "only reference right", "only model right", "McNemar p", "TOST p", "note",
)  # fmt: skip


def parity_lines(summary: Mapping[str, Any], dataset: str, labels: Mapping[str, str]) -> list[str]:
    """One sentence a model: the difference of accuracies, and the evidence for and against equality."""
    lines = []
    for row in (r for r in summary.get("parity", []) if r["dataset"] == dataset and r["difference"] is not None):
        pair = f"{row_name(row['first'], labels)} against {row_name(row['second'], labels)}"
        change = f"{_points(row['difference'])} points ({_interval(row)}), n = {row['n']}"
        factor = f"BF01 = {_factor(row['bf01_jzs'])} of at most {_factor(row['ceiling_jzs'])}: {row['evidence_jzs']}"
        margin = f"{100 * row['margin']:g} point{'' if row['margin'] == 0.01 else 's'}"
        same = f"equivalent within {margin}: p {_p(row['tost_p'])}"
        lines.append(f"{pair}: {change}; {factor}; {same}")
    return lines


def parity_rows(summary: Mapping[str, Any], dataset: str, labels: Mapping[str, str]) -> list[tuple[str, ...]]:
    """One row a model against the reference, under HEAD."""
    rows = []
    for row in (r for r in summary.get("parity", []) if r["dataset"] == dataset):
        factors = [
            f"{_factor(row[f'bf01_{scale}'])} ({_factor(row[f'ceiling_{scale}'])})"
            for scale in ("jzs", "jzs_r1", "unit")
        ]
        rows.append(
            (
                row_name(row["first"], labels), str(row["n"]), _points(row["difference"]), _interval(row),
                number(row["t"], 2), p_value(row["p"]), *factors, str(row["evidence_jzs"]),
                str(row["only_second"]), str(row["only_first"]), p_value(row["mcnemar_p"]), p_value(row["tost_p"]),
                row["reason"] or "",
            )
        )  # fmt: skip
    return rows


def _points(share: float | None) -> str:
    return "–" if share is None or share != share else f"{100 * share:+.1f}"


def _interval(row: Mapping[str, Any]) -> str:
    return f"{_points(row['ci_low'])} to {_points(row['ci_high'])}"


def _factor(value: float | str | None) -> str:
    return "–" if value is None or value != value else str(value) if isinstance(value, str) else f"{value:.3g}"


def _p(value: float | None) -> str:
    return f"= {p_value(value)}"
