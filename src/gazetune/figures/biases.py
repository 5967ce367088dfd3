"""Do models share people's biases? Effect and densities of each contrast: the paper's Figures 3A and 3B."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from gazetune.biases import BIASES
from gazetune.biases.contrast import SCALE
from gazetune.figures.palette import Look, literal, shortened
from gazetune.figures.style import EDGE, STYLE, save, turned
from gazetune.run import SUMMARY, Run
from gazetune.tables.biases import objects_name

LIGHT, DARK = 0.5, -0.3  # towards white, towards black: the first and the second region of a contrast
OWN = "contrasts"  # all contrasts of the experiment's own
ALT = {
    f"bias_{name}": f"{what}, for humans, the centre prior and each model. Left: density on the first "
    "less that on the second, with Cohen's d within the row. Right: both densities, light the first, dark and hatched "
    "the second; dotted a map that is the same everywhere. Error bars are 1 SEM over images."
    for name, what in {
        "animacy": "Attention density on animate and on inanimate objects",
        "object_size": "Attention density on small and on large objects",
        OWN: "Attention density on the two regions of each contrast of the experiment's own",
    }.items()
}


def write_biases(run: Run, dataset: str, rows: Sequence[str], look: Look) -> list[str]:
    """`figures/bias_animacy`, `bias_object_size` and `bias_contrasts` (the experiment's own), where they were analysed.

    rows: keys of the rows to draw, in order.
    """
    summary = run.json(SUMMARY)
    means, tests = (
        pd.DataFrame([row for row in summary.get(kind, []) if row["dataset"] == dataset])
        for kind in ("bias_means", "bias_tests")
    )
    if means.empty:
        return []
    drawn = drawn_biases(means, tests, rows)
    uniform = SCALE / run.about(objects_name(dataset))["size"] ** 2
    figures = {name: drawn[drawn["analysis"] == name] for name in BIASES}
    figures[OWN] = drawn[~drawn["analysis"].isin(BIASES)]
    written = []
    for name, part in figures.items():
        if len(part):
            written += save(run, f"bias_{name}", draw_biases(part, look, uniform), part, look.formats)
    return written


def drawn_biases(means: pd.DataFrame, tests: pd.DataFrame, rows: Sequence[str]) -> pd.DataFrame:
    """One row an analysis, measure and row of maps: analysis, kind, measure, model, n, mean, sem, and d of a contrast.

    d is infinite for a contrast that is the same in every image, as that of a fixed map in two halves.

    kind: `contrast` (the first region less the second) or `density` (of one of them, on the same images).

    Args:
        means, tests: rows of bias_means.csv and bias_tests.csv of one data set.
    """
    kept = means[means["kind"].isin(["contrast", "density"]) & means["model"].isin(rows)]
    within = tests[tests["kind"] == "within"] if len(tests) else tests
    d = {(t["analysis"], t["first"]): t["d"] for t in within.to_dict("records")}
    effect = [
        d.get((row["analysis"], row["model"])) if row["kind"] == "contrast" else None for row in kept.to_dict("records")
    ]
    order = {key: place for place, key in enumerate(rows)}
    columns = ["analysis", "kind", "measure", "model", "n", "mean", "sem"]
    found = kept[columns].assign(d=pd.Series(effect, index=kept.index, dtype=float))
    return found.sort_values("model", key=lambda keys: keys.map(order), kind="stable", ignore_index=True)


def draw_biases(drawn: pd.DataFrame, look: Look, uniform: float) -> Figure:
    """One row of panels a contrast: its mean and d in each row of maps (left), the two densities (right); 1 SEM.

    Args:
        drawn: of `drawn_biases`. uniform: the density of a map that is the same everywhere.
    """
    names = list(drawn["analysis"].unique())
    models = list(drawn["model"].unique())
    with plt.rc_context(STYLE):
        size = (1.1 * len(models) + 2.6, 3.3 * len(names))
        figure, grid = plt.subplots(len(names), 2, figsize=size, squeeze=False, width_ratios=[1, 1.3])
        for name, (left, right) in zip(names, grid, strict=True):
            part = drawn[drawn["analysis"] == name]
            effects, densities = (part[part["kind"] == kind] for kind in ("contrast", "density"))
            regions = list(densities["measure"].unique())
            a, b = (literal(shortened(region)) for region in regions)
            _effects(left, effects, look)
            left.set_ylabel(f"density, {a} - {b}")
            n = effects["n"].max()
            left.set_title(f"{literal(shortened(name))}, n = {n:,} images", fontsize=8)
            _densities(right, densities, regions, look)
            right.axhline(uniform, color="black", linewidth=0.8, linestyle=":", zorder=0)
            right.set_ylabel(f"attention density (x {SCALE:,})")
            light, dark = Patch(facecolor="#DDDDDD", **EDGE), Patch(facecolor="#777777", hatch="///", **EDGE)
            line = right.plot([], [], color="black", linewidth=0.8, linestyle=":")[0]
            right.legend(
                [light, dark, line], [a, b, "uniform map"], frameon=False, fontsize=7, ncols=3, loc="lower center",
                bbox_to_anchor=(0.5, 1), columnspacing=1, handlelength=1.4,
            )  # fmt: skip
    return figure


def _effects(panel: Axes, effects: pd.DataFrame, look: Look) -> None:
    for place, row in enumerate(effects.to_dict("records")):
        key, up = str(row["model"]), row["mean"] >= 0
        panel.bar(place, row["mean"], yerr=row["sem"], capsize=2, color=look.colour(key), label=look.name(key), **EDGE)
        end = row["mean"] + (1 if up else -1) * (row["sem"] if row["sem"] == row["sem"] else 0)
        panel.annotate(
            f"d = {row['d']:.2f}" if np.isfinite(row["d"]) else "", (place, end), xytext=(0, 4 if up else -4),
            textcoords="offset points", ha="center", va="bottom" if up else "top", fontsize=6.5,
        )  # fmt: skip
    panel.axhline(0, color="black", linewidth=0.8)
    panel.margins(y=0.12)
    panel.set_xlim(-0.7, len(effects) - 0.3)
    turned(panel, [look.name(str(key)) for key in effects["model"]])


def _densities(panel: Axes, densities: pd.DataFrame, regions: Sequence[str], look: Look) -> None:
    models = list(densities["model"].unique())
    for side, (region, shade) in enumerate(zip(regions, (LIGHT, DARK), strict=True)):
        of = densities[densities["measure"] == region].set_index("model").reindex(models)
        panel.bar(
            [place + (side - 0.5) * 0.4 for place in range(len(models))], of["mean"], 0.4, yerr=of["sem"], capsize=2,
            color=[shaded(look.colour(str(key)), shade) for key in models], hatch="///" if side else "",
            label=literal(region), **EDGE,
        )  # fmt: skip
    panel.set_xlim(-0.7, len(models) - 0.3)
    turned(panel, [look.name(str(key)) for key in models])


def shaded(colour: str, by: float) -> tuple[float, float, float]:
    """A colour moved towards white (by > 0) or black (by < 0) by this share of the way."""
    end = 1.0 if by > 0 else 0.0
    red, green, blue = (c + (end - c) * abs(by) for c in to_rgb(colour))
    return red, green, blue
