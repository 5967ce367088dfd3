"""All bias analyses of one data set: images with objects and maps in, tidy tables out."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import pandas as pd

from gazetune.biases import BIASES
from gazetune.biases.compare import bias_means, bias_tests
from gazetune.biases.contrast import contrast_table, object_table
from gazetune.biases.measure import Measured, Rows, measure, parts_of
from gazetune.biases.selection import check, exclusions, flow
from gazetune.biases.settings import Contrast
from gazetune.biases.sparsity import clutter, level_names
from gazetune.data.stimuli import Stimuli
from gazetune.maps import MAP_SIZE

PIECE = 1000  # images whose rows are in memory at once
Pieces = Callable[[], Iterable[pd.DataFrame]]


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
    found = each_table(stimuli, maps, contrasts, order, prior, size)
    return BiasTables(**{kind: pd.concat(pieces(), ignore_index=True) for kind, pieces in found})


def each_table(
    stimuli: Stimuli,
    maps: Rows,
    contrasts: Mapping[str, Contrast] | None = None,
    order: Sequence[str] | None = None,
    prior: str | None = None,
    size: int = MAP_SIZE,
) -> Iterator[tuple[str, Pieces]]:
    """The tables of `analyse` by name, each as a function that gives its pieces, so that they need not be held."""
    own = contrasts or {}
    measured = measure(stimuli, maps, size)
    for name, contrast in own.items():
        check(measured.objects, name, contrast)
    every, rows = {**BIASES, **own}, list(order or maps)
    yield (
        "contrasts",
        lambda: (contrast_table(part, n, c, prior) for n, c in every.items() for part in parts_of(measured, PIECE)),
    )
    yield "objects", lambda: map(object_table, parts_of(measured, PIECE))
    yield "sparsity", lambda: map(sparsity_table, parts_of(measured, PIECE))
    small = {
        "means": bias_means(measured, every, rows),
        "tests": bias_tests(measured, every, rows, prior),
        "exclusions": exclusion_table(measured, every),
    }
    for kind, table in small.items():
        yield kind, partial(iter, [table])


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
