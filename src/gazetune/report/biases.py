"""The tables of the bias analyses, the same in the terminal and on the page."""

from collections.abc import Mapping, Sequence
from typing import Any

from gazetune.report.words import IN_BRACKETS, Shown, bracketed, mean_interval, number, p_value, row_name
from gazetune.tables.rows import HUMAN

Labels = Mapping[str, str]
Test = Mapping[str, Any]
STATISTICS = ("t", "df", "p", "d")
TESTS = "bias_tests.csv"


def bias_tables(summary: Mapping[str, Any], dataset: str, labels: Labels, brief: bool = False) -> list[Shown]:
    """For each contrast: within each row, between models, who was left out; then sparsity, also by clutter.

    brief: neither intervals, nor who was left out, nor the levels of clutter. Empty where the data set has no objects.
    bias_tests.csv has every test, also with Wilcoxon and Holm.
    """
    tests = [t for t in summary.get("bias_tests", []) if t["dataset"] == dataset]
    means = [m for m in summary.get("bias_means", []) if m["dataset"] == dataset]
    left_out = [e for e in summary.get("exclusions", []) if e["dataset"] == dataset]
    shown: list[Shown] = []
    for analysis in dict.fromkeys(t["analysis"] for t in tests if t["kind"] == "contrast"):
        of = [t for t in tests if t["analysis"] == analysis]
        shown += [_within(analysis, of, labels, brief), _between(analysis, of, labels, brief)]
        if not brief:
            shown.append(_each_region(analysis, of, labels))
            shown.append(_flow(analysis, [e for e in left_out if e["analysis"] == analysis]))
    entropy = [t for t in tests if t["kind"] == "entropy"]
    if entropy:
        by_clutter = [] if brief else [t for t in tests if t["kind"] == "entropy_by_clutter"]
        shown += _sparsity(entropy, by_clutter, means, labels, brief)
    return [table for table in shown if table.rows]


def _within(analysis: str, tests: list[Test], labels: Labels, brief: bool) -> Shown:
    """Region A against region B in each row, and the contrast over that of the prior."""
    a, b = next(t["measure"] for t in tests if t["kind"] == "contrast").split(" - ", 1)
    over = {t["first"]: t for t in tests if t["kind"] == "over_prior"}
    prior = next((row_name(t["second"], labels) for t in over.values()), "")
    rows = []
    for t in (t for t in tests if t["kind"] == "within"):
        beyond = over.get(t["first"])
        rest = (_statistics(beyond, ("difference", "t", "p", "d"), brief)) if beyond else ("–",) * 4
        densities = (number(t["mean_first"]), number(t["mean_second"]))
        found = _statistics(t, ("difference", *STATISTICS), brief)
        rows.append((row_name(t["first"], labels), str(t["n"]), *densities, *found, *rest))
    head = ("", "n", a, b, f"{a} - {b}", *STATISTICS, "over prior", "t", "p", "d")
    title = (
        f"{analysis}: attention density on {a} and {b}, within each row; and the difference over that of the {prior}"
    )
    return _shown(title, head, rows, brief)


def _between(analysis: str, tests: list[Test], labels: Labels, brief: bool) -> Shown:
    """The difference of the contrasts of two models (the headline), and of the density on region A (the paper's)."""
    contrasts = [t for t in tests if t["kind"] == "contrast" and _is_of_models(t, labels)]
    if not contrasts:
        return Shown("", (), [])
    a = contrasts[0]["measure"].split(" - ", 1)[0]
    density = {(t["first"], t["second"]): t for t in tests if t["kind"] == "density" and t["measure"] == a}
    rows = []
    for t in contrasts:
        other = density[t["first"], t["second"]]
        pair = f"{row_name(t['first'], labels)} - {row_name(t['second'], labels)}"
        columns = ("difference", *STATISTICS)
        rows.append((pair, str(t["n"]), *_statistics(t, columns, brief), *_statistics(other, columns, brief)))
    head = ("", "n", "contrast", *STATISTICS, f"density on {a}", *STATISTICS)
    title = f"{analysis}, between rows: difference of the contrasts, and of the density on {a} alone (the paper's test)"
    return _shown(title, head, rows, brief)


def _each_region(analysis: str, tests: list[Test], labels: Labels) -> Shown:
    """The density of two rows on each region (each size), on every image that has the region."""
    rows = [
        (
            f"{row_name(t['first'], labels)} - {row_name(t['second'], labels)}",
            t["measure"],
            str(t["n"]),
            *_statistics(t, ("difference", *STATISTICS), brief=False),
        )
        for t in tests
        if t["kind"] == "density_any" and _is_of_models(t, labels)
    ]
    title = f"{analysis}, between rows: density on each region, on all images that have it"
    return _shown(title, ("", "region", "n", "difference", *STATISTICS), rows, brief=False)


def _sparsity(
    entropy: list[Test], by_clutter: list[Test], means: list[Test], labels: Labels, brief: bool
) -> list[Shown]:
    rows = [
        (row_name(m["model"], labels), str(m["n"]), _mean(m, brief), number(m["sd"]))
        for m in means
        if m["kind"] == "entropy"
    ]
    title = "sparsity: entropy in bits (uniform: 15.615), lower is sparser"
    tables = [_shown(title, ("", "n", "mean", "SD"), rows, brief, "bias_means.csv")]
    for name, tests in (("sparsity, between rows", entropy), ("sparsity, by number of annotated objects", by_clutter)):
        pairs = [t for t in tests if _is_of_models(t, labels)]
        levels = [t["measure"].partition(", ")[2].removesuffix(" objects") for t in pairs]
        rows = [
            (
                f"{row_name(t['first'], labels)} - {row_name(t['second'], labels)}",
                *((level,) if any(levels) else ()),
                str(t["n"]),
                *_statistics(t, ("difference", *STATISTICS), brief),
            )
            for t, level in zip(pairs, levels, strict=True)
        ]
        head = ("", *(("objects",) if any(levels) else ()), "n", "difference", *STATISTICS)
        tables.append(_shown(name, head, rows, brief))
    return tables


def _flow(analysis: str, steps: list[Test]) -> Shown:
    rows = [
        (
            f"{s['unit']}: {s['reason'] or 'in the test images'}",
            "" if s["step"] == 0 else f"-{s['left_out']}" if s["left_out"] else "0",
            str(s["n"]),
        )
        for s in steps
    ]
    return Shown(f"{analysis}: who is left, step by step", ("", "left out", "left"), rows, "exclusions.csv")


def _is_of_models(test: Test, labels: Labels) -> bool:
    return test["first"] in labels and test["second"] in {*labels, HUMAN}


def _shown(
    title: str, head: tuple[str, ...], rows: Sequence[tuple[str, ...]], brief: bool, source: str = TESTS
) -> Shown:
    return Shown(title if brief else f"{title}. {IN_BRACKETS}", head, rows, source)


def _mean(row: Test, brief: bool) -> str:
    return number(row["mean"]) + ("" if brief else bracketed(*mean_interval(row["mean"], row["sem"], row["n"])))


def _statistics(test: Test, columns: tuple[str, ...], brief: bool) -> tuple[str, ...]:
    digits = {"t": 2, "d": 2, "df": 0}
    cells = {c: p_value(test[c]) if c == "p" else number(test[c], digits.get(c, 3)) for c in columns}
    if "difference" in cells and not brief:
        cells["difference"] += bracketed(test["ci_low"], test["ci_high"])
    return tuple(cells.values())
