"""Where did alignment rise? Gains of one model over another, image by image, against the observers' consistency."""

from collections.abc import Sequence
from dataclasses import asdict

import numpy as np
import pandas as pd
from jaxtyping import Float

from gazetune.data.stimuli import Stimuli
from gazetune.statistics.correlation import least_squares, partial, pearson
from gazetune.statistics.intervals import wilson

EPSILON = 1e-8  # the paper's, added to the headroom
CEILING = 0.99  # above this baseline there is no headroom to speak of
QUARTILES = 4
PAIR = ["first", "second"]

Pairs = Sequence[tuple[str, str]]


def gains(scores: pd.DataFrame, consistency: pd.DataFrame, pairs: Pairs, metric: str = "cc") -> pd.DataFrame:
    """One row a pair of models and image: both scores, their difference, and the consistency with its quartile.

    gain = first - second; normalised_gain = gain / (1 - second + 1e-8), the share of the headroom that was won, NaN
    where second > .99. quartile: 1 (least consistent) to 4, of all images with a consistency, as equal in number as
    can be.

    Args:
        scores: image, key (of a model) and `metric`, of one data set.
        consistency: image, n_observers, consistency (see metrics.consistency).
        pairs: keys of the models, (tuned, reference), (tuned, control), ...

    Raises:
        ValueError: an image occurs twice for a model, or a model is not in the table.
    """
    wide = scores.pivot(index="image", columns="key", values=metric)
    missing = sorted({key for pair in pairs for key in pair} - set(wide.columns))
    if missing:
        raise ValueError(f"needed scores of {', '.join(missing)}; there are scores of {', '.join(wide.columns)}")
    base = consistency[["image", "n_observers", "consistency"]].assign(quartile=_quartiles(consistency["consistency"]))
    tables = []
    for first, second in pairs:
        after, before = (base["image"].map(wide[key]) for key in (first, second))
        gain = after - before
        headroom = (1 - before + EPSILON).where(before <= CEILING)
        part = base.assign(score_first=after, score_second=before, gain=gain, normalised_gain=gain / headroom)
        part.insert(0, "first", first)
        part.insert(1, "second", second)
        tables.append(part)
    return pd.concat(tables, ignore_index=True)


def _quartiles(values: pd.Series) -> pd.Series:
    """1 to 4 by rank, ties in the order of the images; <NA> without a value, and for all with fewer than four."""
    rank = values.rank(method="first")
    n = int(values.notna().sum())
    quartile = rank * np.nan if n < QUARTILES else (rank * QUARTILES / n).apply(np.ceil)
    return quartile.astype("Int64")


def consistency_correlations(gained: pd.DataFrame) -> pd.DataFrame:
    """What the consistency goes with: one row a pair of models and quantity, with r, its interval, p and the line.

    quantity: `score_first`, `score_second`, `gain`, `normalised_gain`; given: "" for Pearson's r, `score_second` for
    the partial correlation of the gain with the baseline score held constant. slope, intercept: least squares of the
    quantity on the consistency.

    A gain falls with its own baseline (regression to the mean), and the baseline goes with the consistency. So r of
    the gain alone does not say that consistent images gained less; the partial r, nearly, does: noise in
    the baseline's score is not taken out.
    """
    rows = []
    for (first, second), part in gained.groupby(PAIR, sort=False):
        x = part["consistency"].to_numpy()
        for quantity in ("score_first", "score_second", "gain", "normalised_gain"):
            y = part[quantity].to_numpy()
            line = {k: v for k, v in asdict(least_squares(x, y)).items() if k != "n"}
            names = {"first": first, "second": second, "quantity": quantity, "given": ""}
            rows.append({**names, **asdict(pearson(x, y)), **line})
        held = asdict(partial(x, part["gain"].to_numpy(), part["score_second"].to_numpy()))
        rows.append({"first": first, "second": second, "quantity": "gain", "given": "score_second", **held})
    return pd.DataFrame(rows)


def quartile_means(gained: pd.DataFrame) -> pd.DataFrame:
    """One row a pair of models, quartile of consistency and quantity: n, mean and SEM over images with a value.

    quantity: `score_first`, `score_second`, `gain`, `normalised_gain`. consistency_mean: of the quartile's images.
    """
    rows = []
    for (first, second), pair in gained.groupby(PAIR, sort=False):
        for quartile in range(1, QUARTILES + 1):
            part = pair[pair["quartile"] == quartile]
            names = {"first": first, "second": second, "quartile": quartile}
            for quantity in ("score_first", "score_second", "gain", "normalised_gain"):
                known = part[quantity].dropna().to_numpy(dtype=np.float64)
                shown = {"quantity": quantity, "consistency_mean": part["consistency"].mean(), "n": len(known)}
                rows.append({**names, **shown, "mean": _mean(known), "sem": _sem(known)})
    return pd.DataFrame(rows)


def _mean(values: Float[np.ndarray, " image"]) -> float:
    return float(values.mean()) if len(values) else np.nan


def _sem(values: Float[np.ndarray, " image"]) -> float:
    return float(values.std(ddof=1) / len(values) ** 0.5) if len(values) > 1 else np.nan


def categories(stimuli: Stimuli) -> pd.DataFrame:
    """One row an image and category of its annotated objects, however many objects there are of it."""
    found = ((item.id, name) for item in stimuli for name in sorted({o.category for o in item.objects}))
    return pd.DataFrame(found, columns=["image", "category"])


def category_means(gained: pd.DataFrame, present: pd.DataFrame) -> pd.DataFrame:
    """One row a pair of models and category: mean scores and gain over the images that hold the category.

    `present` has image and category (see `categories`); an image counts for each of its categories.
    """
    known = gained.dropna(subset=["gain"]).merge(present, on="image")
    grouped = known.groupby([*PAIR, "category"], sort=False)
    columns = {"mean_first": ("score_first", "mean"), "mean_second": ("score_second", "mean")}
    table = grouped.agg(n=("gain", "size"), **columns, gain=("gain", "mean"), sem=("gain", "sem")).reset_index()
    return table.sort_values([*PAIR, "category"], ignore_index=True)


def improved(table: pd.DataFrame, of: str = "images") -> pd.DataFrame:
    """One row a pair of models: how many gained (gain > 0) of how many, the share, and its Wilson interval.

    `table` has a row for each image (see `gains`) or category (see `category_means`); `of` says which. Rows without
    a gain are left out of n. Categories share images, so their interval is narrower than it should be.
    """
    rows = []
    for (first, second), part in table.groupby(PAIR, sort=False):
        known = part["gain"].dropna()
        count, n = int((known > 0).sum()), len(known)
        low, high = wilson(count, n)
        share = count / n if n else np.nan
        shown = {"improved": count, "n": n, "share": share, "ci_low": low, "ci_high": high}
        rows.append({"first": first, "second": second, "of": of, **shown})
    return pd.DataFrame(rows, columns=[*PAIR, "of", "improved", "n", "share", "ci_low", "ci_high"])


def at_ceiling(gained: pd.DataFrame) -> pd.DataFrame:
    """One row a pair of models: how many images have no normalised gain because the second scores above .99."""
    over = gained["score_second"] > CEILING
    return gained.assign(at_ceiling=over).groupby(PAIR, sort=False)["at_ceiling"].sum().reset_index()
