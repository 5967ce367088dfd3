"""Where alignment rose: the gain of each image against how far its observers agree (the paper's Figure 2C)."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gazetune.figures.palette import Look
from gazetune.figures.style import EDGE, MANY, STYLE, between, legend_below, p_words, panels_for

PAIR = ["first", "second"]
QUANTITIES = {"gain": "gain in CC", "normalised_gain": "share of the headroom won"}
ALT = {
    "consistency": "Gain in CC of each test image against how far its observers agree, with the least-squares line.",
    "consistency_quartiles": "Mean gain in CC, and mean share of the headroom that was won, in each quarter of the "
    "images from the least (Q1) to the most consistent observers (Q4); one bar each model that it is set against, "
    "error bars 1 SEM.",
}


def draw_consistency(gained: pd.DataFrame, lines: pd.DataFrame, look: Look) -> Figure:
    """One panel a pair of models, one point an image: gain in CC over consistency, the least-squares line, and r.

    Args:
        gained: first, second, consistency, gain (see metrics.gain.gains), without NaN. lines: r, n, p, slope and
            intercept of each pair (see metrics.gain.consistency_correlations). A panel has the look of its first.
    """
    pairs = list(gained.groupby(PAIR, sort=False))
    with plt.rc_context(STYLE):
        figure, panels = panels_for(len(pairs), 2.9, 3.0, sharex=True, sharey=True)
        for (names, part), panel in zip(pairs, panels, strict=True):
            first, second = (str(name) for name in names)
            line = lines[(lines["first"] == first) & (lines["second"] == second)].iloc[0]
            panel.axhline(0, color="black", linewidth=0.6, linestyle=":")
            panel.scatter(
                part["consistency"], part["gain"], s=14 if len(part) < 1000 else 5, marker=look.marker(first),
                color=look.colour(first), edgecolor="black", linewidth=0.3, alpha=0.8, rasterized=len(part) > MANY,
            )  # fmt: skip
            ends = np.array([part["consistency"].min(), part["consistency"].max()])
            panel.plot(ends, line["intercept"] + line["slope"] * ends, color="black", linewidth=1.2)
            r = f"r = {line['r']:.2f}, {p_words(line['p'])}" if line["r"] == line["r"] else "r: none"
            panel.set_title(f"{look.name(first)} - {look.name(second)}\n{r}, n = {line['n']:,}", fontsize=8)
            panel.tick_params(labelbottom=True)  # also where nothing stands below
        figure.supxlabel("consistency of the observers (mean pairwise CC)", fontsize="medium")
        figure.supylabel("gain in CC", fontsize="medium")
    return figure


def draw_quartiles(quartiles: pd.DataFrame, look: Look) -> Figure:
    """A column a model, rows the gain and the share of the headroom: bars by quarter of the consistency, 1 SEM.

    A bar over the reference has the model's colour, a bar over a control the control's.

    Args:
        quartiles: first, second, quartile, quantity, n, mean, sem (see metrics.gain.quartile_means).
    """
    models = list(quartiles["first"].unique())
    with plt.rc_context(STYLE):
        size = (2.9 * len(models) + 0.3, 4.6)
        figure, grid = plt.subplots(len(QUANTITIES), len(models), figsize=size, squeeze=False, sharey="row")
        for row, (quantity, unit) in zip(grid, QUANTITIES.items(), strict=True):
            for first, panel in zip(models, row, strict=True):
                part = quartiles[(quartiles["first"] == first) & (quartiles["quantity"] == quantity)]
                _bars(panel, part, str(first), look)
            row[0].set_ylabel(unit)
        for first, panel in zip(models, grid[0], strict=True):
            n = between(quartiles.loc[quartiles["first"] == first, "n"])
            panel.set_title(f"{look.name(str(first))}\nn = {n} images a quarter", fontsize=8)
        for panel in grid[-1]:
            panel.set_xlabel("quarter of the images,\nby consistency of the observers")
        legend_below(figure)
    return figure


def _bars(panel: Axes, part: pd.DataFrame, first: str, look: Look) -> None:
    rivals = list(part["second"].unique())
    if not rivals:  # no headroom, say, where maps are those of the people
        panel.text(0.5, 0.5, "no values", transform=panel.transAxes, ha="center", va="center")
        return
    width = 0.8 / len(rivals)
    for i, rival in enumerate(rivals):
        of, control = part[part["second"] == rival].sort_values("quartile"), rival in look.controls
        panel.bar(
            of["quartile"] + (i - (len(rivals) - 1) / 2) * width, of["mean"], width, yerr=of["sem"], capsize=2,
            color=look.colour(str(rival) if control else first), hatch="///" if control else "",
            label=f"{look.name(first)} - {look.name(str(rival))}", **EDGE,
        )  # fmt: skip
    panel.axhline(0, color="black", linewidth=0.8)
    panel.set_xticks(sorted(part["quartile"].unique()), [f"Q{int(q)}" for q in sorted(part["quartile"].unique())])
