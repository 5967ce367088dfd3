"""Where alignment rose and whether it holds between seeds, as words and table cells."""

from collections.abc import Mapping
from typing import Any

from gazetune.metrics import Metric
from gazetune.report.words import bracketed, mean_interval, number, p_value, row_name

Summary = Mapping[str, Any]
Labels = Mapping[str, str]
Pair = tuple[str, str]  # keys of two models: the gain is the first's over the second
Row = dict[str, Any]
REGRESSION = (
    "Read the gain with care: it is the first model's CC minus the second's, so it falls with the second's CC for that "
    "reason alone (regression to the mean), and consistency may go with the second's CC. Then a negative r of gain and "
    "consistency is to be expected even where all images rise alike up to a common level. The r with the second's CC "
    "held constant says more, though not all: that CC is itself measured with error."
)


def agreement_line(summary: Summary, dataset: str, labels: Labels) -> str:
    """One line: how far the observers agree and, for the first pair of models, where CC rose; may be empty."""
    found = next((c for c in summary.get("consistency", []) if c["dataset"] == dataset and c["n"]), None)
    if found is None:
        return ""
    mean_sd = f"{number(found['mean'])} ± {number(found['sd'])}"
    parts = [f"consistency of the observers (mean pairwise CC): {mean_sd} over {found['n']} images"]
    for pair in _pairs(summary, dataset)[:1]:
        rose = _of(summary, "improved", dataset, pair, of="images")[0]
        parts.append(f"{_named(pair, labels)}: CC higher on {rose['improved']} of {rose['n']}")
        plain, held = (_gain_r(summary, dataset, pair, given) for given in ("", "score_second"))
        if plain["r"] is not None:
            given = f"{number(held['r'], 2)} given the CC of {row_name(pair[1], labels)}"
            parts.append(f"r of gain and consistency {number(plain['r'], 2)}, {given}")
    return "; ".join(parts)


def rises(summary: Summary, dataset: str, labels: Labels) -> list[str]:
    """For each pair of models: the share of images and categories that gained, and what the gain goes with."""
    return [_rise(summary, dataset, pair, labels) for pair in _pairs(summary, dataset)]


def _rise(summary: Summary, dataset: str, pair: Pair, labels: Labels) -> str:
    found = _of(summary, "improved", dataset, pair)
    shares = " and on average in ".join(
        f"{row['improved']} of {row['n']} {row['of']}"
        f" ({row['share']:.0%}, 95 % interval {row['ci_low']:.0%} to {row['ci_high']:.0%})"
        for row in found
        if row["n"]
    )
    sentences = [f"{_named(pair, labels)}: CC is higher on {shares or 'no image: none could be compared'}."]
    plain, held = (_gain_r(summary, dataset, pair, given) for given in ("", "score_second"))
    if plain["r"] is not None:
        sentences.append(f"The gain and the observers' consistency: {_correlation(plain)}")
    if held["r"] is not None:
        sentences[-1] += f"; with the CC of {row_name(pair[1], labels)} held constant: {_correlation(held)}"
    if plain["r"] is not None:
        sentences[-1] += "."
    full = _of(summary, "at_ceiling", dataset, pair)[0]["at_ceiling"]
    if full:
        sentences.append(f"Images without a normalised gain, because the second's CC is above .99: {full}.")
    return " ".join(sentences)


