"""Where alignment rose: the gain of each image against how far its observers agree."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from gazetune.figures.style import HUMAN_COLOUR, STYLE

COLUMNS = 4


def draw_consistency(
    gained: pd.DataFrame, lines: pd.DataFrame, labels: Mapping[str, str], colours: Mapping[str, str]
) -> Figure:
    """One panel a pair of models, one point an image: gain in CC over consistency, the least-squares line, and r.

    Args:
        gained: first, second, consistency, gain (see metrics.gain.gains), without NaN. lines: r, n, slope and intercept
            of each pair (see metrics.gain.consistency_correlations).
        labels, colours: of the models, by key; a panel has the colour of its first model.
    """
    pairs = list(gained[["first", "second"]].drop_duplicates().itertuples(index=False, name=None))
    columns = min(COLUMNS, len(pairs))
    rows = -(-len(pairs) // columns)
    with plt.rc_context(STYLE):
        size = (2.9 * columns, 2.9 * rows)
        figure, panels = plt.subplots(rows, columns, figsize=size, squeeze=False, sharex=True, sharey=True)
        for (first, second), panel in zip(pairs, panels.flat, strict=False):
            part = gained[(gained["first"] == first) & (gained["second"] == second)]
            line = lines[(lines["first"] == first) & (lines["second"] == second)].iloc[0]
            panel.axhline(0, color="black", linewidth=0.6, linestyle=":")
            colour = colours.get(first, HUMAN_COLOUR)
            panel.scatter(part["consistency"], part["gain"], s=14, color=colour, edgecolor="black", linewidth=0.4)
            ends = np.array([part["consistency"].min(), part["consistency"].max()])
            panel.plot(ends, line["intercept"] + line["slope"] * ends, color="black", linewidth=1.2)
            r = f"r = {line['r']:.2f}" if line["r"] == line["r"] else "r: none"
            panel.set_title(f"{labels.get(first, first)} - {labels.get(second, second)}\n{r}, n = {line['n']}")
        for panel in panels.flat[len(pairs) :]:
            panel.set_axis_off()
        for panel in panels.flat[len(pairs) - columns : len(pairs)]:
            panel.tick_params(labelbottom=True)  # the lowest of its column, where those below it are off
        figure.supxlabel("consistency of the observers (mean pairwise CC)", fontsize="medium")
        figure.supylabel("gain in CC", fontsize="medium")
    return figure
