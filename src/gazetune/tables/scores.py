"""Scores per data set: humans, priors and models on the same images."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from gazetune.attention.extract import READY, SHARD, class_names, open_maps, shards
from gazetune.maps import Points, densities, min_max
from gazetune.metrics import Metric
from gazetune.metrics.baselines import by_image, half_against_half, leave_one_out, next_image
from gazetune.metrics.saliency import entropy_bits
from gazetune.metrics.score import Index, Maps, batches, score_points
from gazetune.parity.class_map import class_places
from gazetune.parity.compare import OWN
from gazetune.parity.predict import predictions
from gazetune.prepared import NO_FIXATION, Prepared
from gazetune.priors import Prior, Priors, of_others, of_training, one_each
from gazetune.progress import say
from gazetune.run import CHUNK, Run
from gazetune.tables.gain import write_consistency
from gazetune.tables.observers import OBSERVER_ROWS, write_observers
from gazetune.tables.rows import GAUSSIAN, HALF, HUMAN, MEAN_MAP, NEXT, ONE_OUT, OTHERS, Models, maps_folder

ENTROPY = "entropy_bits"  # of the human maps, asked for or not
ROW = ("model", "seed", "attention")
PRIOR = "prior"  # what the maps of a row without a model are
Scored = dict[tuple[str, int | None, str], pd.DataFrame]  # model, seed, what its maps are -> one row an image


def write_scores(
    run: Run,
    test: Prepared,
    training: Prepared,
    models: Models,
    attention: Mapping[str, str],
    metrics: Mapping[str, Metric],
) -> list[str]:
    """Score humans, priors and every model on the test images of a data set: `scores/NAME.csv`.

    Besides, `scores/NAME-consistency.csv` and `scores/NAME-predictions.csv`. The centre prior and the negatives of the
    shuffled AUC come from the training images; where there are none, because nothing was trained, from all other test
    images. `attention` names the method of each model, by key.
    """
    rows = test.rows("test")
    points, seen = test.points.take(rows), training.points.take(training.rows("train"))
    priors = of_training(seen) if len(seen) else of_others(points)
    ids = [str(image) for image in test.table["image"].iloc[rows]]
    scored, one_out = _human_rows(points, priors, metrics)
    maps, reasons = _prior_maps(points, priors, ids), {}
    for key, (name, seed) in models.items():
        folder = maps_folder(test.name, key)
        ready = run.json(f"{folder}/{READY}", {})
        row = name, seed, "ready-made" if ready else attention[key]
        maps[row], reasons[row] = open_maps(run, folder, points.size), ready.get("reasons", {})
    scored |= {row: score_points(found, points, priors, metrics) for row, found in maps.items()}
    for row, why in reasons.items():  # known better than "constant map", which is what no map looks like
        scored[row]["reason"] = [why.get(i, known) for i, known in zip(ids, scored[row]["reason"], strict=True)]
    for (name, _, _), part in scored.items():
        constant = int((part["reason"] == "constant map").sum())
        if constant:
            say(f"warning: {constant} of {len(rows)} maps of '{name}' are constant and have no score")
    columns = ["dataset", "image", *ROW, *{ENTROPY}.difference(metrics), *metrics, "reason"]
    stacked = partial(_stacked, test, rows, scored, ROW)
    written = [run.write_pieces(f"scores/{test.name}", lambda: (t.reindex(columns=columns) for t in stacked()))]
    scored.clear()  # as large as the table that was written
    written.append(write_consistency(run, test, rows, points))
    single = {(row, seed): m for (row, seed, kind), m in maps.items() if kind != PRIOR or row in OBSERVER_ROWS}
    written += write_observers(run, test, points, single, one_out, list(metrics))
    return written + _write_predictions(run, test, rows, models)


def _human_rows(points: Points, priors: Priors, metrics: Mapping[str, Metric]) -> tuple[Scored, pd.DataFrame]:
    """The entropy of the human maps, and how well humans predict humans: by halves, and all others each single one.

    Also the scores of all others against each single one before they are averaged by image.
    """
    n = len(points)
    entropy = np.empty(n)
    for index in batches(n):
        entropy[index] = entropy_bits(densities(points, index)).double().numpy()
    empty = [NO_FIXATION if count == 0 else None for count in np.diff(points.offsets)]
    human = pd.DataFrame({ENTROPY: entropy, "reason": pd.Series(empty, dtype=object)})
    halves, single = half_against_half(points), leave_one_out(points)
    by_halves = score_points(halves.maps, halves.points, priors, metrics)
    single_scores = score_points(single.maps, single.points, one_each(priors, single.image), metrics)
    one_out = by_image(single_scores, single, n)
    alone = np.bincount(single.image, minlength=n) < 2
    reasons = [why or ("fewer than two observers" if one else None) for why, one in zip(empty, alone, strict=True)]
    one_out["reason"] = reasons
    by_halves["reason"] = by_halves["reason"].where(~alone, pd.Series(reasons, dtype=object))
    found = {HUMAN: human, HALF: by_halves, ONE_OUT: one_out}
    return {(row, None, "density"): part for row, part in found.items()}, single_scores


def _prior_maps(points: Points, priors: Priors, ids: Sequence[str]) -> dict[tuple[str, int | None, str], Maps]:
    """What can be said of an image without seeing it."""
    maps = {GAUSSIAN: priors.gaussian, MEAN_MAP: priors.mean_map}
    found: dict[str, Maps] = {row: partial(_scaled, prior) for row, prior in maps.items()}
    if not priors.from_training:
        del found[MEAN_MAP]  # it is the mean of the other images then
    found |= {OTHERS: partial(_scaled, of_others(points).mean_map), NEXT: next_image(points, ids)}
    return {(row, None, PRIOR): m for row, m in found.items()}


def _scaled(prior: Prior, index: Index) -> Float[Tensor, "batch height width"]:
    return min_max(prior(index)).expand(len(index), -1, -1)


def _stacked(
    test: Prepared, rows: np.ndarray, parts: Mapping[tuple, pd.DataFrame], names: Sequence[str]
) -> Iterator[pd.DataFrame]:
    """Tables over the same images, each with its names in front, to stand one below the other."""
    images = test.table["image"].to_numpy()[rows]
    for values, part in parts.items():
        for start in range(0, len(rows), CHUNK):
            of, named = slice(start, start + CHUNK), dict(zip(names, values, strict=True))
            first = pd.DataFrame({"dataset": test.name, "image": images[of], **named}).astype({"seed": "Int64"})
            yield pd.concat([first, part.iloc[of].reset_index(drop=True)], axis=1)


def _write_predictions(run: Run, test: Prepared, rows: np.ndarray, models: Models) -> list[str]:
    """`scores/NAME-predictions.csv`, where the images have labels and the models a head for these classes."""
    labels = test.table["label"].iloc[rows]
    labelled = np.flatnonzero((labels.notna() & (labels >= 0)).to_numpy(dtype=bool)) if test.classes else np.array([])
    if not len(labelled):
        return []
    if len(labelled) < len(rows):
        say(f"warning: {len(rows) - len(labelled)} of {len(rows)} test images have no label; accuracy is of the others")
    wanted, right = labels.to_numpy(dtype=object)[labelled].astype(np.int64), {}
    names = [test.classes[i] for i in wanted]
    for key in models:
        folder = maps_folder(test.name, key)
        known = None if run.file(f"{folder}/{READY}").is_file() else next(shards(run, folder)).get("logits")
        place = None if known is None else class_places(test.classes, class_names(run, folder), known.shape[1])
        if place is not None:
            said = _said(run, folder, labelled, np.array(place)[wanted])
            right[models[key]] = pd.DataFrame({"label": wanted, "class": names, "head": OWN}).join(said)
        elif known is not None:
            say(f"warning: '{key}' does not tell the classes of '{test.name}' apart; its accuracy is not counted")
    if not right:
        return []
    stacked = partial(_stacked, test, rows[labelled], right, ("model", "seed"))
    return [run.write_pieces(f"scores/{test.name}-predictions", stacked)]


def _said(run: Run, folder: str, rows: Int[np.ndarray, " row"], right: Int[np.ndarray, " row"]) -> pd.DataFrame:
    """What a model says of these test images; no more than a file of its class scores is held at a time."""
    of_shard, parts = rows // SHARD, []
    for k, part in enumerate(shards(run, folder)):
        here = of_shard == k
        if here.any():
            parts.append(predictions(part["logits"][torch.from_numpy(rows[here] % SHARD)], right[here]))
    return pd.concat(parts, ignore_index=True)
