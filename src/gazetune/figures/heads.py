"""How human-like each attention head and each layer is."""

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from gazetune.figures.palette import Look
from gazetune.figures.style import ACROSS, MAP, STYLE, between, legend_below, panels_for, save
from gazetune.metrics.heads import MEAN, TABLE
from gazetune.run import SUMMARY, Run
from gazetune.tables.rows import MEAN_MAP, keyed

CELL_INCHES, PANEL_INCHES = 0.22, 2.1  # of a cell; at least, of a panel, whose title is wider than a few heads
ALT = {
    "heads": "How human-like each attention head is: mean CC of its [CLS] attention (of a model that is not read at "
    "[CLS]: the mean over its patches) with the human density maps, by layer (rows, 1 is the first) and head (columns; "
    "mean: the average over the heads of a layer). One panel a model, one scale, in whose bar a line marks the mean "
    "training map; a frame marks the best head of each model.",
    "layers": "How human-like each layer is: mean CC of the average over its heads with the human density maps, error "
    "bars 1 SEM, one line a model; dotted the best single head of the layer, dashed the mean training map.",
}


def write_heads(run: Run, dataset: str, look: Look) -> list[str]:
    """`figures/heads` and `layers` with their numbers, where the run has scored heads on this data set."""
    heads = run.table(TABLE) if run.file(f"{TABLE}.csv").is_file() else None
    drawn = None if heads is None else keyed(heads).query("dataset == @dataset and metric == 'cc'")
    if drawn is None or drawn["mean"].isna().all():
        return []
    rows = [(a["dataset"], a["model"], a["metric"], a["mean"]) for a in run.json(SUMMARY)["alignment"]]
    mean_map = next((mean for *row, mean in rows if row == [dataset, MEAN_MAP, "cc"]), None)
    by_layer = drawn_layers(drawn)
    return [
        *save(run, "heads", draw_heads(drawn, look, mean_map), drawn.drop(columns="key"), look.formats),
        *save(run, "layers", draw_layers(by_layer, look, mean_map), by_layer, look.formats),
    ]


def drawn_layers(heads: pd.DataFrame) -> pd.DataFrame:
    """One row a model and layer: model (a key), layer, n, mean and sem of the average over heads, best_head, best."""
    rows = []
    for (key, layer), part in heads.groupby(["key", "layer"], sort=False):
        alone = part[(part["head"] != MEAN) & part["mean"].notna()]
        best = alone.nlargest(1, "mean")[["head", "mean"]].to_dict("records")
        found = {"best_head": best[0]["head"], "best": best[0]["mean"]} if best else {"best_head": None, "best": np.nan}
        for average in part[part["head"] == MEAN].to_dict("records"):
            shown = {column: average[column] for column in ("n", "mean", "sem")}
            rows.append({"model": key, "layer": layer, **shown, **found})
    return pd.DataFrame(rows)


def draw_layers(drawn: pd.DataFrame, look: Look, mean_map: float | None = None) -> Figure:
    """Mean CC of the average over heads by layer, 1 SEM, one line a model; dotted the best single head of each layer.

    Args:
        drawn: of `drawn_layers`. mean_map: CC of the mean training map (dashed), where there is one.
    """
    layers = sorted(drawn["layer"].unique())
    with plt.rc_context(STYLE):
        figure, panel = plt.subplots(figsize=(max(4.2, 0.32 * len(layers) + 1.2), 3.6))
        for name, part in drawn.groupby("model", sort=False):
            key = str(name)
            of = part.sort_values("layer")
            panel.errorbar(
                of["layer"], of["mean"], yerr=of["sem"], marker=look.marker(key), color=look.colour(key),
                markeredgecolor="black", markeredgewidth=0.6, capsize=2, linewidth=1.4, label=look.name(key),
            )  # fmt: skip
            panel.plot(of["layer"], of["best"], color=look.colour(key), linewidth=1, linestyle=":")
        panel.plot([], [], color="black", linewidth=1, linestyle=":", label="best single head")
        if mean_map is not None:
            panel.axhline(mean_map, color="black", linewidth=0.8, linestyle="--", label="mean training map")
        panel.axhline(0, color="black", linewidth=0.6, zorder=0)
        panel.set_xticks(layers)
        panel.set_xlabel("layer")
        panel.set_ylabel("mean CC of its heads together")
        panel.set_title(f"n = {between(drawn['n'])} images", fontsize=8)
        legend_below(figure, columns=3)
    return figure


def draw_heads(heads: pd.DataFrame, look: Look, mean_map: float | None = None) -> Figure:
    """Heat maps of the mean CC of each layer (down) and head (across, the average over heads first), on one scale.

    A frame marks the best head of each model; a line in the colour bar what the mean training map reaches.

    Args:
        heads: key, layer, head (0: the average over heads) and mean, for one metric and data set.
        mean_map: CC of the mean training map, where there is one.
    """
    models = heads.groupby("key", sort=False)
    wide = {str(key): part.pivot(index="layer", columns="head", values="mean") for key, part in models}
    beside = [] if mean_map is None else [mean_map]
    low, high = min([heads["mean"].min(), *beside]), max([heads["mean"].max(), *beside])
    width = max(PANEL_INCHES, CELL_INCHES * max(part.shape[1] for part in wide.values()) + 0.5)
    height = CELL_INCHES * max(len(part) for part in wide.values()) + 1.1
    with plt.rc_context(STYLE):
        figure, panels = panels_for(len(wide), width, height, beside=1.0)
        for panel, (key, part) in zip(panels, wide.items(), strict=True):
            shown = panel.imshow(part, cmap=MAP, vmin=low, vmax=high)
            _ticks(panel, part)
            _mark_best(panel, part, look.name(key))
        rows = -(-len(wide) // ACROSS)
        bar = figure.colorbar(shown, ax=figure.axes, label="mean CC", fraction=0.05, shrink=1 / rows, anchor=(0, 1))
        if mean_map is not None:
            for colour, width in (("white", 3.0), ("black", 1.2)):  # also seen at the end of the scale
                bar.ax.axhline(mean_map, color=colour, linewidth=width, clip_on=False)
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
    panel.add_patch(Rectangle(corner, 1, 1, fill=False, edgecolor="black", linewidth=1.5, clip_on=False, zorder=5))
    panel.set_title(f"{label}\nbest: layer {row + 1}, head {column + 1}, {np.nanmax(values):.2f}", fontsize=8)
