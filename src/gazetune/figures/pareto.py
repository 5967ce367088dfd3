"""What being human-like costs: alignment against the change in accuracy, and which trainings nothing else beats."""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gazetune.figures.style import OTHERS, REFERENCE_COLOUR, STYLE, save
from gazetune.run import Run

MARKERS = "osD^vPX"
START = "start"  # the term of the rows that were not tuned
LABEL: dict[str, Any] = {"textcoords": "offset points", "xytext": (4, 4), "fontsize": 7}


def write_pareto(run: Run, table: pd.DataFrame) -> list[str]:
    """`figures/pareto` as PNG, SVG and CSV; the CSV says which rows are on the front."""
    drawn = table.assign(on_front=False)
    for _, part in table.groupby("set"):
        drawn.loc[part.index, "on_front"] = on_front(part["cc"].to_numpy(), part["difference"].to_numpy())
    return save(run, "pareto", draw_pareto(drawn), drawn, vector=True)


def on_front(first: Float[np.ndarray, " row"], second: Float[np.ndarray, " row"]) -> Bool[np.ndarray, " row"]:
    """Which rows no other row beats: as good in both, better in one; more is better."""
    as_good = (first[None] >= first[:, None]) & (second[None] >= second[:, None])
    better = (first[None] > first[:, None]) | (second[None] > second[:, None])
    return np.logical_not((as_good & better).any(axis=1))


def draw_pareto(drawn: pd.DataFrame) -> Figure:
    """One panel a set of labelled images, one marker a term, each point named by lambda; a line joins the front.

    `drawn` has the columns set, term, lambda, cc, cc_low, cc_high, difference, low, high (points), n, images,
    on_front. Error bars: 95 % intervals, of CC over images, of the difference in accuracy over the labelled images. A
    training that kept the start weights is counted at the start's star.
    """
    sets, terms = list(drawn["set"].unique()), [t for t in drawn["term"].unique() if t != START]
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(1, len(sets), figsize=(3.6 * len(sets) + 0.4, 4.2), sharey=True, squeeze=False)
        for name, panel in zip(sets, panels.flat, strict=True):
            part = drawn[drawn["set"] == name]
            front = part[part["on_front"]].sort_values("difference")
            panel.plot(front["difference"], front["cc"], color="#8A8A8A", linewidth=1, label="Pareto front", zorder=1)
            first = part.loc[part["term"] == START, "cc"]
            panel.axvline(0, color="#C8C8C8", linewidth=0.6, zorder=0)
            for place, term in enumerate(terms):
                colour, marker = OTHERS[place % len(OTHERS)], MARKERS[place % len(MARKERS)]
                moved = (part["term"] == term) & ((part["difference"] != 0) | ~part["cc"].isin(first))
                _points(panel, part[moved], term, colour, marker)
            start = part[part["term"] == START]
            kept = part[(part["term"] != START) & part["cc"].isin(first) & (part["difference"] == 0)]
            name_of_start = f"{START} ({len(kept)} trainings kept it)" if len(kept) else START
            _points(panel, start, name_of_start, REFERENCE_COLOUR, "*")
            panel.set_title(f"{name} ({part['n'].iloc[0]} images)")
            panel.set_xlabel("change in accuracy, percentage points")
        panels[0, 0].set_ylabel(f"CC with human maps ({drawn['images'].iloc[0]} test images)")
        shown: dict[str, Any] = {}
        for panel in panels.flat:
            handles, names = panel.get_legend_handles_labels()
            shown |= dict(zip(names, handles, strict=True))
        figure.legend(shown.values(), shown, loc="outside lower center", ncols=3, frameon=False)
    return figure


def _points(panel: Axes, part: pd.DataFrame, label: str, colour: str, marker: str) -> None:
    if part.empty:
        return
    across = np.abs(part[["low", "high"]].to_numpy().T - part["difference"].to_numpy())
    up = np.abs(part[["cc_low", "cc_high"]].to_numpy().T - part["cc"].to_numpy())
    panel.errorbar(
        part["difference"], part["cc"], xerr=np.nan_to_num(across), yerr=up, fmt=marker, color=colour, label=label,
        markeredgecolor="black", markeredgewidth=0.5, markersize=9 if marker == "*" else 5, elinewidth=0.6, zorder=2,
    )  # fmt: skip
    if marker != "*":
        for x, y, weight in zip(part["difference"], part["cc"], part["lambda"], strict=True):
            panel.annotate(f"λ {weight:g}", (x, y), color=colour, **LABEL)
