"""Bayes factors on Jeffreys' scale (the paper's Figure 4B), and against the scale of their prior."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gazetune.figures.palette import Look, literal, shortened
from gazetune.figures.style import ACROSS, STYLE, between, legend_below, panels_for, save, turned
from gazetune.parity.compare import sensitivity
from gazetune.run import Run
from gazetune.statistics.bayes import R_MEDIUM, TIERS
from gazetune.tables.changes import OWN, PAIR, head_name, to_read

CEILING = "ceiling (t = 0)"
LOWEST, HIGHEST = 1e-4, 1000.0  # of the axis; what lies below is drawn at the edge, with its logarithm beside it
TICKS = {0.5: ".5", 0.707: "√2/2", 1.0: "1", 1.414: "√2"}
WIDEST = 4.0  # inches of a panel that has others beside it
PRIORS = {"jzs": "JZS, r = √2/2", "jzs_r1": "JZS, r = 1", "unit": "unit information"}
GROUP = ["dataset", "head"]
ALT = {
    "bayes_factors": "Bayes factors for equal accuracy of each model and the reference on a log scale, against "
    "Jeffreys' tiers, under three priors; bars mark the largest value that each can have (t = 0).",
    "bayes_sensitivity": "The Bayes factor against the scale of its prior; dashed the largest value it can have.",
}


def write_bayes(run: Run, table: pd.DataFrame, look: Look) -> list[str]:
    """`figures/bayes_factors` and `bayes_sensitivity` and their CSV, from the rows of `parity`; nothing without any."""
    if table.empty:
        return []
    factors, scales = drawn_factors(table), drawn_rows(table)
    return [
        *save(run, "bayes_factors", draw_factors(factors, look), factors, look.formats),
        *save(run, "bayes_sensitivity", draw_sensitivity(scales, look), scales, look.formats),
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


def draw_factors(drawn: pd.DataFrame, look: Look) -> Figure:
    """One panel a prior, one group a data set and head, one point a model; stems from BF01 = 1, bars the ceiling.

    Args:
        drawn: of `drawn_factors`.
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
                    _stem(panel, place + offset, row, look, 0.36 / len(models))
            names = [_group(drawn, dataset, head) for dataset, head in groups]
            turned(panel, names)
            panel.tick_params(axis="x", labelsize=7)
            panel.set_title(title)
        for panel in grid[:, 0]:
            panel.set_ylabel("BF$_{01}$ (above 1: for equality)")
        legend_below(figure)
    return figure


def drawn_rows(table: pd.DataFrame) -> pd.DataFrame:
    """BF01 at four scales for each data set, head and model, of the rows of `parity` that are read."""
    read = to_read(table)
    parts = [sensitivity(part).assign(head=head) for head, part in read.groupby("head", sort=False)]
    return pd.concat(parts, ignore_index=True)


def draw_sensitivity(drawn: pd.DataFrame, look: Look) -> Figure:
    """One panel a data set and head, one line a model: BF01 against the scale r; dashed the ceiling (t = 0)."""
    groups = list(drawn[GROUP].drop_duplicates().itertuples(index=False, name=None))
    models = list(drawn["first"].unique())
    with plt.rc_context(STYLE):
        figure, panels = panels_for(len(groups), 2.6, 3.6, beside=1.6, sharey=True)
        for (dataset, head), panel in zip(groups, panels, strict=True):
            part = drawn[(drawn["dataset"] == dataset) & (drawn["head"] == head)]
            panel.set_xscale("log")
            panel.set_xlim(0.45, 1.57)
            last = panel is panels[-1] or panel in panels[ACROSS - 1 :: ACROSS]  # of its row
            _tiers(panel, last, drawn["bf01"].min(), drawn["ceiling"].max())
            panel.set_xticks(list(TICKS), list(TICKS.values()))
            panel.minorticks_off()
            for model in models:
                line = part[part["first"] == model].sort_values("r")
                _line(panel, line, model, models.index(model), look)
            for _, top in part.drop_duplicates(["n", "r"]).groupby("n"):
                panel.plot(top["r"], top["ceiling"], color="black", linestyle="--", linewidth=1, label=CEILING)
            panel.set_title(_group(drawn, dataset, head), fontsize=8)
            panel.set_xlabel("scale r of the prior on d")
        for panel in panels[::ACROSS]:
            panel.set_ylabel("BF$_{01}$ (above 1: for equality)")
        legend_below(figure)
    return figure


def _shape(key: str, look: Look) -> dict[str, Any]:
    shape = {"color": look.colour(key), "marker": look.marker(key), "label": look.name(key)}
    return shape | {"markeredgecolor": "black", "markeredgewidth": 0.5}


def _stem(panel: Axes, x: float, row: dict[str, Any], look: Look, half: float) -> None:
    key, shown = str(row["first"]), max(row["bf01"], LOWEST)
    panel.plot([x, x], [1, shown], color=look.colour(key), linewidth=1.5, zorder=1)
    panel.plot(x, shown, markersize=6, linestyle="none", **_shape(key, look))
    panel.plot([x - half, x + half], [row["ceiling"]] * 2, color="black", linewidth=1.2, label=CEILING)
    if row["bf01"] < LOWEST:
        place: dict[str, Any] = {"xytext": (-3, 6), "textcoords": "offset points", "rotation": 90}
        panel.annotate(f"← {_logarithm(row['ln_bf01'])}", (x, LOWEST), **place, ha="right", fontsize=7)


def _line(panel: Axes, line: pd.DataFrame, key: str, place: int, look: Look) -> None:
    if line.empty:
        return
    panel.plot(line["r"], line["bf01"].clip(lower=LOWEST), markersize=5, **_shape(key, look))
    if (line["bf01"] < LOWEST).any():
        ln = line["ln_bf01"].iloc[(line["r"] - R_MEDIUM).abs().argmin()]
        above: dict[str, Any] = {"xytext": (0, 7 + 9 * place), "textcoords": "offset points"}
        note = f"{look.name(key)} ↓ {_logarithm(ln)}"
        panel.annotate(note, (line["r"].iloc[0], LOWEST), **above, fontsize=7)


def _logarithm(ln_bf01: float) -> str:
    return "BF$_{01}$ = 0" if np.isinf(ln_bf01) else f"ln BF$_{{01}}$ = {ln_bf01:,.0f}"


def _group(drawn: pd.DataFrame, dataset: str, head: str) -> str:
    """A data set, its head where it is not the model's own, and its images: no image counts twice in what is read."""
    part = drawn[(drawn["dataset"] == dataset) & (drawn["head"] == head)]
    how = "" if head == OWN else f"\n{literal(head_name(head))}"
    return f"{literal(shortened(dataset))}{how}\nn = {between(part['n'])} images"


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
