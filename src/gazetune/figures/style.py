"""One look for every figure: colours safe for colour-blind readers, distinct markers, one way to save."""

import io
import warnings
from collections.abc import Mapping
from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from gazetune.run import Run

mpl.use("Agg")

HUMAN_COLOUR, REFERENCE_COLOUR, CONTROL_COLOUR, PRIOR_COLOUR = "#FFFFFF", "#D55E00", "#8A8A8A", "#F0E442"
OTHERS = ("#009E73", "#0072B2", "#CC79A7", "#E69F00", "#56B4E9")  # Okabe & Ito (2008)
MARKERS = {"reference": "s", "control": "D"}  # by role; the rest take these in turn:
OTHER_MARKERS = "o^vPXd*"
MAP, DIFFERENCE = "cividis", "RdBu_r"
STYLE: Any = {
    "font.size": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "figure.dpi": 110,
    "savefig.dpi": 200,
    "figure.constrained_layout.use": True,
}


def colours(roles: Mapping[str, str]) -> dict[str, str]:
    """A colour for each model by its role: orange the reference, grey the controls, Okabe and Ito's for the rest."""
    rest = iter(OTHERS * len(roles))
    fixed = {"reference": REFERENCE_COLOUR, "control": CONTROL_COLOUR}
    return {key: fixed.get(role) or next(rest) for key, role in roles.items()}


def markers(roles: Mapping[str, str]) -> dict[str, str]:
    """A marker for each model by its role, as `colours`, so that no colour has to be told from another."""
    rest = iter(OTHER_MARKERS * len(roles))
    return {key: MARKERS.get(role) or next(rest) for key, role in roles.items()}


def literal(text: str) -> str:
    """A name as it is written: matplotlib takes what stands between two dollars for a formula."""
    return text.replace("$", r"\$")


def save(run: Run, name: str, figure: Figure, drawn: pd.DataFrame | None = None, vector: bool = False) -> list[str]:
    """Write a figure as PNG (with `vector` as SVG too), and the numbers it was drawn from as CSV beside it."""
    # no date, no random ids: the same figure has the same bytes
    about: dict[str, dict[str, Any]] = {"png": {"Software": None}, "svg": {"Date": None}}
    written = []
    with warnings.catch_warnings(), plt.rc_context({"svg.hashsalt": name}):
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # a file name in a script the font has not
        for kind in ("png", "svg") if vector else ("png",):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, metadata=about[kind])
            written.append(run.write(f"figures/{name}.{kind}", buffer.getvalue()))
            figure.set_layout_engine("none")  # laid out once: the same in every format
    plt.close(figure)
    return written + ([run.write_table(f"figures/{name}", drawn)] if drawn is not None else [])
