"""Does it hold from training to training? The spread between seeds beside the spread between images."""

from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from gazetune.tables.gain import gain_pairs

COLUMNS = (
    "dataset", "model", "against", "metric", "n_seeds", "n_images", "mean", "sd_between_seeds", "sd_between_images",
    "lowest", "highest",
)  # fmt: skip


def seed_spread(scores: pd.DataFrame, metrics: Sequence[str], roles: Mapping[str, str]) -> pd.DataFrame:
    """One row a data set, metric and model with several seeds, and one for its difference from each rival.

    Over the images that have a value with every seed: mean of the seeds' means; sd_between_seeds: SD of these means;
    sd_between_images: SD over images of their mean over seeds; lowest, highest: of the seeds' means. against: the
    model that is subtracted, image by image and within the seed (see gain_pairs); empty for a model's own scores.

    Args:
        scores: dataset, image, key, model, seed and the metrics. roles: of each model, by key (see Experiment).
    """
    rows = []
    for dataset, part in scores.groupby("dataset", sort=False):
        several = list(_several(part, roles))
        for metric in metrics if several else ():
            wide = part.pivot(index="image", columns="key", values=metric)
            for model, against, pairs in several:
                values = pd.DataFrame({a: wide[a] - wide[b] if b else wide[a] for a, b in pairs}).dropna()
                seeds, images = values.mean(axis=0), values.mean(axis=1)
                shape = (len(pairs), len(values), seeds.mean(), seeds.std(ddof=1), images.std(ddof=1))
                rows.append((dataset, model, against, metric, *shape, seeds.min(), seeds.max()))
    return pd.DataFrame(rows, columns=COLUMNS)


def _several(part: pd.DataFrame, roles: Mapping[str, str]) -> Iterator[tuple[str, str, list[tuple[str, str]]]]:
    """Names of each model with several seeds and of its rival, if any, with the keys of both for each seed."""
    name = part.drop_duplicates("key").set_index("key")["model"]
    alone = [(key, "") for key in roles if key in name.index]
    groups: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for first, second in (*alone, *gain_pairs(part, roles)):
        groups.setdefault((name[first], name[second] if second else ""), []).append((first, second))
    for (model, against), pairs in groups.items():
        if len({first for first, _ in pairs}) > 1:
            yield model, against, pairs