def quartile_rows(summary: Summary, dataset: str, labels: Labels) -> list[list[str]]:
    """Over the four quarters of the images by consistency: n, its mean, each model's CC, gain and normalised gain.

    Cells after the first are a mean with its 95 % t interval, and n where it is lower; no rows where no image has a
    quarter.
    """
    cells: dict[tuple[str, ...], list[Row]] = {}
    for pair in _pairs(summary, dataset):
        for row in _of(summary, "quartiles", dataset, pair):
            of = {"score_first": pair[:1], "score_second": pair[1:]}.get(row["quantity"], pair)
            cells.setdefault((row["quantity"].partition("_")[0], *of), []).append(row)
    shown = {name: rows[:4] for name, rows in cells.items()}  # a model of several pairs has the same CC in each
    if not any(row["n"] for rows in shown.values() for row in rows):
        return []
    quarters = next(iter(shown.values()))
    most = [max(rows[place]["n"] for rows in shown.values()) for place in range(len(quarters))]
    table = [["images", *map(str, most)], ["consistency", *(number(q["consistency_mean"]) for q in quarters)]]
    titles = {"score": "CC of", "gain": "gain:", "normalised": "normalised gain:"}
    for kind, title in titles.items():
        for (found, *keys), rows in shown.items():
            if found == kind:
                name = " - ".join(row_name(key, labels) for key in keys)
                table.append([f"{title} {name}", *(_mean(q, "mean", n) for q, n in zip(rows, most, strict=True))])
    return table


def category_rows(summary: Summary, dataset: str, labels: Labels) -> list[list[str]]:
    """A first row of headings, then for each category of objects the images that hold it and each pair's mean gain."""
    pairs = _pairs(summary, dataset)
    cells = {(r["category"], r["first"], r["second"]): r for p in pairs for r in _of(summary, "categories", dataset, p)}
    if not cells:
        return []
    rows = [["category", "images", *(" - ".join(row_name(key, labels) for key in pair) for pair in pairs)]]
    for category in sorted({name for name, *_ in cells}):
        found = [cells.get((category, *pair)) for pair in pairs]
        images = max(row["n"] for row in found if row)
        rows.append([category, str(images), *(_mean(r, "gain", images) if r else "–" for r in found)])
    return rows


def seed_rows(summary: Summary, dataset: str, metrics: Mapping[str, Metric]) -> list[list[str]]:
    """One row a metric and model, or difference of models, that was trained with several seeds."""
    return [
        [
            metrics[row["metric"]].label or row["metric"],
            " - ".join(name for name in (row["model"], row["against"]) if name),
            *(str(row[n]) for n in ("n_seeds", "n_images")),
            *(number(row[value]) for value in ("mean", "sd_between_seeds", "sd_between_images")),
            f"{number(row['lowest'])} to {number(row['highest'])}",
        ]
        for row in summary.get("seeds", [])
        if row["dataset"] == dataset
    ]


def _pairs(summary: Summary, dataset: str) -> list[Pair]:
    found = [(row["first"], row["second"]) for row in summary.get("improved", []) if row["dataset"] == dataset]
    return list(dict.fromkeys(found))


def _of(summary: Summary, table: str, dataset: str, pair: Pair, **wanted: str) -> list[Row]:
    """The rows of a table of the summary for a data set and pair of models."""
    place = {"dataset": dataset, "first": pair[0], "second": pair[1], **wanted}
    return [row for row in summary.get(table, []) if all(row[k] == value for k, value in place.items())]


def _gain_r(summary: Summary, dataset: str, pair: Pair, given: str) -> Row:
    return _of(summary, "correlations", dataset, pair, quantity="gain", given=given)[0]


def _correlation(found: Row) -> str:
    p = p_value(found["p"])
    interval = f"95 % interval {number(found['ci_low'], 2)} to {number(found['ci_high'], 2)}"
    return f"r = {number(found['r'], 2)} ({interval}, n = {found['n']}, p {p if p.startswith('<') else '= ' + p})"


def _named(pair: Pair, labels: Labels) -> str:
    first, second = (row_name(key, labels) for key in pair)
    return f"{first} against {second}"


def _mean(row: Row, column: str, most: int) -> str:
    """A mean with its interval, and its n where that is lower than the most."""
    few = f" (n = {row['n']})" if row["n"] < most else ""
    return number(row[column]) + few + bracketed(*mean_interval(row[column], row["sem"], row["n"]))
