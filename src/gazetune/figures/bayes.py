"""Bayes factors on Jeffreys' scale (the paper's Figure 4B), and against the scale of their prior."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gazetune.figures.accuracy import between
from gazetune.figures.style import OTHER_MARKERS, OTHERS, STYLE, literal, save
from gazetune.parity.compare import sensitivity
from gazetune.run import Run
from gazetune.statistics.bayes import R_MEDIUM, TIERS
from gazetune.tables.changes import OWN, PAIR, head_name, to_read

Names = Mapping[str, str]
CEILING = "ceiling (t = 0)"
LOWEST, HIGHEST = 1e-4, 1000.0  # of the axis; what lies below is drawn at the edge, with its logarithm beside it
TICKS = {0.5: ".5", 0.707: "√2/2", 1.0: "1", 1.414: "√2"}
WIDEST = 4.0  # inches of a panel that has others beside it
COLUMNS = 4
PRIORS = {"jzs": "JZS, r = √2/2", "jzs_r1": "JZS, r = 1", "unit": "unit information"}
GROUP = ["dataset", "head"]


def write_bayes(run: Run, table: pd.DataFrame, labels: Names, paint: Names, marks: Names) -> list[str]:
    """`figures/bayes_factors` and `bayes_sensitivity` as PNG, SVG and CSV from the rows of `parity`.

    labels, paint, marks: of the models, by key. Nothing is written where there are no rows.
    """
    if table.empty:
        return []
    factors, scales = drawn_factors(table), drawn_rows(table)
    return [
        *save(run, "bayes_factors", draw_factors(factors, labels, paint, marks), factors, vector=True),
        *save(run, "bayes_sensitivity", draw_sensitivity(scales, labels, paint, marks), scales, vector=True),
    ]


def drawn_factors(table: pd.DataFrame) -> pd.DataFrame:
    """One row a prior and row of `parity` that is read: PAIR, unit, n, prior, bf01, ln_bf01, ceiling, evidence."""
    read, what = to_read(table), {"bf01": float, "ln_bf01": float, "ceiling": float, "evidence": str}
    parts = [
        read[[*PAIR, "unit", "n"]].assign(
            prior=prior, **{name: read[f"{name}_{prior}"].astype(dtype) for name, dtype in what.items()}
        )
        for prior in PRIORS
    ]
    return pd.concat(parts, ignore_index=True)


def draw_factors(drawn: pd.DataFrame, labels: Names, paint: Names, marks: Names) -> Figure:
    """One panel a prior, one group a data set and head, one point a model; stems from BF01 = 1, bars the ceiling.

    Args:
        drawn: of `drawn_factors`. labels, paint, marks: of the models, by key.
    """
    groups = list(drawn[GROUP].drop_duplicates().itertuples(index=False, name=None))
    models = list(drawn["first"].unique())
    width = 1.2 + len(groups) * max(0.8, 0.3 * len(models))
    below = width > WIDEST  # panels stand below each other
    shape, size = ((3, 1), (width + 1.4, 8.5)) if below else ((1, 3), (3 * width + 1.4, 3.9))
    with plt.rc_context(STYLE):
        figure, grid = plt.subplots(*shape, figsize=size, sharex=True, sharey=True, squeeze=False)
        panels = list(grid.flat)
        for (prior, title), panel in zip(PRIORS.items(), panels, strict=True):
            part = drawn[drawn["prior"] == prior]
            panel.set_xlim(-0.5, len(groups) - 0.5)
            _tiers(panel, below or panel is panels[-1], drawn["bf01"].min(), drawn["ceiling"].max())
            for place, (dataset, head) in enumerate(groups):
                of = part[(part["dataset"] == dataset) & (part["head"] == head)]
                for row in of.to_dict("records"):
                    offset = 0.7 * ((models.index(row["first"]) + 0.5) / len(models) - 0.5)
                    _stem(
                        panel,
                        place + offset,
                        row,
                        labels,
                        _look(row["first"], models, paint, marks),
                        0.36 / len(models),
                    )
            names = [_group(drawn, dataset, head) for dataset, head in groups]
            panel.set_xticks(range(len(groups)), names, rotation=40, ha="right", rotation_mode="anchor", fontsize=7)
            panel.set_title(title)
        for panel in grid[:, 0]:
            panel.set_ylabel("BF$_{01}$ (above 1: for equality)")
        _legend(figure)
    return figure


def drawn_rows(table: pd.DataFrame) -> pd.DataFrame:
    """BF01 at four scales for each data set, head and model, of the rows of `parity` that are read."""
    read = to_read(table)
    parts = [sensitivity(part).assign(head=head) for head, part in read.groupby("head", sort=False)]
    return pd.concat(parts, ignore_index=True)


def draw_sensitivity(drawn: pd.DataFrame, labels: Names, paint: Names, marks: Names) -> Figure:
    """One panel a data set and head, one line a model: BF01 against the scale r; dashed the ceiling (t = 0)."""
    groups = list(drawn[GROUP].drop_duplicates().itertuples(index=False, name=None))
    models = list(drawn["first"].unique())
    with plt.rc_context(STYLE):
        columns = min(COLUMNS, len(groups))
        rows = -(-len(groups) // columns)
        size = (2.6 * columns + 1.6, 3.4 * rows + 0.3)
        figure, panels = plt.subplots(rows, columns, figsize=size, sharey=True, squeeze=False)
        for panel in panels.flat[len(groups) :]:
            panel.set_axis_off()
        for (dataset, head), panel in zip(groups, panels.flat, strict=False):
            part = drawn[(drawn["dataset"] == dataset) & (drawn["head"] == head)]
            panel.set_xscale("log")
            panel.set_xlim(0.45, 1.57)
            _tiers(
                panel,
                panel in panels[:, -1],
                drawn["bf01"].min(),
                drawn["ceiling"].max(),
            )
            panel.set_xticks(list(TICKS), list(TICKS.values()))
            panel.minorticks_off()
            for model in models:
                line = part[part["first"] == model].sort_values("r")
                _line(panel, line, labels.get(model, model), models.index(model), _look(model, models, paint, marks))
            for _, top in part.drop_duplicates(["n", "r"]).groupby("n"):
                panel.plot(top["r"], top["ceiling"], color="black", linestyle="--", linewidth=1, label=CEILING)
            panel.set_title(_group(drawn, dataset, head), fontsize=8)
            panel.set_xlabel("scale r of the prior on d")
        for panel in panels[:, 0]:
            panel.set_ylabel("BF$_{01}$ (above 1: for equality)")
        _legend(figure)
    return figure


def _look(model: str, models: list[str], paint: Names, marks: Names) -> dict[str, Any]:
    place = models.index(model)
    colour = paint.get(model, OTHERS[place % len(OTHERS)])
    marker = marks.get(model, OTHER_MARKERS[place % len(OTHER_MARKERS)])
    return {"color": colour, "marker": marker, "markeredgecolor": "black", "markeredgewidth": 0.5}


def _stem(panel: Axes, x: float, row: dict[str, Any], labels: Names, look: dict[str, Any], half: float) -> None:
    shown, name = max(row["bf01"], LOWEST), literal(labels.get(row["first"], row["first"]))
    panel.plot([x, x], [1, shown], color=look["color"], linewidth=1.5, zorder=1)
    panel.plot(x, shown, **look, markersize=6, linestyle="none", label=name)
    panel.plot([x - half, x + half], [row["ceiling"]] * 2, color="black", linewidth=1.2, label=CEILING)
    if row["bf01"] < LOWEST:
        place: dict[str, Any] = {"xytext": (-3, 6), "textcoords": "offset points", "rotation": 90}
        panel.annotate(f"← {_logarithm(row['ln_bf01'])}", (x, LOWEST), **place, ha="right", fontsize=7)


def _line(panel: Axes, line: pd.DataFrame, label: str, place: int, look: dict[str, Any]) -> None:
    if line.empty:
        return
    panel.plot(line["r"], line["bf01"].clip(lower=LOWEST), **look, markersize=5, label=literal(label))
    if (line["bf01"] < LOWEST).any():
        ln = line["ln_bf01"].iloc[(line["r"] - R_MEDIUM).abs().argmin()]
        above: dict[str, Any] = {"xytext": (0, 7 + 9 * place), "textcoords": "offset points"}
        note = f"{literal(label)} ↓ {_logarithm(ln)}"
        panel.annotate(note, (line["r"].iloc[0], LOWEST), **above, fontsize=7, color=look["color"])


def _logarithm(ln_bf01: float) -> str:
    return "BF$_{01}$ = 0" if np.isinf(ln_bf01) else f"ln BF$_{{01}}$ = {ln_bf01:,.0f}"


def _group(drawn: pd.DataFrame, dataset: str, head: str) -> str:
    """A data set, its head where it is not the model's own, and its images: no image counts twice in what is read."""
    part = drawn[(drawn["dataset"] == dataset) & (drawn["head"] == head)]
    how = "" if head == OWN else f", {literal(head_name(head))}"
    return f"{literal(str(dataset))}{how}\nn = {between(part['n'])} images"


