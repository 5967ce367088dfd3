"""Example images: the photo, where people look, where each model looks, and what tuning moved."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, UInt8
from matplotlib import pyplot as plt
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure

from gazetune.attention.extract import open_maps
from gazetune.figures.palette import literal, shortened
from gazetune.figures.style import DIFFERENCE, MAP, STYLE
from gazetune.maps import densities
from gazetune.prepared import Prepared
from gazetune.run import Run
from gazetune.tables.rows import maps_folder

QUANTILES = (0.95, 0.75, 0.5, 0.25, 0.05)  # of the gain: the rows show where tuning helped most and where least
Map = Float[np.ndarray, "height width"]
OVERLAY = 0.65  # opacity of a map over the photo
ALT = {
    "examples": "Test images at quantiles (95 to 5 %) of the gain in CC: photo, human fixation density, the attention "
    "map of each model, and the difference of the two models named (red: more attention, blue: less).",
}


def pick(gain: Float[np.ndarray, " image"]) -> Int[np.ndarray, " example"]:
    """Positions of the images at these quantiles of the gain, largest first; images without a gain are not picked."""
    ranked = np.argsort(gain)[: int(np.isfinite(gain).sum())]
    places = [round(q * (len(ranked) - 1)) for q in QUANTILES[: len(ranked)]]
    return ranked[list(dict.fromkeys(places))]


def example_rows(scores: pd.DataFrame, first: str, reference: str) -> tuple[Int[np.ndarray, " example"], list[float]]:
    """Test images at quantiles of the gain in CC of `first` over `reference` (model keys), and those gains."""
    wide = scores.pivot(index="image", columns="key", values="cc").reindex(scores["image"].unique())
    gain = (wide[first] - wide[reference]).to_numpy(dtype=np.float64)
    index = pick(gain)
    return index, gain[index].tolist()


def drawn_examples(
    scores: pd.DataFrame, keys: Sequence[str], first: str, reference: str
) -> tuple[Int[np.ndarray, " example"], pd.DataFrame]:
    """Positions of the examples in the test images, and what stands beside them: image, gain, model (a key), cc."""
    index, gains = example_rows(scores, first, reference)
    wide = scores.pivot(index="image", columns="key", values="cc").reindex(scores["image"].unique())
    about = wide.iloc[index][list(keys)].assign(gain=gains).reset_index()
    long = about.melt(["image", "gain"], list(keys), "model", "cc")
    return index, long.sort_values("gain", ascending=False, kind="stable", ignore_index=True)


def draw_examples_of(
    run: Run, test: Prepared, index: Int[np.ndarray, " example"], gains: Sequence[float], keys: Mapping[str, str],
    first: str, reference: str, photo_size: tuple[int, int],
) -> Figure:  # fmt: skip
    """The examples of a run at these positions of its test images.

    `keys` maps model keys to their titles; `first` minus `reference` is the difference.
    """
    rows = test.rows("test")[index]
    maps = [("human", list(densities(test.points, rows).numpy()))]
    of = {key: list(open_maps(run, maps_folder(test.name, key), test.points.size)(index).numpy()) for key in keys}
    maps += [(keys[key], found) for key, found in of.items()]
    moved = [a - b for a, b in zip(of[first], of[reference], strict=True)]
    about = test.table.iloc[rows]
    names = [literal(shortened(str(image), 18)) for image in about["image"]]
    titles = [f"{name}\ngain {gain:+.2f}" for name, gain in zip(names, gains, strict=True)]
    photos = [np.array(test.pixels(photo_size)[row]).transpose(1, 2, 0) for row in rows]
    difference = [(f"{keys[first]} -\n{keys[reference]}", moved)]
    return draw_examples(titles, photos, (about["width"] / about["height"]).tolist(), maps, difference)


def draw_examples(
    titles: Sequence[str],
    photos: Sequence[UInt8[np.ndarray, "photo_height photo_width 3"]],
    aspects: Sequence[float],
    maps: Sequence[tuple[str, Sequence[Map]]],
    differences: Sequence[tuple[str, Sequence[Map]]],
) -> Figure:
    """One row an image: the photo, every map over the grey photo, and differences of maps on one shared scale.

    Args:
        aspects: width / height of each original photo, which the model saw squashed to a square.
        maps, differences: title and maps of each column. Differences share limits, as far below 0 as above it.
    """
    columns = 1 + len(maps) + len(differences)
    limit = max((float(np.nanmax(np.abs(d))) for _, of in differences for d in of), default=0) or 1.0  # all 0: white
    middle = float(np.median(aspects))
    with plt.rc_context(STYLE):
        size = (1.5 * columns + 1.8, (1.4 / min(max(middle, 0.6), 2.0) + 0.12) * len(photos) + 0.6)
        figure, panels = plt.subplots(len(photos), columns, figsize=size, squeeze=False)
        for i, (photo, aspect) in enumerate(zip(photos, aspects, strict=True)):
            box = (0.0, aspect, 1.0, 0.0)
            panels[i, 0].imshow(photo, extent=box)
            panels[i, 0].set_ylabel(titles[i], fontsize=7, rotation=0, ha="right", va="center")
            for panel, (_, of) in zip(panels[i, 1:], maps, strict=False):
                panel.imshow(photo.mean(axis=2), cmap="gray", extent=box)
                shown = panel.imshow(of[i], cmap=MAP, vmin=0, vmax=1, alpha=OVERLAY, extent=box)
            for panel, (_, of) in zip(panels[i, 1 + len(maps) :], differences, strict=True):
                moved = panel.imshow(of[i], cmap=DIFFERENCE, vmin=-limit, vmax=limit, extent=box)
        for panel, title in zip(panels[0], ["photo", *(name for name, _ in [*maps, *differences])], strict=True):
            panel.set_title(title, fontsize=8)
        for panel in panels.flat:
            panel.set_xticks([])
            panel.set_yticks([])
            panel.spines[:].set_visible(False)
        bars: dict[str, Any] = {"shrink": min(1.0, 2.4 / len(photos)), "aspect": 18, "pad": 0.05}
        if differences:
            figure.colorbar(moved, ax=panels[:, -1], label="difference", **bars)
        if maps:
            opaque = ScalarMappable(shown.norm, shown.cmap)
            figure.colorbar(opaque, ax=panels[:, -1], label="map, 0 to 1", **bars)
    return figure
