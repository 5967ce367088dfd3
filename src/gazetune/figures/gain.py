"""Alignment of each model over that of the reference, by image and by category: the paper's Figures 2B and 5C."""

from collections.abc import Collection

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gazetune.figures.palette import Look, literal, shortened
from gazetune.figures.style import MANY, STYLE, between, legend_below, panels_for

PAIR = ["first", "second"]
NAMED = 1  # categories that are named at either end of the gain
ALT = {
    "gain_images": "CC of each test image for a model (up) and for the model it is set against (across); points above "
    "the diagonal are images on which the first is better.",
    "gain_categories": "Mean CC over the images that hold a category: filled markers are the tuned model, joined grey "
    "ones the controls, over the reference (across); above the diagonal alignment rose. The categories that gained "
    "most and least are named.",
}


def draw_gain_images(gained: pd.DataFrame, look: Look) -> Figure:
    """One panel a pair of models, one point an image, the diagonal, and how many images lie above it.

    Args:
        gained: first, second, score_first, score_second, gain (see metrics.gain.gains), without NaN.
    """
    pairs = list(gained.groupby(PAIR, sort=False))
    ends = _ends(gained["score_first"], gained["score_second"])
    with plt.rc_context(STYLE):
        figure, panels = panels_for(len(pairs), 2.9, 3.2)
        for (names, part), panel in zip(pairs, panels, strict=True):
            first, second = (str(name) for name in names)
            _diagonal(panel, ends)
            panel.scatter(
                part["score_second"], part["score_first"], s=14 if len(part) < 1000 else 5, alpha=0.8,
                marker=look.marker(first), color=look.colour(first), edgecolor="black", linewidth=0.3,
                rasterized=len(part) > MANY, label=look.name(first),
            )  # fmt: skip
            above = int((part["gain"] > 0).sum())
            panel.set_title(f"{above:,} of {len(part):,} images above\n({above / len(part):.0%})", fontsize=8)
            panel.set_xlabel(f"CC, {look.name(second)}")
            panel.set_ylabel(f"CC, {look.name(first)}")
    return figure


def draw_gain_categories(drawn: pd.DataFrame, look: Look) -> Figure:
    """One panel a tuned model, one point a category over the reference's mean, joined to those of the controls.

    Args:
        drawn: of `drawn_categories`.
    """
    groups = list(drawn.groupby(PAIR, sort=False))
    ends = _ends(drawn["mean"], drawn["mean_second"])
    with plt.rc_context(STYLE):
        figure, panels = panels_for(len(groups), 3.4, 3.4, columns=3)
        for (names, part), panel in zip(groups, panels, strict=True):
            first, second = (str(name) for name in names)
            _diagonal(panel, ends)
            for _, of in part.groupby("category", sort=False):
                panel.plot(of["mean_second"], of["mean"], color="#B0B0B0", linewidth=0.7, zorder=1)
            for key, of in part.groupby("model", sort=False):
                panel.plot(
                    of["mean_second"], of["mean"], look.marker(str(key)), color=look.colour(str(key)), markersize=5,
                    markeredgecolor="black", markeredgewidth=0.4, label=look.name(str(key)), zorder=2,
                )  # fmt: skip
            own = part[part["model"] == first]
            _name_ends(panel, own)
            above = int((own["mean"] > own["mean_second"]).sum())
            n = f"{above} of {len(own)} categories above\nn = {between(own['n'])} images a category"
            panel.set_title(n, fontsize=8)
            panel.set_xlabel(f"mean CC, {look.name(second)}")
            panel.set_ylabel("mean CC")
        legend_below(figure)
    return figure


def drawn_categories(categories: pd.DataFrame, controls: Collection[str]) -> pd.DataFrame:
    """One row a pair, category and model: the first of the pair, and the controls that it is set against too.

    Columns: first, second, category, model, n, mean (of the model) and mean_second (of the pair's second, across). A
    control that a model is set against is drawn with that model, and not again alone.

    Args:
        categories: of metrics.gain.category_means, of one data set. controls: keys of the controls.
    """
    rows, beside_one = [], set(categories["second"]) & set(controls)
    alone = categories[~categories["second"].isin(controls) & ~categories["first"].isin(beside_one)]
    for (name, _), part in alone.groupby(PAIR, sort=False):
        first = str(name)
        rows.append(part.assign(model=first, mean=part["mean_first"]))
        beside = categories[(categories["first"] == first) & categories["second"].isin(controls)]
        for control, of in beside.groupby("second", sort=False):
            mean = part["category"].map(of.set_index("category")["mean_second"])
            rows.append(part.assign(model=control, mean=mean))
    columns = [*PAIR, "category", "model", "n", "mean", "mean_second"]
    return pd.concat(rows, ignore_index=True)[columns] if rows else pd.DataFrame(columns=columns)


def _ends(*values: pd.Series) -> tuple[float, float]:
    """Limits of both axes, so that all points lie inside and the diagonal is one."""
    low, high = min(v.min() for v in values), max(v.max() for v in values)
    room = 0.05 * (high - low) or 0.05
    return float(low - room), float(high + room)


def _diagonal(panel: Axes, ends: tuple[float, float]) -> None:
    panel.plot(ends, ends, color="black", linewidth=0.8, zorder=0)
    panel.set(xlim=ends, ylim=ends, aspect="equal")


def _name_ends(panel: Axes, own: pd.DataFrame) -> None:
    """Names beside the categories that gained most (left of the point) and least (right of it)."""
    order = own.assign(gain=own["mean"] - own["mean_second"]).sort_values("gain", ascending=False)
    count = min(NAMED, len(order) // 2)
    for part, side, where in ((order.head(count), "right", (-5, 2)), (order.tail(count), "left", (5, -2))):
        for row in part.to_dict("records"):
            panel.annotate(
                literal(shortened(str(row["category"]), 18)), (row["mean_second"], row["mean"]), xytext=where,
                textcoords="offset points", ha=side, va="center", fontsize=7,
            )  # fmt: skip
