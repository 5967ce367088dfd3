"""Every pair of rows of a table of scores, tested over the images they share."""

from collections.abc import Sequence
from dataclasses import asdict
from itertools import combinations

import pandas as pd

from gazetune.statistics.paired import paired_test


def compare(scores: pd.DataFrame, metrics: Sequence[str], order: Sequence[str]) -> pd.DataFrame:
    """One row per data set, metric and pair of models: the paired t-test of the later against the earlier in `order`.

    Args:
        scores: dataset, image, model (a key such as `tuned-s42`) and one column per metric.
        metrics: the columns to test. order: the model keys, reference first.
    """
    rows = []
    for dataset, part in scores.groupby("dataset", sort=False):
        for metric in metrics:
            wide = part.pivot(index="image", columns="key", values=metric)
            present = [key for key in order if key in wide and wide[key].notna().any()]
            for second, first in combinations(present, 2):
                test = paired_test(wide[first].to_numpy(), wide[second].to_numpy())
                rows.append({"dataset": dataset, "metric": metric, "first": first, "second": second, **asdict(test)})
    return pd.DataFrame(rows)


def describe(scores: pd.DataFrame, metrics: Sequence[str], order: Sequence[str]) -> pd.DataFrame:
    """One row per data set, model and metric: n, mean, SD and SEM over images with a value."""
    rows = []
    for (dataset, key), part in scores.groupby(["dataset", "key"], sort=False):
        for metric in metrics:
            values = part[metric].dropna()
            if len(values):
                sd = float(values.std(ddof=1))
                shape = {"n": len(values), "mean": float(values.mean()), "sd": sd, "sem": sd / len(values) ** 0.5}
                rows.append({"dataset": dataset, "model": key, "metric": metric, **shape})
    rank = {key: i for i, key in enumerate(order)}
    return pd.DataFrame(rows).sort_values("model", key=lambda c: c.map(rank), kind="stable", ignore_index=True)
