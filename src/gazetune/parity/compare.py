"""Is a model as good a classifier as the reference, image by image? Tables from `predictions.csv`; no model is needed.

A table of predictions has one row per model (`key`), data set and image, and per corruption and severity where it has
these columns: `correct` (0 or 1), and where there are `correct_top5`, `p_true`, `label` and `head`, whose answers they
are (`own`, or of a linear probe; see docs/run-directory.md).
What the columns of the results mean stands in docs/parity.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float

from gazetune.errors import InputError
from gazetune.statistics.agreement import MARGIN, clustered, equivalence, mcnemar
from gazetune.statistics.bayes import R_MEDIUM, R_UNIT, SCALES, jeffreys, ln_bf01_jzs, ln_bf01_unit
from gazetune.statistics.intervals import wilson
from gazetune.statistics.multiple import holm
from gazetune.statistics.paired import paired_test
from gazetune.statistics.resample import FEWEST

PREDICTION, IMAGE = "prediction", "image"  # what counts as one observation
HEAD, OWN = "head", "own"  # whose answers: the model's own head's where nothing else is said
COPIES = ("corruption", "severity")  # columns that tell predictions of one image apart
NEEDED = ("dataset", "image", "key", "correct")
FACTORS = {
    "jzs": R_MEDIUM,
    "jzs_r1": R_UNIT,
    "unit": None,
}  # end of the column names -> scale r (unit information: none)

TOO_FEW = f"fewer than {FEWEST} images: no test, the Bayes factors are at their ceiling"
NO_DISCORDANT = "no discordant pair: no t, the Bayes factors are at their ceiling, TOST p is (1 - margin)^n"
NO_IMAGE_DIFFERS = "no image's mean differs: no t, the Bayes factors are at their ceiling, TOST p is (1 - margin)^n"
ALL_ALIKE = "all differences are the same: t is infinite, the Bayes factors are 0"


def parity(predictions: pd.DataFrame, reference: str, margin: float = MARGIN) -> pd.DataFrame:
    """One row per data set, head, model other than `reference`, and unit: accuracies, difference and every test of it.

    The unit is the single prediction, and where a data set has several of one image (corruptions, severities) once
    more the image: those are not independent, and the row of images is the one to read. An empty table where no other
    model has answered.

    Args:
        predictions: see this module's docstring. reference: the key that all others are compared with (`second`).
        margin: difference of accuracies that counts as none (TOST), a share.

    Raises:
        InputError: a missing column, an unknown reference, two rows for one prediction, a `correct` that is not 0 or 1.
    """
    rows = []
    for names, pairs in _paired(predictions, reference):
        rows += [{**names, **_row(pairs, unit, margin)} for unit in _units(pairs)]
    return _with_factors(pd.DataFrame(rows))


def parity_by(predictions: pd.DataFrame, reference: str, by: str, margin: float = MARGIN) -> pd.DataFrame:
    """The rows of `parity` for each value of a column: `label` (per class), `corruption`, or any other of the table.

    The value is the reference's, where models number their classes differently. p_holm is p corrected over the values
    within one data set, head, model and unit. Rows without a value (a data set without corruptions) are left out.

    Raises:
        InputError: as `parity`, and where there is no column `by`.
    """
    if by not in predictions:
        raise InputError(
            f"The predictions have no column '{by}'. They have: {', '.join(map(str, predictions.columns))}."
        )
    rows = []
    for names, pairs in _paired(predictions, reference, by):
        for value, part in pairs.groupby("by"):
            rows += [{**names, by: value, **_row(part, unit, margin)} for unit in _units(part)]
    table = _with_factors(pd.DataFrame(rows))
    if table.empty:
        return table
    corrected = table.groupby(["dataset", HEAD, "first", "unit"])["p"].transform(lambda p: pd.Series(holm(p), p.index))
    return table.assign(p_holm=corrected)


def sensitivity(table: pd.DataFrame, scales: Sequence[float] = SCALES) -> pd.DataFrame:
    """The JZS Bayes factor of each row of `parity` at several scales r of the prior, with the ceiling at each.

    Columns: dataset, head, first, second, unit, n, t, r, ln_bf01, bf01, ceiling, evidence.
    """
    parts = []
    for r in scales:
        ln = ln_bf01_jzs(_t(table), table["n"].to_numpy(), r)
        shape = {
            "r": r,
            "ln_bf01": ln,
            "bf01": np.exp(ln),
            "ceiling": np.exp(ln_bf01_jzs(0.0, table["n"].to_numpy(), r)),
        }
        parts.append(table[["dataset", HEAD, "first", "second", "unit", "n", "t"]].assign(**shape))
    return pd.concat(parts, ignore_index=True).assign(evidence=lambda x: x["ln_bf01"].map(jeffreys))


def _paired(
    predictions: pd.DataFrame, reference: str, by: str | None = None
) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Each model's predictions beside the reference's, with the names of the pair and how many have no partner."""
    _check(predictions, reference)
    values = [c for c in ("correct", "correct_top5", "p_true") if c in predictions]
    for (dataset, head), part in _with_head(predictions).groupby(["dataset", HEAD], sort=False):
        same = ["image", *(c for c in COPIES if c in part)]
        one = part.loc[part["key"] == reference, [*same, *values]]
        if by is not None:
            one = one.assign(by=part[by])
        for key in part["key"].unique():
            if key == reference or one.empty:
                continue
            other = part.loc[part["key"] == key, [*same, *values]]
            both = other.merge(one, "outer", on=same, suffixes=("_first", "_second"), sort=True)
            known = both[["correct_first", "correct_second"]].notna().all(axis=1)
            names = {"dataset": dataset, HEAD: head, "first": key, "second": reference, "unpaired": int((~known).sum())}
            numbers = {f"{v}_{side}": float for v in values for side in ("first", "second")}
            yield names, both[known].astype(numbers)


