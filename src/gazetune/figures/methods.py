"""The same models by several attention methods: one line a model, its mean CC by each."""

from collections.abc import Mapping

import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from gazetune.attention import METHODS
from gazetune.figures.style import HUMAN_COLOUR, STYLE, save
from gazetune.run import SUMMARY, Run

NAME = "methods"
MARKERS = "osD^vPX"


def write_methods(run: Run, dataset: str, labels: Mapping[str, str], colours: Mapping[str, str]) -> list[str]:
    """`figures/methods.png` and its numbers, where methods were compared on this data set and CC was asked for."""
    means = [m for m in run.json(SUMMARY).get("methods", []) if m["dataset"] == dataset and m["metric"] == "cc"]
    return save(run, NAME, draw_methods(pd.DataFrame(means), labels, colours), pd.DataFrame(means)) if means else []


def draw_methods(means: pd.DataFrame, labels: Mapping[str, str], colours: Mapping[str, str]) -> Figure:
    """Mean CC over images with its 95 % interval: methods across, one line a model.

    `means` has model (a key), attention, mean, ci_low and ci_high.
    """
    methods, models = list(dict.fromkeys(means["attention"])), list(dict.fromkeys(means["model"]))
    with plt.rc_context(STYLE):
        figure, panel = plt.subplots(figsize=(max(4.0, 1.1 * len(methods) + 1.6), 3.2))
        for i, key in enumerate(models):
            part = means[means["model"] == key].set_index("attention").reindex(methods)
            ends = [part["mean"] - part["ci_low"], part["ci_high"] - part["mean"]]
            panel.errorbar(
                [j + 0.06 * (i - (len(models) - 1) / 2) for j in range(len(methods))], part["mean"], yerr=ends,
                marker=MARKERS[i % len(MARKERS)], color=colours.get(key, HUMAN_COLOUR), label=labels.get(key, key),
                markeredgecolor="black", capsize=2, linewidth=1.2,
            )  # fmt: skip
        names = [METHODS[m].label or m if m in METHODS else m for m in methods]
        panel.set_xticks(range(len(methods)), names, rotation=25, ha="right")
        panel.set_ylabel("mean CC, 95 % interval")
        panel.axhline(0, color="black", linewidth=0.6)
        panel.legend(frameon=False, fontsize=8)
    return figure
