"""Where accuracy rose and fell, by corruption and by class: the paper's Figure 4C, and the changes in order."""

from collections.abc import Hashable, Iterator, Mapping

import numpy as np
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import blended_transform_factory

from gazetune.figures.accuracy import set_and_head
from gazetune.figures.palette import Look, Palette, literal
from gazetune.figures.style import STYLE, between, legend_below
from gazetune.tables.changes import BETTER, PAIR, TIE, WORSE, counted

COLUMNS = 4
NAMED = 40  # changes of a panel that are named at most, the largest
LONGEST = 32  # letters of a name that are drawn
GUTTER = 0.06  # of a panel's width: from a name to its row, where names are further apart than rows
ROW_INCHES = 0.15
ALT = {
    "directions": "Accuracy of each model over that of the reference, by corruption and by class. Triangles up "
    "(green): the model is better, down (orange or red): the reference is, circles (grey), on the diagonal: equal.",
    "corruption_changes": "Change of accuracy against the reference by corruption, in order, with 95 % intervals.",
    "class_changes": "Change of accuracy against the reference by class, in order, with 95 % intervals; where there "
    "are many classes only the largest changes are named.",
}


def ways(palette: Palette) -> dict[str, tuple[str, str]]:
    """Colour and marker of a direction; both say it. A model's colour goes by its role, this by which is ahead."""
    return {BETTER: (palette.others[0], "^"), WORSE: (palette.reference, "v"), TIE: (palette.control, "o")}