def _legend(figure: Figure) -> None:
    pairs = [pair for panel in figure.axes for pair in zip(*panel.get_legend_handles_labels(), strict=True)]
    shown = {name: handle for handle, name in pairs}
    figure.legend(shown.values(), shown, loc="outside lower center", ncols=min(len(shown), 4), frameon=False)


def _tiers(panel: Axes, named: bool, low: float, high: float) -> None:
    """Jeffreys' tiers on a log axis, both ways from 1, as far down and up as there are values."""
    panel.set_yscale("log")
    panel.minorticks_off()
    bounds, end = [start for start, _ in TIERS], max(HIGHEST, 1.5 * high)
    floor = LOWEST if low < 0.01 else 0.6 * min(1.0, low)
    panel.set_ylim(floor, end)
    edges = [*(1 / b for b in bounds[:0:-1]), *bounds]
    panel.set_yticks([e for e in edges if e >= floor], [_number(e) for e in edges if e >= floor])
    for edge in edges:
        panel.axhline(edge, color="black" if edge == 1 else "#C8C8C8", linewidth=0.9 if edge == 1 else 0.6, zorder=0)
    if not named:
        return
    right: dict[str, Any] = {"transform": panel.get_yaxis_transform(), "va": "center", "fontsize": 7, "clip_on": False}
    for (start, word), top in zip(TIERS, [*bounds[1:], end], strict=True):
        panel.text(1.02, (start * top) ** 0.5, word, **right)
        if low < 1 and 1 / (start * top) ** 0.5 > floor:
            panel.text(1.02, 1 / (start * top) ** 0.5, f"{word}, against", color="#666666", **right)


def _number(edge: float) -> str:
    return f"{edge:.0f}" if edge >= 1 else f"1/{1 / edge:.0f}"
