"""Where did alignment rise? The gain of one model over another, image by image, and what it goes with."""

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import pandas as pd
from jaxtyping import Int

from gazetune.maps import Points
from gazetune.metrics.consistency import agreement
from gazetune.metrics.gain import (
    PAIR,
    Pairs,
    at_ceiling,
    category_means,
    consistency_correlations,
    gains,
    improved,
    quartile_means,
)
from gazetune.prepared import Prepared
from gazetune.run import Json, Run
from gazetune.tables.rows import PRIORS

METRIC = "cc"  # the paper's primary metric, and the one in which observers' agreement is measured
RIVALS = {"tuned": ("reference", "control"), "control": ("reference",), "other": ("reference",)}  # role -> against whom
ROW = ["dataset", "image", *PAIR]


def write_consistency(run: Run, test: Prepared, rows: Int[np.ndarray, " test"], points: Points) -> str:
    """`scores/NAME-consistency.csv`: how far the observers of each test image agree (see metrics.consistency).

    points: the fixations of the images at these rows of the data set.
    """
    found = agreement(points)
    found.insert(0, "dataset", test.name)
    found.insert(1, "image", test.table["image"].to_numpy()[rows])
    return run.write_table(f"scores/{test.name}-consistency", found)


def consistency_summary(table: pd.DataFrame) -> dict[str, Json]:
    """Of each data set: how many images have a consistency, their mean and SD, and how many have none."""
    rows = []
    for dataset, part in table.groupby("dataset", sort=False):
        known = part["consistency"].dropna()
        shape = {"n": len(known), "mean": float(known.mean()), "sd": float(known.std(ddof=1))}
        rows.append({"dataset": dataset, **shape, "fewer_than_two_observers": len(part) - len(known)})
    return {"consistency": rows}


def gain_pairs(scores: pd.DataFrame, roles: Mapping[str, str]) -> Pairs:
    """The keys of the models whose gain is of interest: tuned over reference, tuned over control, and so on.

    Models that both have a seed are paired within the seed. A model that is neither tuned nor a control, as all are
    where nothing is trained, is paired with the reference, and a model that is alone with the centre prior.
    """
    seed = scores.drop_duplicates("key").set_index("key")["seed"]
    there = [key for key in roles if key in seed.index]
    if len(there) == 1:
        return [(there[0], prior) for prior in PRIORS if prior in seed.index][:1]
    return [
        (first, second)
        for role, rivals in RIVALS.items()
        for rival in rivals
        for first in (key for key in there if roles[key] == role)
        for second in (key for key in there if roles[key] == rival)
        if pd.isna(seed[first]) or pd.isna(seed[second]) or seed[first] == seed[second]
    ]


def gain_tables(
    scores: pd.DataFrame, consistency: pd.DataFrame, present: Mapping[str, pd.DataFrame], roles: Mapping[str, str]
) -> dict[str, pd.DataFrame]:
    """The tables `gains`, `correlations`, `quartiles`, `improved` and, where images have objects, `categories`.

    Args:
        scores: dataset, image, key, seed and cc. consistency: dataset, image, n_observers, consistency.
        present: of each data set, image and category of the objects (no rows where it has none).

    No table where no two models can be compared, or CC was not asked for.
    """
    parts, in_categories = [], []
    for name, observers in consistency.groupby("dataset", sort=False):
        part = scores[scores["dataset"] == name]
        pairs = gain_pairs(part, roles) if METRIC in part else []
        if pairs:
            parts.append(gains(part, observers, pairs, METRIC).assign(dataset=name))
            in_categories.append(category_means(parts[-1], present[str(name)]).assign(dataset=name))
    if not parts:
        return {}
    gained, by_category = (pd.concat(found, ignore_index=True) for found in (parts, in_categories))
    tables = {
        "gains": gained[[*ROW, *gained.columns.difference(ROW, sort=False)]],
        "correlations": _each(gained, consistency_correlations),
        "quartiles": _each(gained, quartile_means),
        "improved": _each(gained, improved),
    }
    if len(by_category):
        of_categories = _each(by_category, partial(improved, of="categories"))
        tables["improved"] = pd.concat([tables["improved"], of_categories], ignore_index=True)
        tables["categories"] = by_category[["dataset", *by_category.columns.drop("dataset")]]
    return tables


def gain_summary(tables: Mapping[str, pd.DataFrame]) -> dict[str, Json]:
    """What summary.json says of the tables above: all but single images, and how many are at the ceiling."""
    if "gains" not in tables:
        return {}
    shown = {name: table for name, table in tables.items() if name != "gains"}
    shown["at_ceiling"] = _each(tables["gains"], at_ceiling)
    return {name: table.to_dict("records") for name, table in shown.items()}


def _each(table: pd.DataFrame, of: Callable[[pd.DataFrame], pd.DataFrame]) -> pd.DataFrame:
    """What a function makes of the rows of each data set, with the data set's name in front."""
    frames = []
    for dataset, part in table.groupby("dataset", sort=False):
        frames.append(of(part))
        frames[-1].insert(0, "dataset", dataset)
    return pd.concat(frames, ignore_index=True)
