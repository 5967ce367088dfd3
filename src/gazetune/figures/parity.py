"""What tuning costs: Bayes factors on Jeffreys' scale against the scale of their prior (the paper's Figure 4B)."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gazetune.figures.style import OTHERS, STYLE, save
from gazetune.parity.compare import IMAGE, sensitivity
from gazetune.run import Run
from gazetune.statistics.bayes import R_MEDIUM, TIERS

MARKERS = "osD^vPX"
CEILING = "ceiling (t = 0)"
LOWEST = 1e-4  # of the axis; what lies below is drawn at the edge, with its logarithm beside it
TICKS = {0.5: ".5", 0.707: "√2/2", 1.0: "1", 1.414: "√2"}


def write_sensitivity(
    run: Run, table: pd.DataFrame, labels: Mapping[str, str], colours: Mapping[str, str]
) -> list[str]:
    """`figures/bayes_sensitivity` as PNG, SVG and CSV from the rows of `parity`; nothing where there are none."""
    if table.empty:
        return []
    drawn = drawn_rows(table)
    return save(run, "bayes_sensitivity", draw_sensitivity(drawn, labels, colours), drawn, vector=True)


def drawn_rows(table: pd.DataFrame) -> pd.DataFrame:
    """BF01 at four scales for each data set and model; over images where a data set has several copies of each."""
    pair = ["dataset", "first", "second"]
    clustered = table.groupby(pair)["unit"].transform(lambda units: (units == IMAGE).any())
    return sensitivity(table[~clustered | (table["unit"] == IMAGE)])


def draw_sensitivity(drawn: pd.DataFrame, labels: Mapping[str, str], colours: Mapping[str, str]) -> Figure:
    """One panel a data set, one line a model: BF01 against the scale r, Jeffreys' tiers, dashed the ceiling (t = 0)."""
    datasets = list(drawn["dataset"].unique())
    models = list(drawn["first"].unique())
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(
            1, len(datasets), figsize=(2.9 * len(datasets) + 1.6, 3.4), sharey=True, squeeze=False
        )
        for dataset, panel in zip(datasets, panels.flat, strict=True):
            part = drawn[drawn["dataset"] == dataset]
            _tiers(panel, named=dataset == datasets[-1], low=drawn["bf01"].min())
            for place, model in enumerate(models):
                line = part[part["first"] == model].sort_values("r")
                paint = colours.get(model, OTHERS[place % len(OTHERS)])
                _line(panel, line, labels.get(model, model), paint, place)
            for _, top in part.drop_duplicates(["n", "r"]).groupby("n"):
                panel.plot(top["r"], top["ceiling"], color="black", linestyle="--", linewidth=1, label=CEILING)
            what = "images" if (part["unit"] == IMAGE).any() else "predictions"
            panel.set_title(f"{dataset}\n{part['n'].max():,} {what}")
            panel.set_xlabel("scale r of the prior on d")
        panels[0, 0].set_ylabel("BF$_{01}$ (above 1: for equality)")
        shown = {
            name: handle
            for panel in panels.flat
            for handle, name in zip(*panel.get_legend_handles_labels(), strict=True)
        }
        figure.legend(shown.values(), shown, loc="outside lower center", ncols=min(len(shown), 4), frameon=False)
    return figure


def _line(panel: Axes, line: pd.DataFrame, label: str, colour: str, place: int) -> None:
    if line.empty:
        return
    shown = line["bf01"].clip(lower=LOWEST)
    outline: dict[str, Any] = {"markersize": 5, "markeredgecolor": "black", "markeredgewidth": 0.5}
    panel.plot(line["r"], shown, color=colour, marker=MARKERS[place % len(MARKERS)], label=label, **outline)
    if (line["bf01"] < LOWEST).any():
        ln = line["ln_bf01"].iloc[(line["r"] - R_MEDIUM).abs().argmin()]
        note = "BF$_{01}$ = 0" if np.isinf(ln) else f"ln BF$_{{01}}$ = {ln:,.0f}"
        above: dict[str, Any] = {"xytext": (0, 7 + 9 * place), "textcoords": "offset points"}
        panel.annotate(f"{label} ↓ {note}", (line["r"].iloc[0], LOWEST), **above, fontsize=7, color=colour)


def _tiers(panel: Axes, named: bool, low: float) -> None:
    """Jeffreys' tiers on a log axis, both ways from 1, as far down as there are values."""
    panel.set_xscale("log")
    panel.set_yscale("log")
    panel.set_xticks(list(TICKS), list(TICKS.values()))
    panel.minorticks_off()
    panel.set_xlim(0.45, 1.57)
    bounds = [start for start, _ in TIERS]
    floor = LOWEST if low < 0.01 else 0.6 * min(1.0, low)
    panel.set_ylim(floor, 1000)
    edges = [*(1 / b for b in bounds[:0:-1]), *bounds]
    panel.set_yticks([e for e in edges if e >= floor], [_number(e) for e in edges if e >= floor])
    for edge in edges:
        panel.axhline(edge, color="black" if edge == 1 else "#C8C8C8", linewidth=0.9 if edge == 1 else 0.6, zorder=0)
    if not named:
        return
    tops = [*bounds[1:], 1000.0]
    for (start, word), top in zip(TIERS, tops, strict=True):
        panel.text(1.6, (start * top) ** 0.5, word, va="center", fontsize=7, clip_on=False)
        if low < 1 and 1 / (start * top) ** 0.5 > floor:
            panel.text(1.6, 1 / (start * top) ** 0.5, f"{word}, against", va="center", fontsize=7, color="#666666")


def _number(edge: float) -> str:
    return f"{edge:.0f}" if edge >= 1 else f"1/{1 / edge:.0f}"
