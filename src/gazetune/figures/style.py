"""One look for every figure: how text and axes are set, panels, error bars, and one way to save."""

import io
import warnings
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from gazetune.figures.palette import FORMATS, Format
from gazetune.run import Run

mpl.use("Agg")

MAP, DIFFERENCE = "cividis", "RdBu_r"
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 110,
    "figure.constrained_layout.use": True,
}
SAVED: Any = {"savefig.dpi": 160, "pdf.fonttype": 42}  # type 42: letters of a PDF stay letters
# no date, no random ids: the same figure has the same bytes
ABOUT: dict[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None}}
EDGE: dict[str, Any] = {"edgecolor": "black", "linewidth": 0.8}
MANY = 5000  # points of a panel; more are drawn as pixels in the vector files too
ACROSS = 4  # panels in a row


def panels_for(
    n: int, width: float, height: float, columns: int = ACROSS, beside: float = 0.0, **options: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of n panels of these inches, at most `columns` in a row; places that are left over stay empty.

    beside: inches more for what stands beside the panels. Call it within STYLE.
    """
    columns = min(columns, n)
    rows = -(-n // columns)
    size = (width * columns + beside, height * rows)
    figure, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, **options)
    for panel in grid.flat[n:]:
        panel.set_axis_off()
    return figure, list(grid.flat[:n])


def turned(panel: Axes, names: Sequence[str]) -> None:
    """Names under the places 0, 1, ... of an axis, turned so that they do not touch."""
    panel.set_xticks(range(len(names)), names, rotation=40, ha="right", rotation_mode="anchor")


def legend_below(figure: Figure, columns: int = 4) -> None:
    """One legend for all panels, each name once, below them."""
    pairs = [pair for panel in figure.axes for pair in zip(*panel.get_legend_handles_labels(), strict=True)]
    shown = {name: handle for handle, name in reversed(pairs)}
    order = list(dict.fromkeys(name for _, name in pairs))
    figure.legend(
        [shown[n] for n in order], order, loc="outside lower center", ncols=min(len(order), columns), frameon=False
    )


def between(counts: pd.Series) -> str:
    """A count, or the range of several."""
    low, high = int(counts.min()), int(counts.max())
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def p_words(p: float) -> str:
    """A p value in a title."""
    return "p < .0001" if p < 1e-4 else f"p = {p:.4f}".replace("0.", ".") if p == p else "p: none"


def save(
    run: Run, name: str, figure: Figure, drawn: pd.DataFrame | None = None, formats: Sequence[Format] = FORMATS
) -> list[str]:
    """Write a figure as PNG and in these formats, and the numbers it was drawn from as CSV beside it."""
    written = []
    with warnings.catch_warnings(), plt.rc_context({**SAVED, "svg.hashsalt": name}):
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a file name in a script the font has not
        for kind in ("png", *formats):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata=ABOUT[kind])
            written.append(run.write(f"figures/{name}.{kind}", buffer.getvalue()))
            figure.set_layout_engine("none")  # laid out once: the same in every format
    plt.close(figure)
    return written + ([run.write_table(f"figures/{name}", drawn)] if drawn is not None else [])
