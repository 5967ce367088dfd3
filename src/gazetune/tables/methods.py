"""Does what holds for one attention method hold for others? Every model by every method, on the same images."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd

from gazetune.attention.extract import open_maps
from gazetune.faithfulness import AREAS, RANDOM
from gazetune.metrics import Metric
from gazetune.metrics.score import score_points
from gazetune.prepared import Prepared
from gazetune.priors import of_others, of_training
from gazetune.run import Json, Run
from gazetune.statistics.compare import compare
from gazetune.statistics.resample import bootstrap_intervals
from gazetune.tables.rows import Models, keyed, maps_folder, test_order

GAINS = ("deletion_gain", "insertion_gain")  # over a random order of the same model, image by image
SEED = 0  # of the bootstrap
Pairs = Collection[tuple[str, str]]  # key of a model, name of a method
ROW = ["dataset", "image", "model", "seed", "attention"]


def method_folder(dataset: str, key: str, method: str | None) -> str:
    """Where the maps of a model by a method lie; None: by its own. It is also the name of the stage that makes them."""
    return maps_folder(dataset, key) if method is None else f"methods/{dataset}/{key}/{method}"


def areas_name(dataset: str, key: str, method: str) -> str:
    """Where deletion and insertion of a model by a method lie."""
    return f"scores/{dataset}-faithfulness-{key}-{method.replace(' ', '_')}"


def write_methods(
    run: Run,
    test: Prepared,
    training: Prepared,
    models: Models,
    maps: Mapping[tuple[str, str], str],
    metrics: Mapping[str, Metric],
    areas: Pairs,
) -> list[str]:
    """`scores/NAME-methods.csv`: one row an image, model and method: every metric, deletion and insertion.

    Args:
        run: holds the maps. test, training: as for the scores of the models' own methods, with the same priors.
        models: key -> name and seed. maps: key and method -> folder. areas: of what deletion and insertion were done.
    """
    rows = test.rows("test")
    points, seen = test.points.take(rows), training.points.take(training.rows("train"))
    priors = of_training(seen) if len(seen) else of_others(points)
    images = test.table["image"].to_numpy()[rows]
    parts = []
    for key, method in dict.fromkeys([*maps, *areas]):
        name, seed = models[key]
        first = {"dataset": test.name, "image": images, "model": name, "seed": seed, "attention": method}
        part = pd.DataFrame(first).astype({"seed": "Int64"})
        if (key, method) in maps:
            scored = score_points(open_maps(run, maps[key, method], points.size), points, priors, metrics)
            part = pd.concat([part, scored], axis=1)
        if (key, method) in areas:
            found = run.table(areas_name(test.name, key, method)).set_index("image")
            part = part.join(found[list(AREAS)], on="image")
        parts.append(part)
    table = pd.concat(parts, ignore_index=True).reindex(columns=[*ROW, *metrics, *AREAS, "reason"])
    return [run.write_table(f"scores/{test.name}-methods", table)]


def gather_methods(
    run: Run, datasets: Sequence[str], roles: Mapping[str, str], metrics: Sequence[str]
) -> tuple[pd.DataFrame, dict[str, pd.DataFrame]]:
    """The rows of images.csv by methods that are not the models' own; the tables methods, method_tests, faithfulness.

    No rows and no tables without data sets.
    """
    if not datasets:
        return pd.DataFrame(), {}
    table = pd.concat([run.table(f"scores/{name}-methods") for name in datasets], ignore_index=True)
    own = pd.concat([run.table(f"scores/{name}") for name in datasets], ignore_index=True)
    taken = set(own[["model", "seed", "attention"]].fillna(-1).itertuples(index=False, name=None))
    mine = [row in taken for row in table[["model", "seed", "attention"]].fillna(-1).itertuples(index=False, name=None)]
    others = table[~np.array(mine) & (table["attention"] != RANDOM)]
    whole = over_random(keyed(table))
    asked = [name for name in (*metrics, *AREAS, *GAINS) if whole[name].notna().any()]
    found = {"methods": method_means(whole, asked), "method_tests": method_tests(whole, asked, roles)}
    if table[list(AREAS)].notna().any(axis=None):
        found["faithfulness"] = table.dropna(subset=list(AREAS))[[*ROW, *AREAS]]
    return others.drop(columns=list(AREAS)), found


def over_random(scores: pd.DataFrame) -> pd.DataFrame:
    """The scores with `deletion_gain` (random order minus method) and `insertion_gain` (method minus random order)."""
    control = scores[scores["attention"] == RANDOM].set_index(["dataset", "key", "image"])[list(AREAS)]
    beside = scores[["dataset", "key", "image"]].join(control, on=["dataset", "key", "image"])
    is_method = scores["attention"] != RANDOM
    gains = {"deletion_gain": beside["deletion"] - scores["deletion"]}
    gains["insertion_gain"] = scores["insertion"] - beside["insertion"]
    return scores.assign(**{name: gain.where(is_method) for name, gain in gains.items()})


def method_means(scores: pd.DataFrame, metrics: Sequence[str]) -> pd.DataFrame:
    """One row a data set, model, method and metric: n, mean, SD, SEM, and a 95 % bootstrap interval over images.

    reason: why images are missing from n, with their number; empty where none is.
    """
    rows = []
    for (dataset, method, key), part in scores.groupby(["dataset", "attention", "key"], sort=False):
        values = part[list(metrics)].to_numpy(dtype=np.float64)
        why = part["reason"] if "reason" in part else pd.Series(index=part.index, dtype="str")
        low, high = bootstrap_intervals(values, np.random.default_rng(SEED))
        for metric, column, a, b in zip(metrics, values.T, low, high, strict=True):
            known = column[~np.isnan(column)]
            if len(known):
                sd = float(known.std(ddof=1)) if len(known) > 1 else np.nan
                spread = {"n": len(known), "mean": float(known.mean()), "sd": sd, "sem": sd / len(known) ** 0.5}
                names = {"dataset": dataset, "model": key, "attention": method, "metric": metric}
                lacking = why[np.isnan(column)].dropna().value_counts()
                reason = ", ".join(f"{count} {what}" for what, count in lacking.items())
                rows.append({**names, **spread, "ci_low": float(a), "ci_high": float(b), "reason": reason})
    return pd.DataFrame(rows)


def method_tests(scores: pd.DataFrame, metrics: Sequence[str], roles: Mapping[str, str]) -> pd.DataFrame:
    """The tests of `compare` between models, within each method; p_holm over the metrics of one method and pair."""
    tables = []
    for method, part in scores.groupby("attention", sort=False):
        known = [metric for metric in metrics if part[metric].notna().any()]
        tables.append(compare(part, known, test_order(roles), models=roles))
        tables[-1].insert(1, "attention", method)
    return pd.concat([t for t in tables if len(t)] or tables[:1], ignore_index=True)


def method_summary(tables: Mapping[str, pd.DataFrame]) -> dict[str, Json]:
    """What summary.json says of them: all but single images."""
    return {name: table.to_dict("records") for name, table in tables.items() if name != "faithfulness"}
