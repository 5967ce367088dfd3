"""How often each model is right: the paper's Figure 4A, for any number of models, data sets and heads."""

from collections.abc import Hashable, Mapping
from typing import Any

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gazetune.figures.palette import Look, literal, shortened
from gazetune.figures.style import ACROSS, STYLE, between, panels_for, turned
from gazetune.parity.compare import IMAGE
from gazetune.tables.changes import head_name, to_read, with_head

GROUP = ["dataset", "head"]
ALT = {
    "accuracy": "Top-1 accuracy of each model by data set and classification head, with 95 % intervals; the dashed "
    "line is the reference. Axes do not begin at 0.",
}
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


def draw_accuracy(drawn: pd.DataFrame, reference: str, look: Look) -> Figure:
    """One panel a data set and head, one point a model, the reference first: top-1 in per cent with its 95 % interval.

    The dashed line is the reference, from which the others are read. Axes begin where the values do, not at 0.

    Args:
        drawn: of `drawn_accuracy`. reference: key of the reference.
    """
    order = {key: place for place, key in enumerate([reference, *look.labels])} | {reference: -1}
    ordered = drawn.sort_values("model", key=lambda keys: keys.map(order), kind="stable")  # of each panel's points
    groups = [(names, ordered.loc[ordered.index.isin(part.index)]) for names, part in drawn.groupby(GROUP, sort=False)]
    most = max(len(part) for _, part in groups)
    with plt.rc_context(STYLE):
        figure, panels = panels_for(len(groups), max(2.3, 0.55 * most + 1.1), 3.1)
        for ((dataset, head), part), panel in zip(groups, panels, strict=True):
            for place, row in enumerate(part.to_dict("records")):
                draw_point(panel, place, row, look)
            _baseline(panel, part, reference)
            turned(panel, [look.name(key) for key in part["model"]])
            panel.set_xlim(-0.6, len(part) - 0.4)
            panel.set_ylim(*_limits(part))
            panel.set_title(f"{set_and_head(str(dataset), str(head))}\n{_size(part)}", fontsize=8)
        for panel in panels[::ACROSS]:
            panel.set_ylabel("top-1 accuracy, %")
    return figure


def draw_point(panel: Axes, place: int, row: Mapping[Hashable, Any], look: Look) -> None:
    """A model's top-1 accuracy in per cent, with its interval and the number above it; `row` of `drawn_accuracy`."""
    key, top1 = str(row["model"]), 100 * row["top1"]
    panel.plot([place, place], [100 * row["low"], 100 * row["high"]], color="black", linewidth=1, zorder=2)
    panel.plot(
        place, top1, look.marker(key), color=look.colour(key), markersize=7, markeredgecolor="black",
        markeredgewidth=0.6, label=look.name(key), zorder=3,
    )  # fmt: skip
    panel.annotate(
        f"{top1:.1f}", (place, 100 * row["high"]), xytext=(0, 3), textcoords="offset points", fontsize=7, ha="center"
    )


def set_and_head(dataset: str, head: str) -> str:
    """A set of labelled images and a classification head, a line each: together they are wider than a panel."""
    return f"{literal(shortened(dataset))}\n{literal(head_name(head))}"


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
