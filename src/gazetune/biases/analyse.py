"""All bias analyses of one data set: images with objects and maps in, tidy tables out."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import pandas as pd

from gazetune.biases import BIASES
from gazetune.biases.compare import bias_means, bias_tests
from gazetune.biases.contrast import contrast_table, object_table
from gazetune.biases.measure import Measured, Rows, measure
from gazetune.biases.selection import check, exclusions, flow
from gazetune.biases.settings import Contrast
from gazetune.biases.sparsity import clutter, level_names
from gazetune.data.stimuli import Stimuli
from gazetune.maps import MAP_SIZE


@dataclass(frozen=True)
class BiasTables:
    """The tables of the bias analyses; see docs/biases.md for their columns.

    contrasts: image x row x analysis. objects: object x row. sparsity: image x row, with entropy and level of clutter.
    tests, means: over images. exclusions: the flow of images, objects and maps through each analysis.
    """

    contrasts: pd.DataFrame
    objects: pd.DataFrame
    sparsity: pd.DataFrame
    tests: pd.DataFrame
    means: pd.DataFrame
    exclusions: pd.DataFrame


def analyse(
    stimuli: Stimuli,
    maps: Rows,
    contrasts: Mapping[str, Contrast] | None = None,
    order: Sequence[str] | None = None,
    prior: str | None = None,
    size: int = MAP_SIZE,
) -> BiasTables:
    """Animacy, object size, sparsity and the user's own contrasts for every row of maps.

    Args:
        stimuli: images with their objects.
        maps: for each row (humans, models, priors) a function from positions in `stimuli` to maps [batch, size, size].
        contrasts: the user's own, by name, beside the paper's two.
        order: the rows as they are tested, later against earlier; by default that of `maps`.
        prior: the row that knows no image, against whose contrast the others are reported too. Its map is the mean of
            maps with sum 1, not scaled to 0..1: scaling would enlarge its contrast (priors.mean_training_map).

    Raises:
        InputError: as `measure`; a contrast of the user's own that the objects do not have (see `check`).
    """
    return BiasTables(**dict(each_table(stimuli, maps, contrasts, order, prior, size)))


def each_table(
    stimuli: Stimuli,
    maps: Rows,
    contrasts: Mapping[str, Contrast] | None = None,
    order: Sequence[str] | None = None,
    prior: str | None = None,
    size: int = MAP_SIZE,
) -> Iterator[tuple[str, pd.DataFrame]]:
    """The tables of `analyse` by name, one at a time, so that they need not all be held."""
    own = contrasts or {}
    measured = measure(stimuli, maps, size)
    for name, contrast in own.items():
        check(measured.objects, name, contrast)
    every, rows = {**BIASES, **own}, list(order or maps)
    yield "contrasts", pd.concat([contrast_table(measured, n, c, prior) for n, c in every.items()], ignore_index=True)
    yield "objects", object_table(measured)
    yield "sparsity", sparsity_table(measured)
    yield "means", bias_means(measured, every, rows)
    yield "tests", bias_tests(measured, every, rows, prior)
    yield "exclusions", exclusion_table(measured, every)


def sparsity_table(measured: Measured) -> pd.DataFrame:
    """One row an image and row of maps: number of annotated objects, level of clutter, entropy in bits, reason."""
    images, keys = len(measured.images), len(measured.keys)
    number = measured.objects["position"].value_counts().reindex(range(images), fill_value=0)
    level = pd.Series([level_names()[i] for i in clutter(measured)])
    index = pd.RangeIndex(images).repeat(keys)
    columns = {
        "dataset": measured.dataset,
        "image": pd.Series(measured.images, dtype=object)[index].to_numpy(),
        "key": list(measured.keys) * images,
        "objects": number[index].to_numpy(),
        "clutter": level[index].to_numpy(),
        "entropy_bits": measured.entropy_bits.ravel(),
        "reason": measured.reason.ravel(),
    }
    return pd.DataFrame(columns)


def exclusion_table(measured: Measured, contrasts: Mapping[str, Contrast]) -> pd.DataFrame:
    """The flow through each analysis (see `selection.exclusions`), and the maps of each row that cannot be used."""
    images = len(measured.images)
    parts = []
    for name, contrast in contrasts.items():
        part = exclusions(measured.objects, images, contrast, measured.size)
        part.insert(0, "analysis", name)
        parts.append(part)
    for k, key in enumerate(measured.keys):
        counted = pd.Series(measured.reason[:, k], dtype=object).dropna().value_counts()
        lost = {str(reason): int(n) for reason, n in counted.items()}
        part = flow(f"maps of {key}", images, lost)
        part.insert(0, "analysis", "all")
        parts.append(part)
    table = pd.concat(parts, ignore_index=True)
    table.insert(0, "dataset", measured.dataset)
    return table