def _with_head(predictions: pd.DataFrame) -> pd.DataFrame:
    # tables put together from several have an index with repeats
    told = predictions.reset_index(drop=True)
    return told.assign(head=told[HEAD].fillna(OWN) if HEAD in told else OWN)


def _check(predictions: pd.DataFrame, reference: str) -> None:
    missing = [c for c in NEEDED if c not in predictions]
    if missing:
        raise InputError(f"A table of predictions needs {', '.join(NEEDED)}; missing: {', '.join(missing)}.")
    keys = list(map(str, predictions["key"].unique()))
    if reference not in keys:
        raise InputError(f"The predictions have no model '{reference}'. They have: {', '.join(keys) or 'none'}.")
    of = ["dataset", "key", "image", *(c for c in (HEAD, *COPIES) if c in predictions)]
    twice = predictions.duplicated(of)
    if twice.any():
        named = ", ".join(f"{c} {predictions.loc[twice, c].iloc[0]}" for c in of)
        raise InputError(f"{int(twice.sum())} predictions stand in the table twice, the first is {named}.")
    wrong = predictions["correct"].notna() & ~predictions["correct"].isin([0, 1])
    if wrong.any():
        raise InputError(f"'correct' must be 0 or 1; got {predictions.loc[wrong, 'correct'].iloc[0]}.")


def _units(pairs: pd.DataFrame) -> list[str]:
    return [PREDICTION, IMAGE] if pairs["image"].duplicated().any() else [PREDICTION]


def _row(pairs: pd.DataFrame, unit: str, margin: float) -> dict[str, Any]:
    """Everything about one model against the reference but the Bayes factors."""
    first, second = pairs["correct_first"].to_numpy(), pairs["correct_second"].to_numpy()
    about = {"design_effect": np.nan, "effective_n": np.nan}
    counts = {"only_first": np.nan, "only_second": np.nan, "mcnemar_p": np.nan}
    if unit == IMAGE:
        groups = clustered(first, second, pairs["image"])
        first, second = groups.first, groups.second
        about = {"design_effect": groups.design_effect, "effective_n": groups.effective_n}
    else:
        exact = mcnemar(first, second)
        counts = {"only_first": exact.only_first, "only_second": exact.only_second, "mcnemar_p": exact.p}
    test, equal = asdict(paired_test(first, second)), equivalence(first, second, margin)
    return {
        "unit": unit,
        "n": test["n"],
        **_accuracy("first", test["mean_first"], first, unit),
        **_accuracy("second", test["mean_second"], second, unit),
        **_others(pairs),
        **{name: test[name] for name in ("difference", "t", "df", "p", "d")},
        # without a spread there is no interval, not one without width
        **{name: test[name] if np.isfinite(test["t"]) else np.nan for name in ("ci_low", "ci_high")},
        **counts,
        **{"margin": margin, "tost_p": equal.p, "ci90_low": equal.ci_low, "ci90_high": equal.ci_high},
        **about,
        "reason": _reason(test["n"], first - second, unit),
    }


def _accuracy(side: str, mean: float, values: Float[np.ndarray, " n"], unit: str) -> dict[str, float]:
    low, high = _interval(values, unit)
    return {f"accuracy_{side}": mean, f"accuracy_low_{side}": low, f"accuracy_high_{side}": high}


def _others(pairs: pd.DataFrame) -> dict[str, float]:
    """Top-5 accuracy and mean probability of the true class, where the table has them."""
    named = {"top5": "correct_top5", "p_true": "p_true"}
    return {
        f"{name}_{side}": float(pairs[f"{column}_{side}"].mean())
        for name, column in named.items()
        if f"{column}_first" in pairs
        for side in ("first", "second")
    }


def _interval(values: Float[np.ndarray, " n"], unit: str) -> tuple[float, float]:
    """95 %: Wilson's of single predictions; over images, whose values are means, the t interval."""
    if unit == PREDICTION:
        return wilson(int(values.sum()), len(values))
    alone = paired_test(values, np.zeros_like(values))
    return max(alone.ci_low, 0.0), min(alone.ci_high, 1.0)


def _reason(n: int, gap: Float[np.ndarray, " n"], unit: str) -> str | None:
    if n < FEWEST:
        return TOO_FEW
    if np.ptp(gap) > 0:
        return None
    return ALL_ALIKE if gap[0] else NO_DISCORDANT if unit == PREDICTION else NO_IMAGE_DIFFERS


def _t(table: pd.DataFrame) -> Float[np.ndarray, " row"]:
    """t, and 0 where no value differs or there are too few."""
    return table["t"].mask((table["difference"] == 0) | (table["n"] < FEWEST), 0.0).to_numpy(dtype=np.float64)


def _with_factors(table: pd.DataFrame) -> pd.DataFrame:
    """The three Bayes factors: value, logarithm, the ceiling (t = 0) at this n, and Jeffreys' word; `reason` last."""
    if table.empty:
        return table
    t, n = _t(table), table["n"].to_numpy()
    for name, r in FACTORS.items():
        ln, top = (ln_bf01_unit(x, n) if r is None else ln_bf01_jzs(x, n, r) for x in (t, np.zeros(len(table))))
        table[f"bf01_{name}"], table[f"ln_bf01_{name}"] = np.exp(ln), ln
        table[f"ceiling_{name}"], table[f"evidence_{name}"] = np.exp(top), [jeffreys(x) for x in ln]
    return table[[*(c for c in table if c != "reason"), "reason"]]
