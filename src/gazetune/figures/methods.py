"""The same models by several attention methods: one line a model, its mean CC by each."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from gazetune.attention import METHODS
from gazetune.figures.palette import Look, literal
from gazetune.figures.style import MAP, STYLE, between, legend_below, save, turned
from gazetune.run import SUMMARY, Run

ALT = {
    "methods": "Mean CC with its 95 % interval by several attention methods (across), one line a model.",
    "methods_table": "The same mean CC as a table, models down and attention methods across, coloured by the value.",
}


def write_methods(run: Run, dataset: str, look: Look) -> list[str]:
    """`figures/methods` and `methods_table`, where methods were compared on this data set and CC was asked for."""
    means = [m for m in run.json(SUMMARY).get("methods", []) if m["dataset"] == dataset and m["metric"] == "cc"]
    if not means:
        return []
    drawn = pd.DataFrame(means)
    return [
        *save(run, "methods", draw_methods(drawn, look), drawn, look.formats),
        *save(run, "methods_table", draw_method_table(drawn, look), drawn, look.formats),
    ]


def draw_methods(means: pd.DataFrame, look: Look) -> Figure:
    """Mean CC over images with its 95 % interval: methods across, one line a model.

    `means` has model (a key), attention, n, mean, ci_low and ci_high.
    """
    methods, models = list(dict.fromkeys(means["attention"])), list(dict.fromkeys(means["model"]))
    with plt.rc_context(STYLE):
        figure, panel = plt.subplots(figsize=(max(4.0, 0.9 * len(methods) + 1.2), 3.6))
        for i, key in enumerate(models):
            part = means[means["model"] == key].set_index("attention").reindex(methods)
            ends = [part["mean"] - part["ci_low"], part["ci_high"] - part["mean"]]
            panel.errorbar(
                [j + 0.06 * (i - (len(models) - 1) / 2) for j in range(len(methods))], part["mean"], yerr=ends,
                marker=look.marker(key), color=look.colour(key), label=look.name(key), markeredgecolor="black",
                capsize=2, linewidth=1.2,
            )  # fmt: skip
        turned(panel, [_named(method) for method in methods])
        panel.set_ylabel("mean CC, 95 % interval")
        panel.set_title(f"n = {between(means['n'])} images", fontsize=8)
        panel.axhline(0, color="black", linewidth=0.6)
        legend_below(figure)
    return figure


def draw_method_table(means: pd.DataFrame, look: Look) -> Figure:
    """The means as a table: models down, methods across, the value in each cell and in its colour.

    A method that a model was not scored by has an empty cell.
    """
    wide = means.pivot(index="model", columns="attention", values="mean")
    wide = wide.reindex(index=means["model"].unique(), columns=means["attention"].unique())
    rows, columns = wide.shape
    with plt.rc_context(STYLE):
        figure, panel = plt.subplots(figsize=(0.85 * columns + 2.6, 0.45 * rows + 1.6))
        shown = panel.imshow(wide, cmap=MAP, aspect="auto")
        middle = (wide.max().max() + wide.min().min()) / 2
        for (i, j), value in np.ndenumerate(wide.to_numpy(dtype=np.float64)):
            if not np.isnan(value):
                panel.text(j, i, f"{value:.3f}", ha="center", va="center", color="white" if value < middle else "black")
        turned(panel, [_named(method) for method in wide.columns])
        panel.set_yticks(range(rows), [look.name(str(key)) for key in wide.index])
        panel.tick_params(length=0)
        panel.spines[:].set_visible(False)
        panel.set_title(f"n = {between(means['n'])} images", fontsize=8)
        figure.colorbar(shown, label="mean CC")
    return figure


def _named(method: str) -> str:
    return literal(METHODS[method].label or method if method in METHODS else method)
