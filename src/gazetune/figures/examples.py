"""Example images: the photo, where people look, where each model looks, and what tuning moved."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, UInt8
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from gazetune.attention.extract import open_maps
from gazetune.figures.style import DIFFERENCE, MAP, STYLE
from gazetune.maps import densities
from gazetune.prepared import Prepared
from gazetune.run import Run
from gazetune.tables.rows import maps_folder

QUANTILES = (0.95, 0.75, 0.5, 0.25, 0.05)  # of the gain: the rows show where tuning helped most and where least
Map = Float[np.ndarray, "height width"]


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


def draw_examples_of(
    run: Run, test: Prepared, scores: pd.DataFrame, keys: Mapping[str, str], first: str, reference: str,
    photo_size: tuple[int, int],
) -> Figure:  # fmt: skip
    """The examples of a run. `keys` maps model keys to their titles; `first` minus `reference` is the difference."""
    index, gains = example_rows(scores, first, reference)
    rows = test.rows("test")[index]
    human = densities(test.points, rows).numpy()
    maps = {"human": list(human)}
    for key, title in keys.items():
        maps[title] = list(open_maps(run, maps_folder(test.name, key), test.points.size)(index).numpy())
    moved = [a - b for a, b in zip(maps[keys[first]], maps[keys[reference]], strict=True)]
    about = test.table.iloc[rows]
    titles = [f"{image}\ngain {gain:+.2f}" for image, gain in zip(about["image"], gains, strict=True)]
    photos = [np.array(test.pixels(photo_size)[row]).transpose(1, 2, 0) for row in rows]
    difference = {f"{keys[first]} - {keys[reference]}": moved}
    return draw_examples(titles, photos, (about["width"] / about["height"]).tolist(), maps, difference)


def draw_examples(
    titles: Sequence[str],
    photos: Sequence[UInt8[np.ndarray, "photo_height photo_width 3"]],
    aspects: Sequence[float],
    maps: Mapping[str, Sequence[Map]],
    differences: Mapping[str, Sequence[Map]],
) -> Figure:
    """One row an image: the photo, every map over the grey photo, and differences of maps on one shared scale.

    aspects: width / height of each original photo, which the model saw squashed to a square.
    """
    columns = 1 + len(maps) + len(differences)
    limit = (
        max((float(np.nanmax(np.abs(d))) for ds in differences.values() for d in ds), default=0) or 1.0
    )  # nothing moved: white
    with plt.rc_context(STYLE):
        figure, panels = plt.subplots(len(photos), columns, figsize=(1.75 * columns, 1.45 * len(photos)), squeeze=False)
        for i, (photo, aspect) in enumerate(zip(photos, aspects, strict=True)):
            box = (0.0, aspect, 1.0, 0.0)
            panels[i, 0].imshow(photo, extent=box)
            panels[i, 0].set_ylabel(titles[i], fontsize=7)
            for panel, (name, of) in zip(panels[i, 1:], maps.items(), strict=False):
                panel.imshow(photo.mean(axis=2), cmap="gray", extent=box)
                panel.imshow(of[i], cmap=MAP, alpha=0.65, extent=box)
                panel.set_title(name if i == 0 else "")
            for panel, (name, of) in zip(panels[i, 1 + len(maps) :], differences.items(), strict=True):
                shown = panel.imshow(of[i], cmap=DIFFERENCE, vmin=-limit, vmax=limit, extent=box)
                panel.set_title(name if i == 0 else "")
        panels[0, 0].set_title("photo")
        for panel in panels.flat:
            panel.set_xticks([])
            panel.set_yticks([])
            panel.spines[:].set_visible(False)
        if differences:
            figure.colorbar(shown, ax=panels[:, -1], shrink=0.7, label="difference")
    return figure
