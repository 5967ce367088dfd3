"""How often each model is right: the paper's Figure 4A, for any number of models, data sets and heads."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gazetune.figures.style import HUMAN_COLOUR, STYLE, literal
from gazetune.parity.compare import IMAGE
from gazetune.tables.changes import head_name, to_read, with_head

COLUMNS = 4
GROUP = ["dataset", "head"]
WILSON, OVER_IMAGES = "Wilson", "t over images"
LEAST_SPAN = 2.0  # percentage points that a panel shows at least: smaller differences are to look small


def drawn_accuracy(accuracy: pd.DataFrame, parity: pd.DataFrame) -> pd.DataFrame:
    """The rows of `accuracy` with the interval that is drawn: low, high, `interval` (its kind) and `images`.

    Wilson's; where a data set has several predictions of an image, the t interval over images of `parity`, for
    Wilson's takes them for independent.
    """
    drawn = with_head(accuracy).rename(columns={"top1_ci_low": "low", "top1_ci_high": "high"})
    drawn = drawn.assign(interval=WILSON, images=drawn["n"])
    rows = to_read(parity) if len(parity) else parity
    for row in rows[rows["unit"] == IMAGE].to_dict("records") if len(rows) else []:
        for side in ("first", "second"):
            at = (drawn[["dataset", "head", "model"]] == [row["dataset"], row["head"], row[side]]).all(axis=1)
            ends = [row[f"accuracy_low_{side}"], row[f"accuracy_high_{side}"]]
            drawn.loc[at, ["low", "high"]] = ends
            drawn.loc[at, "interval"], drawn.loc[at, "images"] = OVER_IMAGES, row["n"]
    return drawn[["dataset", "head", "model", "n", "images", "top1", "low", "high", "interval"]]


def draw_accuracy(
    drawn: pd.DataFrame, reference: str, labels: Mapping[str, str], paint: Mapping[str, str], marks: Mapping[str, str]
) -> Figure:
    """One panel a data set and head, one point a model, the reference first: top-1 in per cent with its 95 % interval.

    The dashed line is the reference, from which the others are read. Axes begin where the values do, not at 0.

    Args:
        drawn: of `drawn_accuracy`. reference: key of the reference. labels, paint, marks: of the models, by key.
    """
    order = {key: place for place, key in enumerate([reference, *labels])} | {reference: -1}
    ordered = drawn.sort_values("model", key=lambda keys: keys.map(order), kind="stable")  # of each panel's points
    groups = [(names, ordered.loc[ordered.index.isin(part.index)]) for names, part in drawn.groupby(GROUP, sort=False)]
    columns = min(COLUMNS, len(groups))
    rows = -(-len(groups) // columns)
    most = max(len(part) for _, part in groups)
    with plt.rc_context(STYLE):
        size = (max(2.3, 0.55 * most + 1.1) * columns, 3.1 * rows)
        figure, panels = plt.subplots(rows, columns, figsize=size, squeeze=False)
        for ((dataset, head), part), panel in zip(groups, panels.flat, strict=False):
            for place, row in enumerate(part.to_dict("records")):
                _point(panel, place, row, labels, paint, marks)
            _baseline(panel, part, reference)
            names = [literal(labels.get(key, key)) for key in part["model"]]
            panel.set_xticks(range(len(part)), names, rotation=40, ha="right", rotation_mode="anchor")
            panel.set_xlim(-0.6, len(part) - 0.4)
            panel.set_ylim(*_limits(part))
            panel.set_title(f"{literal(str(dataset))}, {literal(head_name(str(head)))}\n{_size(part)}", fontsize=8)
        for panel in panels.flat[len(groups) :]:
            panel.set_axis_off()
        for row in panels:
            row[0].set_ylabel("top-1 accuracy, %")
    return figure


def _point(
    panel: Axes, place: int, row: Mapping[Hashable, Any], labels: Mapping[str, str], paint: Mapping[str, str],
    marks: Mapping[str, str],
) -> None:  # fmt: skip
    key, top1 = str(row["model"]), 100 * row["top1"]
    panel.plot([place, place], [100 * row["low"], 100 * row["high"]], color="black", linewidth=1, zorder=2)
    panel.plot(
        place, top1, marks.get(key, "o"), color=paint.get(key, HUMAN_COLOUR), markersize=7, markeredgecolor="black",
        markeredgewidth=0.6, label=literal(labels.get(key, key)), zorder=3,
    )  # fmt: skip
    panel.annotate(
        f"{top1:.1f}", (place, 100 * row["high"]), xytext=(0, 3), textcoords="offset points", fontsize=7, ha="center"
    )


def _baseline(panel: Axes, part: pd.DataFrame, reference: str) -> None:
    for top1 in part.loc[part["model"] == reference, "top1"]:
        panel.axhline(100 * top1, color="black", linewidth=0.8, linestyle="--", zorder=1)


def _limits(part: pd.DataFrame) -> tuple[float, float]:
    low, high = 100 * part[["low", "top1"]].min().min(), 100 * part[["high", "top1"]].max().max()
    middle, half = (low + high) / 2, 0.6 * max(high - low, LEAST_SPAN)
    return max(-1.0, middle - half), min(102.0, middle + half)


def _size(part: pd.DataFrame) -> str:
    """How many predictions, of how many images, and what kind of interval."""
    n, images = between(part["n"]), between(part["images"])
    if (part["interval"] == OVER_IMAGES).any():
        return f"n = {n} predictions of {images} images\n95 % t intervals over images"
    return f"n = {n}, Wilson 95 %"


def between(counts: pd.Series) -> str:
    """A count, or the range of several."""
    low, high = int(counts.min()), int(counts.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"
