"""What being human-like costs: alignment against the change in accuracy, and which trainings nothing else beats."""

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from scipy import stats

from gazetune.figures.palette import FORMATS, OTHER_MARKERS, Look, literal, shortened
from gazetune.figures.style import STYLE, legend_below, panels_for, save
from gazetune.parity.compare import OWN
from gazetune.run import SUMMARY, Run
from gazetune.tables.changes import head_name, to_read

START = "start"  # the term of the rows that were not tuned
LABEL: dict[str, Any] = {"textcoords": "offset points", "xytext": (4, 4), "fontsize": 7}
ALT = {
    "pareto": "CC with human maps (up) against the change in accuracy (across), with 95 % intervals: one panel a set "
    "of labelled images, the start at the star; a line joins the models that no other beats in both.",
}


def write_pareto(run: Run, table: pd.DataFrame, look: Look | None = None) -> list[str]:
    """`figures/pareto` and its CSV, which says which rows are on the front; `table` has the columns of `draw_pareto`.

    look: of the terms; by default each has a colour and a marker of its own.
    """
    drawn = table.assign(on_front=False)
    for _, part in table.groupby("set"):
        drawn.loc[part.index, "on_front"] = on_front(part["cc"].to_numpy(), part["difference"].to_numpy())
    return save(run, "pareto", draw_pareto(drawn, look), drawn, look.formats if look else FORMATS)


def write_pareto_of_run(run: Run, dataset: str, parity: pd.DataFrame, reference: str, look: Look) -> list[str]:
    """`figures/pareto` of a run's models; nothing without CC, or where no model was set against `reference`."""
    cc = [m for m in run.json(SUMMARY)["alignment"] if (m["dataset"], m["metric"]) == (dataset, "cc")]
    table = pareto_of_run(pd.DataFrame(cc), parity, reference)
    if table.empty:
        return []
    labels = {**look.labels, START: look.labels.get(reference, reference)}
    colours = {**look.colours, START: look.colour(reference)}
    markers = {**look.markers, START: "*"}
    return write_pareto(run, table, replace(look, labels=labels, colours=colours, markers=markers))


def pareto_of_run(cc: pd.DataFrame, parity: pd.DataFrame, reference: str) -> pd.DataFrame:
    """The columns of `draw_pareto`, a term a model, from a run's mean CC and its rows of `parity` that are read.

    Intervals: of CC the t interval over images (mean, sem, n), of the difference that of `parity`.
    """
    means = {row["model"]: row for row in cc.to_dict("records")}
    read = to_read(parity) if len(parity) else pd.DataFrame(columns=["dataset", "head", "first", "second"])
    rows = []
    for (dataset, head), part in read[read["second"] == reference].groupby(["dataset", "head"], sort=False):
        name = str(dataset) if head == OWN else f"{dataset}, {head_name(str(head))}"
        start: dict[Any, Any] = {"first": reference, "difference": 0.0, "n": part["n"].iloc[0]}
        for row in [{**start, "ci_low": np.nan, "ci_high": np.nan}, *part.to_dict("records")]:
            if row["first"] not in means:
                continue
            mean = means[row["first"]]
            half = float(stats.t.ppf(0.975, mean["n"] - 1) * mean["sem"]) if mean["n"] > 1 else np.nan
            rows.append(
                {
                    "set": name, "term": START if row["first"] == reference else row["first"], "lambda": np.nan,
                    "cc": mean["mean"], "cc_low": mean["mean"] - half, "cc_high": mean["mean"] + half,
                    "difference": 100 * row["difference"], "low": 100 * row["ci_low"], "high": 100 * row["ci_high"],
                    "n": int(row["n"]), "images": int(mean["n"]),
                }
            )  # fmt: skip
    return pd.DataFrame(rows)


def on_front(first: Float[np.ndarray, " row"], second: Float[np.ndarray, " row"]) -> Bool[np.ndarray, " row"]:
    """Which rows no other row beats: as good in both, better in one; more is better."""
    as_good = (first[None] >= first[:, None]) & (second[None] >= second[:, None])
    better = (first[None] > first[:, None]) | (second[None] > second[:, None])
    return np.logical_not((as_good & better).any(axis=1))


def draw_pareto(drawn: pd.DataFrame, look: Look | None = None) -> Figure:
    """One panel a set of labelled images, one marker a term, each point named by lambda; a line joins the front.

    `drawn` has the columns set, term, lambda (NaN: no name), cc, cc_low, cc_high, difference, low, high (points), n,
    images, on_front. Error bars: 95 % intervals, of CC over images, of the difference in accuracy over the labelled
    images. A training that kept the start weights is counted at the start's star.
    """
    sets, terms = list(drawn["set"].unique()), [t for t in drawn["term"].unique() if t != START]
    look = look or _by_term(terms)
    with plt.rc_context(STYLE):
        figure, panels = panels_for(len(sets), 3.6, 4.2, beside=0.4, columns=3, sharey=True)
        for name, panel in zip(sets, panels, strict=True):
            part = drawn[drawn["set"] == name]
            front = part[part["on_front"]].sort_values("difference")
            panel.plot(front["difference"], front["cc"], color="#8A8A8A", linewidth=1, label="Pareto front", zorder=1)
            first = part.loc[part["term"] == START, "cc"]
            panel.axvline(0, color="#C8C8C8", linewidth=0.6, zorder=0)
            for term in terms:
                moved = (part["term"] == term) & ((part["difference"] != 0) | ~part["cc"].isin(first))
                _points(panel, part[moved], term, look.name(term), look)
            start = part[part["term"] == START]
            kept = part[(part["term"] != START) & part["cc"].isin(first) & (part["difference"] == 0)]
            name_of_start = look.name(START) + (f" ({len(kept)} trainings kept it)" if len(kept) else "")
            _points(panel, start, START, name_of_start, look)
            panel.set_title(f"{literal(shortened(name, 40))} ({part['n'].iloc[0]:,} images)", fontsize=8)
            panel.set_xlabel("change in accuracy, percentage points")
        panels[0].set_ylabel(f"CC with human maps ({drawn['images'].iloc[0]:,} test images)")
        legend_below(figure, columns=3)
    return figure


def _by_term(terms: list[str]) -> Look:
    """A colour and a marker for each term in turn, and the reference's colour for the start."""
    others, reference = Look().palette.others, Look().palette.reference
    colours = {term: others[place % len(others)] for place, term in enumerate(terms)}
    marks = {term: OTHER_MARKERS[place % len(OTHER_MARKERS)] for place, term in enumerate(terms)}
    return Look({}, colours | {START: reference}, marks | {START: "*"})


def _points(panel: Axes, part: pd.DataFrame, term: str, label: str, look: Look) -> None:
    if part.empty:
        return
    across = np.abs(part[["low", "high"]].to_numpy().T - part["difference"].to_numpy())
    up = np.abs(part[["cc_low", "cc_high"]].to_numpy().T - part["cc"].to_numpy())
    start = term == START
    panel.errorbar(
        part["difference"], part["cc"], xerr=np.nan_to_num(across), yerr=np.nan_to_num(up), fmt=look.marker(term),
        color=look.colour(term), label=label, markeredgecolor="black", markeredgewidth=0.5,
        markersize=11 if start else 5, elinewidth=0.6, zorder=2,
    )  # fmt: skip
    for x, y, weight in zip(part["difference"], part["cc"], part["lambda"], strict=True):
        if not start and weight == weight:
            panel.annotate(f"λ {weight:g}", (x, y), color=look.colour(term), **LABEL)
