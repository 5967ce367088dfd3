"""The tests of the bias analyses: within each row, and between rows of maps, over the same images.

kind of test       compares
within             density of region A against that of region B, of one row
contrast           the contrast A - B of a row against that of another: the headline
density            the density of one region in two rows, on the images of the contrast: the paper's test, which also
                   says yes when all objects gain
density_any        the same on every image that has the region, where those are more (object size: within each size)
over_prior         the contrast of a row against that of the prior on the same images
entropy            entropy in bits of two rows
entropy_by_clutter the same on the images of one level of clutter
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from gazetune.biases.contrast import region_density
from gazetune.biases.measure import Measured
from gazetune.biases.selection import general_steps, left_out
from gazetune.biases.settings import Contrast
from gazetune.biases.sparsity import entropy_by_level
from gazetune.statistics.compare import SEED, Compared, compare, describe, paired_tests

SPARSITY = "sparsity"


@dataclass(frozen=True)
class Measure:
    """One number an image and row of maps, as the tests and the table of means name it."""

    kind: str
    analysis: str
    measure: str
    values: Float[np.ndarray, "image key"]


def measures(measured: Measured, contrasts: Mapping[str, Contrast]) -> list[Measure]:
    """Everything that is compared between rows: contrasts, densities of every region, entropy."""
    found: list[Measure] = []
    for name, contrast in contrasts.items():
        a, b = contrast.names
        why = left_out(measured.objects, len(measured.images), contrast, measured.size)
        kept, measurable = pd.isna(why), _measurable(measured, contrast)
        density = {n: region_density(measured, contrast, n).density for n in contrast.regions}
        within = {n: np.where(kept[:, None], density[n], np.nan) for n in (a, b)}
        found.append(Measure("contrast", name, f"{a} - {b}", within[a] - within[b]))
        found += [Measure("density", name, n, values) for n, values in within.items()]
        if contrast.also:
            found += [
                Measure("density_any", name, n, np.where(measurable[:, None], values, np.nan))
                for n, values in density.items()
            ]
    if not np.isnan(measured.entropy_bits).all():
        found.append(Measure("entropy", SPARSITY, "entropy_bits", measured.entropy_bits))
        for level, values in entropy_by_level(measured).items():
            found.append(Measure("entropy_by_clutter", SPARSITY, f"entropy_bits, {level} objects", values))
    return found


def _measurable(measured: Measured, contrast: Contrast) -> Bool[np.ndarray, " image"]:
    """Images that are not left out whatever regions they show: neither dropped nor with too few objects."""
    images = len(measured.images)
    failed = general_steps(measured.objects, images, contrast).values()
    return ~np.logical_or.reduce([np.zeros(images, dtype=bool), *failed])


def bias_tests(
    measured: Measured, contrasts: Mapping[str, Contrast], order: Sequence[str], prior: str | None = None
) -> pd.DataFrame:
    """One row a test: dataset, kind, analysis, measure, first, second, and the columns of statistics.compare.compare.

    Paired t over images (n, df, p, d, t interval), bootstrap interval, Wilcoxon, and p_holm: corrected over the
    analyses and measures of one kind of test and one pair of rows (one row for `within`). Between rows the later in
    `order` is tested against the earlier; `within` has the same row as first and second.
    """
    everything = measures(measured, contrasts)
    tables = [_within(measured, everything, order)]
    for kind in dict.fromkeys(m.kind for m in everything):
        chosen = [m for m in everything if m.kind == kind]
        table = compare(_wide(measured, chosen), [str(i) for i in range(len(chosen))], order)
        tables.append(_named(table, kind, chosen))
    if prior in measured.keys:
        tables.append(_over_prior(measured, everything, order, prior))
    full = pd.concat([t for t in tables if len(t)], ignore_index=True)
    return full.assign(dataset=measured.dataset)[["dataset", *(c for c in full if c != "dataset")]]


def bias_means(measured: Measured, contrasts: Mapping[str, Contrast], order: Sequence[str]) -> pd.DataFrame:
    """One row a measure and row of maps: dataset, kind, analysis, measure, key, n, mean, sd, sem over images."""
    everything = measures(measured, contrasts)
    table = describe(_wide(measured, everything), [str(i) for i in range(len(everything))], order)
    named = _named(table.rename(columns={"model": "key"}), None, everything)
    named.insert(0, "dataset", measured.dataset)
    return named


def _wide(measured: Measured, chosen: Sequence[Measure]) -> pd.DataFrame:
    images, keys = len(measured.images), len(measured.keys)
    first = {
        "dataset": measured.dataset,
        "image": np.repeat(np.array(measured.images, dtype=object), keys),
        "key": np.tile(np.array(measured.keys, dtype=object), images),
    }
    return pd.DataFrame(first | {str(i): m.values.ravel() for i, m in enumerate(chosen)})


def _named(table: pd.DataFrame, kind: str | None, chosen: Sequence[Measure]) -> pd.DataFrame:
    """The table with kind, analysis and measure in place of the number in its column `metric`."""
    if not len(table):
        return table
    of = [chosen[int(i)] for i in table["metric"]]
    named = {"kind": [kind or m.kind for m in of], "analysis": [m.analysis for m in of]}
    rest = table.drop(columns=["metric", "dataset"], errors="ignore")
    return pd.concat([pd.DataFrame(named | {"measure": [m.measure for m in of]}), rest], axis=1)


def _within(measured: Measured, everything: Sequence[Measure], order: Sequence[str]) -> pd.DataFrame:
    """Region A against region B in each row of maps."""
    chosen = [m for m in everything if m.kind == "contrast"]
    density = [m for m in everything if m.kind == "density"]
    pairs: list[Compared] = []
    for i in range(len(chosen)):
        a, b = density[2 * i : 2 * i + 2]
        pairs += [(str(i), key, key, a.values[:, k], b.values[:, k]) for key, k in _places(measured, order)]
    return _tested(pairs, "within", chosen)


def _over_prior(measured: Measured, everything: Sequence[Measure], order: Sequence[str], prior: str) -> pd.DataFrame:
    """The contrast of each row against that of the prior."""
    chosen = [m for m in everything if m.kind == "contrast"]
    p = measured.keys.index(prior)
    pairs: list[Compared] = [
        (str(i), key, prior, m.values[:, k], m.values[:, p])
        for i, m in enumerate(chosen)
        for key, k in _places(measured, order)
        if key != prior
    ]
    return _tested(pairs, "over_prior", chosen)


def _places(measured: Measured, order: Sequence[str]) -> list[tuple[str, int]]:
    return [(key, measured.keys.index(key)) for key in order if key in measured.keys]


def _tested(pairs: Sequence[Compared], kind: str, chosen: Sequence[Measure]) -> pd.DataFrame:
    pairs = [pair for pair in pairs if not np.isnan(pair[3] - pair[4]).all()]
    if not pairs:
        return pd.DataFrame()
    return _named(paired_tests(pairs, np.random.default_rng(SEED)), kind, chosen)
