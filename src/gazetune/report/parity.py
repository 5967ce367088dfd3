"""Is a model as good a classifier as the reference? In words and as table cells, for terminal and page."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from gazetune.parity.compare import IMAGE, PREDICTION
from gazetune.report.words import Shown, number, p_value, row_name
from gazetune.tables.changes import CLASS, CORRUPTION, OWN, PAIR, counted, head_name

Summary = Mapping[str, Any]
Labels = Mapping[str, str]
Row = Mapping[Any, Any]
Changes = Mapping[str, pd.DataFrame]  # CORRUPTION, CLASS -> rows of tables.changes
FACTORS = {"jzs": "r = √2/2", "jzs_r1": "r = 1", "unit": "unit"}
SHOWN = 0.05  # the p below which equivalence is called shown
NAMED = 5  # of the images that were left out
LARGEST = 10  # classes of a model; parity_classes.csv has all
SIDE_BY_SIDE = 4  # comparisons with the reference
AGAINST = (
    "Against the reference, image by image. BF01 above 1 speaks for equality; the ceiling is what it can reach at this "
    "n (t = 0). TOST: p of the test that the difference lies within the margin. Formulas and caveats: docs/parity.md."
)
POOLED = "predictions of one image are not independent: read the row of images"
ACCURACY = ("model", "head", "n", "top-1", "95 % interval", "top-5")
PARITY = (
    "model", "head", "unit", "n", "accuracy", "of reference", "difference, points", "95 % interval", "t", "p",
    *(f"BF01, {name} (ceiling)" for name in FACTORS.values()), "in words", "only reference right", "only model right",
    "McNemar p", "TOST p (margin)", "design effect", "effective n", "note",
)  # fmt: skip
CHANGE = ("model", "head", "n", "of reference", "accuracy", "change, points", "95 % interval", "p (Holm)")


def classified(summary: Summary) -> list[str]:
    """The data sets of which there is an accuracy, a comparison, or a reason for having none."""
    found = (row["dataset"] for part in ("accuracy", "parity", "parity_not_run") for row in summary.get(part) or [])
    return list(dict.fromkeys(found))


def parity_lines(summary: Summary, dataset: str, labels: Labels) -> list[str]:
    """One sentence a model and head: the difference of accuracies, and the evidence for and against equality.

    Of the rows over images where there are several predictions of one. Then what was not run, and why.
    """
    lines = []
    for row in compared_rows(summary, dataset):
        pair = f"{row_name(row['first'], labels)} against {row_name(row['second'], labels)}{head_note(row)}"
        change = f"{as_points(row['difference'])} points ({interval_of(row)}), n = {row['n']}"
        factor = (
            f"BF01 = {as_factor(row['bf01_jzs'])} of at most {as_factor(row['ceiling_jzs'])}: {row['evidence_jzs']}"
        )
        shown = "shown" if (row["tost_p"] or 1) < SHOWN else "not shown"
        same = f"equivalence within {margin_of(row)} {shown} (p = {p_value(row['tost_p'])})"
        lines.append(f"{pair}: {change}; {factor}; {same}")
    return [*lines, *left_out(summary, dataset), *not_run(summary, dataset, labels)]


def compared_rows(summary: Summary, dataset: str) -> list[Row]:
    """The comparisons of a data set that are read: over images where several predictions are of one."""
    rows = [r for r in of_set(summary, "parity", dataset) if r["difference"] is not None]
    over_images = {_pair(r) for r in rows if r["unit"] == IMAGE}
    return [r for r in rows if r["unit"] == IMAGE or _pair(r) not in over_images]


def left_out(summary: Summary, dataset: str) -> list[str]:
    """How many predictions are missing and why, the first few by name."""
    about = summary.get("classified", {}).get(dataset, {})
    missing = about.get("missing", {})
    if not missing:
        return []
    named = "; ".join(f"{image}: {why}" for image, why in list(missing.items())[:NAMED])
    more = f"; and {len(missing) - NAMED} more" if len(missing) > NAMED else ""
    what = "predictions" if about["corruptions"] else "images"
    return [f"{len(missing)} of {about['images'] * about['copies']} {what} left out: {named}{more}"]


def not_run(summary: Summary, dataset: str, labels: Labels) -> list[str]:
    """What was not run, and why."""
    return [
        f"{row_name(r['model'], labels)}: not run: {r['reason']}" for r in of_set(summary, "parity_not_run", dataset)
    ]


def preprocessing(summary: Summary, dataset: str, labels: Labels) -> list[str]:
    """How the images came to the models: once, or model by model where they differ."""
    said: dict[str, list[str]] = {}
    for row in of_set(summary, "accuracy", dataset):
        if row.get("preprocessing"):
            said.setdefault(row["preprocessing"], []).append(row_name(row["model"], labels))
    if len(said) == 1:
        return [f"Preprocessing: {next(iter(said))}."]
    return [f"Preprocessing of {', '.join(dict.fromkeys(names))}: {text}." for text, names in said.items()]


def parity_tables(
    summary: Summary, dataset: str, labels: Labels, changes: Changes, largest: int = LARGEST
) -> list[Shown]:
    """Accuracies, the comparison with the reference, changes by corruption, and the largest by class of each model."""
    rows = of_set(summary, "parity", dataset)
    over_images = {_pair(r) for r in rows if r["unit"] == IMAGE}
    sharp = " (too narrow here: several predictions are of one image)" if over_images else ""
    shown = [
        Shown(
            f"Top-1 accuracy with Wilson's 95 % interval{sharp}.",
            ACCURACY,
            _accuracies(summary, dataset, labels),
            "accuracy.csv",
        ),
        *_on_its_side([_parity(row, labels, _pair(row) in over_images) for row in rows]),
        *(_corruptions(found, labels) for found in _mine(changes, CORRUPTION, dataset)),
        *(_classes(found, labels, largest) for found in _mine(changes, CLASS, dataset)),
    ]
    return [table for table in shown if table.rows]


def of_set(summary: Summary, part: str, dataset: str) -> list[Row]:
    """The rows of a part of the summary that are of this data set."""
    return [row for row in summary.get(part) or [] if row["dataset"] == dataset]


def _mine(changes: Changes, by: str, dataset: str) -> Iterator[pd.DataFrame]:
    found = changes.get(by, pd.DataFrame(columns=["dataset"]))
    if len(mine := found[found["dataset"] == dataset]):
        yield mine


def _accuracies(summary: Summary, dataset: str, labels: Labels) -> list[tuple[str, ...]]:
    rows = of_set(summary, "accuracy", dataset)
    heads = list(dict.fromkeys(map(_head, rows)))
    return [
        (
            row_name(a["model"], labels), head_name(_head(a)), str(a["n"]), _share(a["top1"]),
            f"{_share(a['top1_ci_low'])} to {_share(a['top1_ci_high'])}", _share(a.get("top5")),
        )
        for a in sorted(rows, key=lambda a: (heads.index(_head(a)), a["model"] != summary.get("reference")))
    ]  # fmt: skip


def _parity(row: Row, labels: Labels, over_images: bool) -> tuple[str, ...]:
    factors = [f"{as_factor(row[f'bf01_{scale}'])} ({as_factor(row[f'ceiling_{scale}'])})" for scale in FACTORS]
    unpaired = f"{row['unpaired']} without a partner left out" if row.get("unpaired") else ""
    pooled = POOLED if over_images and row["unit"] == PREDICTION else ""
    return (
        row_name(row["first"], labels), head_name(_head(row)), row["unit"], str(row["n"]),
        _share(row["accuracy_first"]), _share(row["accuracy_second"]), as_points(row["difference"]), interval_of(row),
        number(row["t"], 2), p_value(row["p"]), *factors, _words(row), number(row["only_second"], 0),
        number(row["only_first"], 0), p_value(row["mcnemar_p"]), f"{p_value(row['tost_p'])} ({margin_of(row)})",
        number(row["design_effect"], 2), number(row["effective_n"], 0),
        "; ".join(part for part in (row["reason"], pooled, unpaired) if part),
    )  # fmt: skip


def _on_its_side(rows: list[tuple[str, ...]]) -> Iterator[Shown]:
    """Comparisons beside each other, for there is more to say of one than a page is wide; without empty lines."""
    for start in range(0, len(rows), SIDE_BY_SIDE):
        head, *across = zip(PARITY, *rows[start : start + SIDE_BY_SIDE], strict=True)
        yield Shown(
            AGAINST, head, [cells for cells in across if any(cell not in ("", "–") for cell in cells[1:])], "parity.csv"
        )


def _corruptions(found: pd.DataFrame, labels: Labels) -> Shown:
    title = f"By corruption, largest gain of a model first: {_counts(found, labels)}."
    return Shown(title, ("corruption", *CHANGE), _changes(found, CORRUPTION, labels), "parity_corruptions.csv")


def _classes(found: pd.DataFrame, labels: Labels, most: int) -> Shown:
    """The classes with the largest changes of each model, gains first; how many there are of each kind in the title."""
    size = found["difference"].abs().round(9)
    ranked = found[size > 0].assign(size=-size).sort_values("size", kind="stable")
    largest = found.loc[ranked.groupby(PAIR, sort=False).head(most).index.sort_values()]
    title = f"Classes with the largest changes, at most {most} a model. Of all: {_counts(found, labels)}."
    rows = _changes(largest, CLASS, labels) or [("none changed", *[""] * len(CHANGE))]
    return Shown(title, ("class", *CHANGE), rows, "parity_classes.csv")


def _counts(found: pd.DataFrame, labels: Labels) -> str:
    return "; ".join(
        f"{row_name(str(first), labels)}{head_note({'head': head})}: {counted(part['direction'])}"
        for (_, head, first, _), part in found.groupby(PAIR, sort=False)
    )


def _changes(found: pd.DataFrame, by: str, labels: Labels) -> Sequence[tuple[str, ...]]:
    return [
        (
            str(r[by]), row_name(r["first"], labels), head_name(r["head"]), str(r["n"]),
            _share(r["accuracy_second"]), _share(r["accuracy_first"]), as_points(r["difference"]), interval_of(r),
            p_value(r["p_holm"]),
        )
        for r in found.to_dict("records")
    ]  # fmt: skip


def _words(row: Row) -> str:
    """Jeffreys' word: one where the three factors agree, else that of each."""
    said = {name: row[f"evidence_{scale}"] or "–" for scale, name in FACTORS.items()}
    if len(set(said.values())) == 1:
        return str(next(iter(said.values())))
    return "; ".join(f"{name}: {word}" for name, word in said.items())


def _head(row: Row) -> str:
    return str(row.get("head") or OWN)


def head_note(row: Row) -> str:
    """` (probe of the reference)`; empty for a model's own head."""
    return "" if _head(row) == OWN else f" ({head_name(_head(row))})"


def _pair(row: Row) -> tuple[str, ...]:
    return (_head(row), row["first"], row["second"])


def margin_of(row: Row) -> str:
    """`1 point`: the difference of accuracies that counts as none."""
    points = f"{100 * row['margin']:g}"
    return f"{points} point{'' if points == '1' else 's'}"


def _share(value: float | None) -> str:
    return "–" if value is None or value != value else f"{value:.2%}"


def as_points(share: float | None) -> str:
    """A difference of shares in percentage points, with its sign."""
    return "–" if share is None or share != share else f"{100 * share:+.2f}"


def interval_of(row: Row) -> str:
    """The interval of a difference, in points."""
    return f"{as_points(row['ci_low'])} to {as_points(row['ci_high'])}"


def as_factor(value: float | str | None) -> str:
    """A Bayes factor to three digits."""
    return "–" if value is None or value != value else str(value) if isinstance(value, str) else f"{value:.3g}"
