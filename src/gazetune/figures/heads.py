"""How human-like each attention head is: one panel a model, layers down, heads across."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from gazetune.figures.style import MAP, STYLE, save
from gazetune.metrics.heads import MEAN, TABLE
from gazetune.run import SUMMARY, Run
from gazetune.tables.rows import MEAN_MAP, keyed

NAME = "heads"
CELL_INCHES, PANEL_INCHES = 0.22, 2.1  # of a cell; at least, of a panel, whose title is wider than a few heads
ACROSS = 4  # panels in a row


def write_heads(run: Run, dataset: str, labels: Mapping[str, str]) -> list[str]:
    """`figures/heads.png` and its numbers, where the run has scored heads on this data set."""
    heads = run.table(TABLE) if run.file(f"{TABLE}.csv").is_file() else None
    drawn = None if heads is None else keyed(heads).query("dataset == @dataset and metric == 'cc'")
    if drawn is None or drawn["mean"].isna().all():
        return []
    rows = [(a["dataset"], a["model"], a["metric"], a["mean"]) for a in run.json(SUMMARY)["alignment"]]
    mean_map = next((mean for *row, mean in rows if row == [dataset, MEAN_MAP, "cc"]), None)
    return save(run, NAME, draw_heads(drawn, labels, mean_map), drawn.drop(columns="key"))


def draw_heads(heads: pd.DataFrame, labels: Mapping[str, str], mean_map: float | None = None) -> Figure:
    """Heat maps of the mean CC of each layer (down) and head (across, the average over heads first), on one scale.

    A frame marks the best head of each model; a line in the colour bar what the mean training map reaches.

    Args:
        heads: key, layer, head (0: the average over heads) and mean, for one metric and data set.
        labels: what each model is called, by key. mean_map: CC of the mean training map, where there is one.
    """
    models = heads.groupby("key", sort=False)
    wide = {str(key): part.pivot(index="layer", columns="head", values="mean") for key, part in models}
    beside = [] if mean_map is None else [mean_map]
    low, high = min([heads["mean"].min(), *beside]), max([heads["mean"].max(), *beside])
    columns = min(ACROSS, len(wide))
    rows = -(-len(wide) // columns)
    width = max(PANEL_INCHES, CELL_INCHES * max(part.shape[1] for part in wide.values()) + 0.5)
    height = CELL_INCHES * max(len(part) for part in wide.values()) + 1.1
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(rows, columns, figsize=(width * columns + 1, height * rows), squeeze=False)
        for panel, (key, part) in zip(panels.flat, wide.items(), strict=False):
            shown = panel.imshow(part, cmap=MAP, vmin=low, vmax=high)
            _ticks(panel, part)
            _mark_best(panel, part, labels.get(key, key))
        for panel in panels.flat[len(wide) :]:
            panel.set_axis_off()
        bar = figure.colorbar(shown, ax=panels, label="mean CC", fraction=0.05, shrink=1 / rows, anchor=(0, 1))
        if mean_map is not None:
            bar.ax.axhline(mean_map, color="white", linewidth=2)
    return figure


def _ticks(panel: Axes, part: pd.DataFrame) -> None:
    panel.set_xticks(range(part.shape[1]), ["mean" if head == MEAN else str(head) for head in part.columns])
    panel.set_yticks(range(len(part)), [str(layer) for layer in part.index])
    panel.tick_params(length=0, labelsize=7)
    panel.get_xticklabels()[0].set_rotation(90)
    panel.set_xlabel("head")
    panel.set_ylabel("layer")
    panel.axvline(0.5, color="white", linewidth=2)
    panel.spines[:].set_visible(False)


def _mark_best(panel: Axes, part: pd.DataFrame, label: str) -> None:
    values = part.drop(columns=MEAN).to_numpy(dtype=np.float64)
    if np.isnan(values).all():
        panel.set_title(label, fontsize=8)
        return
    row, column = np.unravel_index(np.nanargmax(values), values.shape)
    corner = (float(column) + 0.5, float(row) - 0.5)  # the average over heads is the first column
    panel.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="black", linewidth=1.5, clip_on=False))
    panel.set_title(f"{label}\nbest: layer {row + 1}, head {column + 1}, {np.nanmax(values):.2f}", fontsize=8)