def draw_directions(drawn: Mapping[str, pd.DataFrame], look: Look) -> Figure:
    """Accuracy of each model over the reference's: one point a corruption or class, coloured by direction.

    Above the diagonal (equal accuracy) the model is the better one.

    Args:
        drawn: what a point is -> rows of `changes`.
    """
    groups = [(by, *group) for by, table in drawn.items() for group in _pairs(table)]
    columns = min(COLUMNS, len(groups))
    rows = -(-len(groups) // columns)
    with plt.rc_context(STYLE):
        size = (3 * columns, 3.8 * rows + 0.4)
        figure, panels = plt.subplots(rows, columns, figsize=size, squeeze=False)
        figure.set_layout_engine("compressed", h_pad=0.12)  # room between a panel's label and the next one's title
        for (by, names, part), panel in zip(groups, panels.flat, strict=False):
            low, high = 100 * np.array(
                [part.filter(like="accuracy_").min().min(), part.filter(like="accuracy_").max().max()]
            )
            ends = np.array([low, high]) + np.array([-1, 1]) * max(0.05 * (high - low), 1)
            panel.plot(ends, ends, color="black", linewidth=0.8, zorder=1)
            for direction, (colour, mark) in ways(look.palette).items():
                of = part[part["direction"] == direction]
                panel.scatter(
                    100 * of["accuracy_second"], 100 * of["accuracy_first"], s=20, marker=mark, color=colour,
                    edgecolor="black", linewidth=0.4, alpha=0.8, label=direction,
                )  # fmt: skip
            panel.set(xlim=ends, ylim=ends, aspect="equal")
            panel.set_xlabel(f"{look.name(str(names['second']))}, %")
            panel.set_ylabel(f"{look.name(str(names['first']))}, %")
            panel.set_title(_title(by, names, part), fontsize=8)
        for panel in panels.flat[len(groups) :]:
            panel.set_axis_off()
        legend_below(figure)
    return figure


def draw_changes(by: str, drawn: pd.DataFrame, look: Look) -> Figure:
    """Change of accuracy against the reference, largest gain on top: one row a corruption or class, 95 % intervals.

    All are drawn; where there are more than NAMED, only the largest changes are named.

    Args:
        by: what a row is. drawn: rows of `changes`, with `named` (see `name_largest`).
    """
    groups = list(_pairs(drawn))
    columns = min(COLUMNS, len(groups))
    rows = -(-len(groups) // columns)
    lines = [max(8, min(len(part), NAMED)) for _, part in groups]
    heights = [ROW_INCHES * max(lines[i : i + columns]) + 1.3 for i in range(0, len(lines), columns)]
    with plt.rc_context(STYLE):
        size = (4.2 * columns, sum(heights))
        figure, panels = plt.subplots(rows, columns, figsize=size, squeeze=False, height_ratios=heights)
        for (names, part), panel in zip(groups, panels.flat, strict=False):
            _rows(panel, part, look.palette)
            _names(panel, part, by, look.palette)
            pair = f"{look.name(str(names['first']))} - {look.name(str(names['second']))}"
            panel.set_title(f"{pair}\n{_title(by, names, part)}", fontsize=8)
            panel.set_xlabel("change, points (95 % interval)", fontsize=8)
        for panel in panels.flat[len(groups) :]:
            panel.set_axis_off()
    return figure


def name_largest(drawn: pd.DataFrame) -> pd.DataFrame:
    """The rows of `changes` with `named`: every one of a pair with at most NAMED, else the largest changes.

    Of equally large ones those nearer to their end, so that as many gains as losses are named.
    """
    pairs = drawn.groupby(PAIR, sort=False)
    from_end = np.minimum(pairs.cumcount(), pairs.cumcount(ascending=False))
    order = drawn.assign(size=-drawn["difference"].abs().round(9), from_end=from_end).sort_values(["size", "from_end"])
    return drawn.assign(named=order.groupby(PAIR, sort=False).cumcount() < NAMED)


def _pairs(table: pd.DataFrame) -> Iterator[tuple[dict[str, Hashable], pd.DataFrame]]:
    for names, part in table.groupby(PAIR, sort=False):
        yield dict(zip(PAIR, names, strict=True)), part


def _rows(panel: Axes, part: pd.DataFrame, palette: Palette) -> None:
    place = pd.Series(range(len(part) - 1, -1, -1), index=part.index)
    panel.axvline(0, color="black", linewidth=0.8, zorder=1)
    few = len(part) <= NAMED
    for direction, (colour, mark) in ways(palette).items():
        of = part[part["direction"] == direction]
        ends = 100 * of["ci_low"], 100 * of["ci_high"]
        panel.hlines(place[of.index], *ends, color=colour, linewidth=1.2 if few else 0.4, alpha=0.6)
        panel.scatter(
            100 * of["difference"], place[of.index], s=22 if few else 8, marker=mark, color=colour, edgecolor="black",
            linewidth=0.4 if few else 0.1, label=direction, zorder=3,
        )  # fmt: skip
    panel.set_ylim(-0.7, len(part) - 0.3)


def _names(panel: Axes, part: pd.DataFrame, by: str, palette: Palette) -> None:
    """Names of the rows: beside each, or spread over the height with a line from each name to its row."""
    shown = part[part["named"]]
    names = [literal(name if len(name) <= LONGEST else name[:LONGEST] + "…") for name in shown[by].astype(str)]
    places = np.arange(len(part) - 1, -1, -1)[part["named"].to_numpy(dtype=bool)]
    at = places if len(shown) == len(part) else np.linspace(len(part) - 1, 0, len(shown))
    panel.set_yticks(at, names, fontsize=7)
    if len(shown) == len(part):
        return
    panel.tick_params(axis="y", length=0, pad=12)
    across = blended_transform_factory(panel.transAxes, panel.transData)
    colours = [ways(palette)[direction][0] for direction in shown["direction"]]
    for name, colour, spread, place in zip(panel.get_yticklabels(), colours, at, places, strict=True):
        name.set_color(colour)
        panel.plot([-GUTTER, 0], [spread, place], color=colour, linewidth=0.5, transform=across, clip_on=False)


def _title(by: str, names: Mapping[str, Hashable], part: pd.DataFrame) -> str:
    where = set_and_head(str(names["dataset"]), str(names["head"]))
    return f"{where}\n{counted(part['direction'])}\nn = {between(part['n'])} images a {by}"
