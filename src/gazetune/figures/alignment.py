"""How well each model looks where people look: the bars of the paper's Figure 2A."""

from collections.abc import Mapping

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gazetune.figures.style import HUMAN_COLOUR, STYLE
from gazetune.metrics import Metric


def draw_alignment(
    means: pd.DataFrame, metrics: Mapping[str, Metric], labels: Mapping[str, str], colours: Mapping[str, str]
) -> Figure:
    """One panel a metric, one bar a model: mean over images, error bars 1 SEM.

    `means` has the columns model, metric, mean, sem, n (see statistics.compare.describe).
    """
    shown = [m for m in metrics if (means["metric"] == m).any()]
    columns = min(4, len(shown))
    rows = -(-len(shown) // columns)
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(rows, columns, figsize=(2.4 * columns, 2.5 * rows), squeeze=False)
        for metric, panel in zip(shown, panels.flat, strict=False):
            part = means[means["metric"] == metric]
            for place, row in enumerate(part.itertuples()):
                panel.bar(
                    place, row.mean, yerr=row.sem, color=colours.get(str(row.model), HUMAN_COLOUR), edgecolor="black",
                    linewidth=0.8, capsize=2, label=labels.get(str(row.model), str(row.model)),
                )  # fmt: skip
            panel.set_xticks(range(len(part)), [labels.get(m, m) for m in part["model"]], rotation=40, ha="right")
            panel.set_title(metrics[metric].heading or metric)
            panel.set_ylabel(metrics[metric].unit)
            _limit(panel, part)
        for panel in panels.flat[len(shown) :]:
            panel.set_axis_off()
    return figure


def _limit(panel: Axes, part: pd.DataFrame) -> None:
    # bars start at 0, save where all values are so far from it that their differences would not show
    low, high = (part["mean"] - part["sem"]).min(), (part["mean"] + part["sem"]).max()
    if low > 0 and high < 1.25 * low:
        panel.set_ylim(low - 0.5 * (high - low), high + 0.1 * (high - low))
