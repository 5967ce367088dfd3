"""How well each model looks where people look: the bars of the paper's Figures 2A and 5B."""

from collections.abc import Mapping

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gazetune.figures.accuracy import draw_point, set_and_head
from gazetune.figures.palette import Look, literal
from gazetune.figures.style import EDGE, STYLE, between, panels_for, turned
from gazetune.metrics import Metric
from gazetune.tables.rows import CEILING

ALT = {
    "alignment": "Mean of every metric for humans, the centre prior and each model; error bars are 1 SEM over images, "
    "the dashed line is what humans reach who predict one another. Where values lie far from 0 the axis does not "
    "begin there, and points stand in place of bars.",
    "alignment_and_accuracy": "The same metrics, and beside them the top-1 accuracy of each model with its 95 % "
    "interval: what alignment gained and what it cost, in one picture.",
}


def draw_alignment(
    means: pd.DataFrame, metrics: Mapping[str, Metric], look: Look, accuracy: pd.DataFrame | None = None
) -> Figure:
    """One panel a metric, one bar a model: mean over images, error bars 1 SEM; dashed the humans' ceiling.

    Args:
        means: model, metric, mean, sem, n (see statistics.compare.describe).
        accuracy: rows of `drawn_accuracy`, of which there is then a panel each data set and head.
    """
    shown = [m for m in metrics if (means["metric"] == m).any()]
    sets = [] if accuracy is None else list(accuracy.groupby(["dataset", "head"], sort=False))
    most = max([(means["metric"] == m).sum() for m in shown])
    with plt.rc_context(STYLE):
        figure, panels = panels_for(len(shown) + len(sets), max(2.4, 0.3 * most + 0.9), 2.7)
        for metric, panel in zip(shown, panels, strict=False):
            part = means[means["metric"] == metric]
            bars_or_points(panel, part, look)
            for ceiling in part.loc[part["model"] == CEILING, "mean"]:
                panel.axhline(ceiling, color="black", linewidth=0.8, linestyle="--", zorder=0)
            panel.set_title(f"{literal(metrics[metric].heading or metric)}\nn = {between(part['n'])}", fontsize=8)
            panel.set_ylabel(literal(metrics[metric].unit))
        for (names, part), panel in zip(sets, panels[len(shown) :], strict=True):
            _accuracy(panel, part, look)
            dataset, head = (str(name) for name in names)
            panel.set_title(f"{set_and_head(dataset, head)}\nn = {between(part['images'])} images", fontsize=8)
    return figure


def bars_or_points(panel: Axes, part: pd.DataFrame, look: Look) -> None:
    """The means of one measure with bars of 1 SEM, the rows across: bars from 0, or points where 0 is far away.

    Bars that do not begin at 0 would show differences larger than they are.
    """
    low, high = (part["mean"] - part["sem"].fillna(0)).min(), (part["mean"] + part["sem"].fillna(0)).max()
    far = low > 0 and high < 1.25 * low
    for place, row in enumerate(part.to_dict("records")):
        key, error = str(row["model"]), {"yerr": row["sem"], "capsize": 2, "label": look.name(str(row["model"]))}
        if far:
            panel.errorbar(
                place, row["mean"], fmt=look.marker(key), color=look.colour(key), markeredgecolor="black",
                ecolor="black", elinewidth=1, markersize=6, **error,
            )  # fmt: skip
        else:
            panel.bar(place, row["mean"], color=look.colour(key), **EDGE, **error)
    if far:
        room = 0.15 * (high - low) or 0.01 * high
        panel.set_ylim(low - room, high + room)
    elif low < 0:
        panel.axhline(0, color="black", linewidth=0.8)
    panel.set_xlim(-0.6, len(part) - 0.4)
    turned(panel, [look.name(str(key)) for key in part["model"]])


def _accuracy(panel: Axes, part: pd.DataFrame, look: Look) -> None:
    for place, row in enumerate(part.to_dict("records")):
        draw_point(panel, place, row, look)
    panel.set_ylim(0, 105)
    panel.set_xlim(-0.6, len(part) - 0.4)
    panel.set_ylabel("top-1 accuracy, %")
    turned(panel, [look.name(str(key)) for key in part["model"]])
