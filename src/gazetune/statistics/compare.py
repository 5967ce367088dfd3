"""Every pair of rows of a table of scores, tested over the images they share."""

from collections.abc import Collection, Iterator, Sequence
from dataclasses import asdict
from itertools import combinations

import numpy as np
import pandas as pd

from gazetune.statistics.multiple import holm
from gazetune.statistics.paired import paired_test, signed_rank
from gazetune.statistics.resample import bootstrap_intervals

TESTS = (
    "dataset", "metric", "first", "second", "n", "mean_first", "mean_second", "difference", "ci_low", "ci_high", "t",
    "df", "p", "d", "wilcoxon_w", "wilcoxon_p", "boot_low", "boot_high", "p_holm", "reason",
)  # fmt: skip
MEANS = ("dataset", "model", "metric", "n", "mean", "sd", "sem")
SEED = 0  # of the bootstrap where the caller brings no generator

Compared = tuple[str, str, str, np.ndarray, np.ndarray]  # metric, keys of the two rows, their values image by image


def compare(
    scores: pd.DataFrame,
    metrics: Sequence[str],
    order: Sequence[str],
    generator: np.random.Generator | None = None,
    models: Collection[str] | None = None,
) -> pd.DataFrame:
    """One row per data set, metric and pair of models: the paired tests of the later against the earlier in `order`.

    Paired t (p, t interval, d), percentile bootstrap over images (boot_low, boot_high; 10,000 draws), Wilcoxon
    (wilcoxon_w, wilcoxon_p), and p_holm: the t-test's p corrected over the metrics of one data set and pair. reason:
    why a test is NaN (see `paired_test`), else empty. Without a pair to test the table has its columns and no row.

    Args:
        scores: dataset, image, model (a key such as `tuned-s42`) and one column per metric.
        metrics: the columns to test. order: the model keys, reference first.
        models: pairs without any of these are left out (a prior against another prior); all pairs by default.
        generator: seeds the bootstrap. Every data set starts from the same seed, so that its intervals do not
            depend on which other data sets, metrics or models stand in the table.
    """
    seed = int((generator or np.random.default_rng(SEED)).integers(2**63))
    tables = []
    for dataset, part in scores.groupby("dataset", sort=False):
        pairs = list(_pairs(part, metrics, order, set(order if models is None else models)))
        if pairs:
            tables.append(paired_tests(pairs, np.random.default_rng(seed)))
            tables[-1].insert(0, "dataset", dataset)
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=list(TESTS))


def _pairs(
    part: pd.DataFrame, metrics: Sequence[str], order: Sequence[str], models: Collection[str]
) -> Iterator[Compared]:
    for metric in metrics:
        wide = part.pivot(index="image", columns="key", values=metric)
        present = [key for key in order if key in wide and wide[key].notna().any()]
        for second, first in combinations(present, 2):
            if first in models or second in models:
                yield metric, first, second, wide[first].to_numpy(), wide[second].to_numpy()


def paired_tests(pairs: Sequence[Compared], generator: np.random.Generator) -> pd.DataFrame:
    """One row a pair of one data set: the tests of `compare`; Holm over the metrics of each pair of keys."""
    rows = []
    for metric, first, second, a, b in pairs:
        ranked = signed_rank(a, b)
        names = {"metric": metric, "first": first, "second": second}
        rows.append({**names, **asdict(paired_test(a, b)), "wilcoxon_w": ranked.w, "wilcoxon_p": ranked.p})
    table = pd.DataFrame(rows)
    low, high = bootstrap_intervals(np.column_stack([a - b for *_, a, b in pairs]), generator)
    corrected = table.groupby(["first", "second"])["p"].transform(lambda p: pd.Series(holm(p), p.index))
    reason = table.pop("reason")
    return table.assign(boot_low=low, boot_high=high, p_holm=corrected, reason=reason)


def describe(scores: pd.DataFrame, metrics: Sequence[str], order: Sequence[str]) -> pd.DataFrame:
    """One row per data set, model and metric: n, mean, SD and SEM over images with a value; no row without any."""
    rows = []
    for (dataset, key), part in scores.groupby(["dataset", "key"], sort=False):
        for metric in metrics:
            values = part[metric].dropna()
            if len(values):
                sd = float(values.std(ddof=1))
                shape = {"n": len(values), "mean": float(values.mean()), "sd": sd, "sem": sd / len(values) ** 0.5}
                rows.append({"dataset": dataset, "model": key, "metric": metric, **shape})
    rank = {key: i for i, key in enumerate(order)}
    table = pd.DataFrame(rows, columns=list(MEANS))
    return table.sort_values("model", key=lambda c: c.map(rank), kind="stable", ignore_index=True)
