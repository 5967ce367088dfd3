"""How concentrated attention is, and whether that holds in empty and in full scenes: the paper's Figure 3C."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gazetune.biases.sparsity import level_names
from gazetune.figures.alignment import bars_or_points
from gazetune.figures.palette import HUMAN_COLOUR, Look
from gazetune.figures.style import EDGE, STYLE, between, legend_below, save, turned
from gazetune.run import Run
from gazetune.tables.biases import objects_name
from gazetune.tables.rows import keyed

ALT = {
    "sparsity": "Entropy of the maps in bits; less is sparser. Left: change of each model against the reference on the "
    "same images, with Cohen's d. Middle: mean of each row, dotted a map that is the same everywhere. Right: by the "
    "number of annotated objects. Error bars are 1 SEM over images.",
}
WHOLE = "all"  # the level of all images together


def write_sparsity(
    run: Run, dataset: str, rows: Sequence[str], models: Collection[str], reference: str, look: Look
) -> list[str]:
    """`figures/sparsity` where entropies were analysed by clutter. rows: keys of the rows to draw, in order."""
    if not run.file("sparsity.csv").is_file():
        return []
    table = keyed(run.table("sparsity").query("dataset == @dataset"))
    if table["entropy_bits"].isna().all():
        return []
    drawn = drawn_sparsity(table, rows, models, reference)
    uniform = 2 * float(np.log2(run.about(objects_name(dataset))["size"]))
    return save(run, "sparsity", draw_sparsity(drawn, look, uniform), drawn, look.formats)


def drawn_sparsity(table: pd.DataFrame, rows: Sequence[str], models: Collection[str], reference: str) -> pd.DataFrame:
    """One row a quantity, level of clutter and row of maps: quantity, clutter, model, n, mean, sem and d.

    quantity: `entropy_bits`; `change`, that of a model less the reference's on the same image, of all images, with
    Cohen's d (mean / SD). clutter: `all`, or a level.

    Args:
        table: image, key, clutter and entropy_bits, of one data set. rows: keys, in order; of these `models` are set
            against the reference.
    """
    wide = table.pivot(index="image", columns="key", values="entropy_bits")
    level = table.drop_duplicates("image").set_index("image")["clutter"].reindex(wide.index)
    keys = [key for key in rows if key in wide]
    found = [{"quantity": "entropy_bits", "clutter": WHOLE, "model": key, **_shape(wide[key])} for key in keys]
    for name in level_names():
        part = wide[level == name]
        found += [
            {"quantity": "entropy_bits", "clutter": name, "model": key, **_shape(part[key])}
            for key in keys
            if part[key].notna().any()
        ]
    for key in keys:
        if reference in wide and key in models and key != reference:
            change = wide[key] - wide[reference]
            sd = change.std(ddof=1)
            d = change.mean() / sd if sd > 0 else np.nan  # the same change in every image, as of the same model
            found.append({"quantity": "change", "clutter": WHOLE, "model": key, **_shape(change), "d": d})
    return pd.DataFrame(found, columns=["quantity", "clutter", "model", "n", "mean", "sem", "d"])


def _shape(values: pd.Series) -> dict[str, Any]:
    known = values.dropna()
    return {"n": len(known), "mean": known.mean(), "sem": known.std(ddof=1) / max(len(known), 1) ** 0.5}


def draw_sparsity(drawn: pd.DataFrame, look: Look, uniform: float) -> Figure:
    """Change of each model against the reference (left), the mean entropy (middle), and by clutter (right); 1 SEM.

    Args:
        drawn: of `drawn_sparsity`. uniform: entropy of a map that is the same everywhere.
    """
    change = drawn[drawn["quantity"] == "change"]
    whole = drawn[(drawn["quantity"] == "entropy_bits") & (drawn["clutter"] == WHOLE)]
    levels = drawn[(drawn["quantity"] == "entropy_bits") & (drawn["clutter"] != WHOLE)]
    beside = len(change) > 0
    ratios = [max(0.5, 0.2 * len(change) + 0.2), max(0.9, 0.15 * len(whole) + 0.3), 1.3][0 if beside else 1 :]
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(1, len(ratios), figsize=(3.2 * sum(ratios) + 0.6, 3.8), width_ratios=ratios)
        if beside:
            _changes(panels[0], change, look)
        middle, right = panels[-2:]
        bars_or_points(middle, whole, look)
        middle.axhline(uniform, color="black", linewidth=0.8, linestyle=":", label="uniform map")
        middle.set_ylim(top=max(middle.get_ylim()[1], uniform + 0.05 * (uniform - middle.get_ylim()[0])))
        middle.set_ylabel("entropy, bits (less is sparser)")
        middle.set_title(f"n = {between(whole['n'])} images", fontsize=8)
        _by_level(right, levels, look)
        legend_below(figure)
    return figure


def _changes(panel: Axes, change: pd.DataFrame, look: Look) -> None:
    for place, row in enumerate(change.to_dict("records")):
        key, up = str(row["model"]), row["mean"] >= 0
        panel.bar(place, row["mean"], yerr=row["sem"], capsize=2, color=look.colour(key), **EDGE)
        panel.annotate(
            f"d = {row['d']:.2f}" if np.isfinite(row["d"]) else "",
            (place, row["mean"] + (1 if up else -1) * np.nan_to_num(row["sem"])),
            xytext=(0, 4 if up else -4), textcoords="offset points", ha="center", va="bottom" if up else "top",
            fontsize=6.5,
        )  # fmt: skip
    panel.axhline(0, color="black", linewidth=0.8)
    panel.margins(y=0.15)
    panel.set_xlim(-0.7, len(change) - 0.3)
    panel.set_ylabel("change of entropy, bits")
    panel.set_title(f"against the reference\nn = {between(change['n'])} images", fontsize=8)
    turned(panel, [look.name(str(key)) for key in change["model"]])


def _by_level(panel: Axes, levels: pd.DataFrame, look: Look) -> None:
    names = [name for name in level_names() if (levels["clutter"] == name).any()]
    for name, part in levels.groupby("model", sort=False):
        key, of = str(name), part.set_index("clutter").reindex(names)
        colour = look.colour(key)
        panel.errorbar(
            range(len(names)), of["mean"], yerr=of["sem"], marker=look.marker(key), capsize=2, linewidth=1.2,
            color="black" if colour == HUMAN_COLOUR else colour, markerfacecolor=colour, markeredgecolor="black",
            label=look.name(key),
        )  # fmt: skip
    counts = levels.groupby("clutter")["n"].max()
    panel.set_xticks(range(len(names)), [f"{name}\n{counts[name]:,}" for name in names], fontsize=8)
    panel.set_xlabel("annotated objects; below, images")
    panel.set_ylabel("entropy, bits")
