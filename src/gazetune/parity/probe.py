"""A linear classifier on the features of backbones that have no head: fitted on the reference, put on every model."""

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedKFold

from gazetune.data.labelled import some
from gazetune.errors import InputError
from gazetune.progress import say
from gazetune.training.accuracy import MAX_ITER, C

FROZEN, REFITTED = "probe", "refitted"
# columns of a head's answers, of types that can be missing
ANSWERS = {"top1": "Int64", "correct": "boolean", "correct_top5": "boolean", "p_true": "Float64"}
RULE = f"logistic regression (C = {C}, at most {MAX_ITER} steps) on unscaled features, stratified folds"

Features = Float[np.ndarray, "row dim"]  # one row an image; numbers of rows and dims are checked with words


def probe(
    features: Mapping[str, Features],
    answers: Int[np.ndarray, " image"],
    reference: str,
    folds: int = 5,
    seed: int = 0,
    names: Sequence[str] = (),
) -> pd.DataFrame:
    """How well a linear head classifies images that it was not fitted on, of every model: k-fold cross-validation.

    Two heads: `probe` is fitted on the reference's features of the training folds and put on every model as it is;
    `refitted` is fitted on the model's own. The folds are the same for all models. So `probe` says whether the features
    still mean the same, `refitted` whether they still tell the classes apart.

    Args:
        features: by model, one row an image, in one order. answers: the class of each image. reference: one of the
            models. folds: each image is in one; the head that answers it was fitted on the others. seed: of the folds.
        names: of the classes, for errors; empty: their numbers.

    Returns:
        One row per model, head and image, images in the given order: key, head, fold, label, top1, correct,
        correct_top5, p_true, reason. label and top1 are values of `answers`. Where a head does not fit a model, the
        answers are missing and `reason` says why.

    Raises:
        InputError: unknown reference, numbers of images that differ, NaN or infinite features, fewer than two classes
            or folds, fewer images of a class than folds.
    """
    _check(features, answers, reference, folds, names)
    parts = StratifiedKFold(folds, shuffle=True, random_state=seed).split(np.zeros(len(answers)), answers)
    fold = np.empty(len(answers), dtype=np.int64)
    for k, (_, test) in enumerate(parts):
        fold[test] = k
    width = features[reference].shape[1]
    classes = np.unique(answers)
    refitted = {key: _answered([key], features, answers, key, fold)[key] for key in features if key != reference}
    frozen = _answered([k for k, f in features.items() if f.shape[1] == width], features, answers, reference, fold)
    refitted[reference] = frozen[reference]  # the same fits
    tables = []
    for key, own in features.items():
        reason = f"{own.shape[1]} features, the head of '{reference}' takes {width}"
        for head, found in ((FROZEN, frozen.get(key)), (REFITTED, refitted[key])):
            rows = _rows(found, classes, answers, "" if found is not None else reason)
            tables.append(rows.assign(key=key, head=head, fold=fold))
    first = ["key", "head", "fold"]
    stacked = pd.concat(tables, ignore_index=True)
    return stacked[[*first, *(c for c in stacked if c not in first)]]


def _answered(
    keys: Sequence[str], features: Mapping[str, Features], answers: Int[np.ndarray, " image"], on: str,
    fold: Int[np.ndarray, " image"],
) -> dict[str, Float[np.ndarray, "image classes"]]:  # fmt: skip
    """Probabilities of the classes for every image, by heads that were fitted on `on` without the image's fold."""
    found = {key: np.empty((len(answers), len(np.unique(answers)))) for key in keys}
    for k in range(int(fold.max()) + 1):
        fitted = _fit(features[on][fold != k], answers[fold != k], on)
        for key in keys:
            found[key][fold == k] = fitted.predict_proba(features[key][fold == k])
    return found


def _fit(x: Features, y: Int[np.ndarray, " image"], key: str) -> LogisticRegression:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", ConvergenceWarning)
        fitted = LogisticRegression(C=C, max_iter=MAX_ITER).fit(x, y)
    if any(issubclass(w.category, ConvergenceWarning) for w in caught):
        say(f"warning: the linear probe on '{key}' did not converge in {MAX_ITER} steps")
    return fitted


def _rows(
    probability: Float[np.ndarray, "image classes"] | None,
    classes: Int[np.ndarray, " classes"],
    answers: Int[np.ndarray, " image"],
    reason: str,
) -> pd.DataFrame:
    """The answers of one head on one model; missing where it has none."""
    table = pd.DataFrame({"label": answers, **dict.fromkeys(ANSWERS), "reason": reason or None})
    if probability is not None:
        ranked = classes[np.argsort(-probability, axis=1, kind="stable")[:, :5]]
        right = ranked == answers[:, None]
        table["top1"], table["correct"], table["correct_top5"] = ranked[:, 0], right[:, 0], right.any(axis=1)
        table["p_true"] = probability[np.arange(len(answers)), np.searchsorted(classes, answers)]
    return table.astype({**ANSWERS, "reason": object})


def _check(
    features: Mapping[str, Features], answers: Int[np.ndarray, " image"], reference: str, folds: int,
    names: Sequence[str],
) -> None:  # fmt: skip
    if reference not in features:
        raise InputError(f"There are no features of the reference '{reference}'; there are {', '.join(features)}.")
    for key, own in features.items():
        if len(own) != len(answers):
            raise InputError(f"'{key}' has features of {len(own)} images, the labels are of {len(answers)}.")
        bad = int((~np.isfinite(own)).any(axis=1).sum())
        if bad:
            raise InputError(f"'{key}' has NaN or infinite features for {bad} of {len(own)} images.")
    if folds < 2:
        raise InputError(f"A linear probe needs at least 2 folds; got {folds}.")
    counts = Counter(answers.tolist())
    if len(counts) < 2:
        raise InputError(
            f"A linear probe tells classes apart and needs at least 2; the {len(answers)} images have one."
        )
    few = sorted(c for c, n in counts.items() if n < folds)
    if few:
        raise InputError(
            f"{len(few)} of {len(counts)} classes have fewer images than the {folds} folds of the linear probe: "
            f"{some([f'{names[c] if names else c} ({counts[c]})' for c in few])}. Leave them out, or take fewer folds."
        )
