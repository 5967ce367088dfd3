"""Scores observer by observer: `observers.csv`, and tests that hold for other observers too: `observer_tests.csv`."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int

from gazetune.maps import Points
from gazetune.metrics.observers import OBSERVER_METRICS, Pairs, Values, pairs_of, score_pairs
from gazetune.metrics.score import Maps
from gazetune.prepared import Prepared
from gazetune.run import Run
from gazetune.statistics.compare import SEED
from gazetune.statistics.crossed import crossed_intervals
from gazetune.tables.rows import GAUSSIAN, MEAN_MAP, ONE_OUT, OTHERS, keyed

OBSERVER_ROWS = (GAUSSIAN, MEAN_MAP, OTHERS)  # the rows without a model that are also scored against each observer
Named = tuple[str, int | None]  # model and seed


def pairs_name(dataset: str) -> str:
    """Where the scores of single observers on single images lie."""
    return f"scores/{dataset}-pairs.safetensors"


@dataclass(frozen=True)
class PairScores:
    """Scores of each row (model, prior, other humans) against each observer of each image.

    values: float32. image: position among the test images. observer: number; keys: names of the rows. observers: their
    names by number; empty: the number is the name.
    """

    values: Float[np.ndarray, "row metric pair"]
    image: Int[np.ndarray, " pair"]
    observer: Int[np.ndarray, " pair"]
    keys: tuple[str, ...]
    metrics: tuple[str, ...]
    observers: tuple[str, ...] = ()

    def of(self, key: str, metric: str) -> Float[np.ndarray, " pair"]:
        """The scores of one row."""
        return self.values[self.keys.index(key), self.metrics.index(metric)].astype(np.float64)


def write_observers(
    run: Run,
    test: Prepared,
    points: Points,
    maps: Mapping[Named, Maps],
    one_out: pd.DataFrame,
    metrics: Sequence[str],
) -> list[str]:
    """Score maps against each observer: `scores/NAME-observers.csv`, means by observer, and every pair's scores.

    points: of the test images. maps: of each model and of each prior that takes part. one_out: the scores of all other
    observers against each (leave_one_out), in the order of `pairs_of`. Of the metrics those in OBSERVER_METRICS.
    """
    chosen = tuple(m for m in OBSERVER_METRICS if m in metrics)
    pairs = pairs_of(points)
    if not chosen or not len(pairs):
        return []
    rows: list[Named] = [(ONE_OUT, None), *maps]
    values, tables = np.empty((len(rows), len(chosen), len(pairs)), dtype=np.float32), []
    others = {m: one_out[m].to_numpy() for m in chosen}
    for k, named in enumerate(rows):  # one row's at a time
        scores = score_pairs(maps[named], pairs, chosen) if named in maps else others
        values[k] = list(scores.values())
        tables.append(_by_observer(test, pairs, *named, scores))
    tensors = {"values": values, "image": pairs.image, "observer": pairs.observer}
    about = {
        "rows": [list(named) for named in rows],
        "metrics": list(chosen),
        "images": [str(i) for i in test.table["image"].iloc[test.rows("test")]],
        "observers": list(test.observers),
    }
    written = run.write_tensors(
        pairs_name(test.name), {name: torch.from_numpy(np.ascontiguousarray(t)) for name, t in tensors.items()}, **about
    )
    table = pd.concat(tables, ignore_index=True)
    return [run.write_table(f"scores/{test.name}-observers", table), written]


def _by_observer(
    test: Prepared, pairs: Pairs, model: str, seed: int | None, scores: Mapping[str, Values]
) -> pd.DataFrame:
    """One row an observer: mean and SD (ddof 1) over the images that they looked at and that have a score."""
    columns = pd.DataFrame(dict(scores))
    groups = columns.groupby(pairs.observer)
    number, mean, sd = columns.notna().any(axis=1).groupby(pairs.observer).sum(), groups.mean(), groups.std(ddof=1)
    first = {"dataset": test.name, "observer": test.observer_names(mean.index.to_numpy()), "model": model, "seed": seed}
    found = pd.DataFrame(first).astype({"seed": "Int64"}).assign(n_images=number.to_numpy())
    for metric in scores:
        found[metric], found[f"{metric}_sd"] = mean[metric].to_numpy(), sd[metric].to_numpy()
    return found


def load_pairs(run: Run, dataset: str) -> PairScores:
    """What `write_observers` wrote of single pairs."""
    file = pairs_name(dataset)
    tensors, about = run.tensors(file), run.about(file)
    keys = tuple(model if seed is None else f"{model}-s{seed}" for model, seed in about["rows"])
    image, observer = tensors["image"].numpy(), tensors["observer"].numpy()
    return PairScores(
        tensors["values"].numpy(), image, observer, keys, tuple(about["metrics"]), tuple(about["observers"])
    )


def observer_means(pairs: PairScores, metric: str, first: str, second: str) -> pd.DataFrame:
    """Each observer's mean score with two rows, over the images where both have one; a column a row, by name.

    The means of `observers.csv` are each over a row's own images, so their difference may be one of images.
    """
    found = pd.DataFrame({key: pairs.of(key, metric) for key in (first, second)})
    both = found.notna().all(axis=1)
    means = found[both].groupby(pairs.observer[both]).mean()
    return means.set_axis([pairs.observers[i] if pairs.observers else str(i) for i in means.index])


def observer_tests(dataset: str, pairs: PairScores, order: Sequence[str], models: Mapping[str, str]) -> pd.DataFrame:
    """One row per metric and pair of rows, one of them a model: the difference, and intervals for other observers too.

    n_images, n_observers, n_pairs; `difference`: mean over pairs of an image and an observer; boot_images: interval
    with images resampled, boot_both: with images and observers (see `crossed_intervals`); n_higher and share_higher:
    observers whose own mean difference is above 0.
    """
    present = [key for key in order if key in pairs.keys]
    chosen = [(a, b) for b, a in combinations(present, 2) if a in models or b in models]
    names, gaps = [], []
    for metric in pairs.metrics:
        for first, second in chosen:
            names.append({"dataset": dataset, "metric": metric, "first": first, "second": second})
            gaps.append(pairs.of(first, metric) - pairs.of(second, metric))
    if not gaps:
        return pd.DataFrame()
    columns = np.stack(gaps, axis=1)
    found = crossed_intervals(columns, pairs.image, pairs.observer, np.random.default_rng(SEED))
    by_observer = pd.DataFrame(columns).groupby(pairs.observer).mean()
    return pd.DataFrame(names).assign(
        n_images=[len(np.unique(pairs.image[~np.isnan(g)])) for g in gaps],
        n_observers=by_observer.notna().sum().to_numpy(),
        n_pairs=(~np.isnan(columns)).sum(axis=0),
        difference=pd.DataFrame(columns).mean().to_numpy(),
        **{f"boot_{name}": limit for name, limit in asdict(found).items()},
        n_higher=(by_observer > 0).sum().to_numpy(),
        share_higher=((by_observer > 0).sum() / by_observer.notna().sum()).to_numpy(),
    )


def describe_observers(table: pd.DataFrame) -> pd.DataFrame:
    """One row per data set, model and metric of `observers.csv`: n, mean and SD over observers of their means."""
    rows = []
    for (dataset, key), part in keyed(table).groupby(["dataset", "key"], sort=False):
        for metric in (m for m in OBSERVER_METRICS if m in part):
            values = part[metric].dropna()
            shape = {"n_observers": len(values), "mean": float(values.mean()), "sd": float(values.std(ddof=1))}
            rows.append({"dataset": dataset, "model": key, "metric": metric, **shape})
    return pd.DataFrame(rows)
