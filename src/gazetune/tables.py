"""The tidy tables of a run: scores per data set, then images.csv, tests.csv, predictions.csv and summary.json."""

from collections.abc import Collection, Mapping, Sequence
from functools import partial

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float
from torch import Tensor

from gazetune.attention.extract import class_names, read_maps
from gazetune.maps import densities, min_max, upsampled
from gazetune.metrics import Metric
from gazetune.metrics.saliency import entropy_bits
from gazetune.metrics.score import Index, batches, score_points
from gazetune.parity.predict import accuracy, class_places, predictions
from gazetune.prepared import NO_FIXATION, Prepared, load_prepared
from gazetune.priors import fixation_counts, mean_training_map
from gazetune.progress import say
from gazetune.run import SUMMARY, Json, Run
from gazetune.statistics.compare import compare, describe

HUMAN, HALF, MEAN_MAP = "human", "human_half", "mean_training_map"
ROWS = {HUMAN: "human", HALF: "humans by halves", MEAN_MAP: "mean training map"}  # rows that are no model
Models = Mapping[str, tuple[str, int | None]]  # key of a model -> its name and seed


def maps_folder(dataset: str, key: str) -> str:
    """Where the attention grids of a model on a data set lie."""
    return f"attention/{dataset}/{key}"


def write_scores(
    run: Run, test: Prepared, training: Prepared, models: Models, attention: str, metrics: Mapping[str, Metric]
) -> list[str]:
    """Score the humans, the mean training map and every model on the test images of a data set: `scores/NAME.csv`.

    Humans: the entropy of their maps, and every second observer of an image as predictors of the others.
    The mean training map and the negatives of the shuffled AUC come from the fixations of the training images.
    """
    rows = test.rows("test")
    points, seen = test.points.take(rows), training.points.take(training.rows("train"))
    elsewhere, prior = fixation_counts(seen), mean_training_map(seen)
    entropy = np.concatenate([entropy_bits(densities(points, index)).double().numpy() for index in batches(len(rows))])
    empty = [NO_FIXATION if n == 0 else None for n in np.diff(points.offsets)]
    human = pd.DataFrame({"entropy_bits": entropy, "reason": pd.Series(empty, dtype=object)})
    scored: dict[tuple[str, int | None, str], pd.DataFrame] = {(HUMAN, None, "density"): human}
    predictors, predicted = test.predictors.take(rows), test.predicted.take(rows)
    halves = score_points(partial(densities, predictors), predicted, elsewhere, prior, metrics)
    scored[HALF, None, "density"] = halves
    if len(seen):
        mean_map = partial(_repeated, min_max(prior[None]))
        scored[MEAN_MAP, None, "prior"] = score_points(mean_map, points, elsewhere, prior, metrics)
    for key, (name, seed) in models.items():
        grids = read_maps(run, maps_folder(test.name, key))["grid"]
        enlarged = partial(_enlarged, grids, points.size)
        scored[name, seed, attention] = score_points(enlarged, points, elsewhere, prior, metrics)
    for (name, _, _), part in scored.items():
        constant = int((part["reason"] == "constant map").sum())
        if constant:
            say(f"warning: {constant} of {len(rows)} maps of '{name}' are constant and have no score")
    table = _stacked(test, rows, scored, ("model", "seed", "attention"))
    ordered = [c for c in table if c not in (*metrics, "reason")]
    written = [run.write_table(f"scores/{test.name}", table[[*ordered, *metrics, "reason"]])]
    return written + _write_predictions(run, test, rows, models)


def _repeated(one: Float[Tensor, "1 height width"], index: Index) -> Float[Tensor, "batch height width"]:
    return one.expand(len(index), -1, -1)


def _enlarged(grids: Float[Tensor, "image h w"], size: int, index: Index) -> Float[Tensor, "batch height width"]:
    return upsampled(grids[torch.from_numpy(index)], size)


def _stacked(
    test: Prepared, rows: np.ndarray, parts: Mapping[tuple, pd.DataFrame], names: Sequence[str]
) -> pd.DataFrame:
    """Tables over the same images, one below the other, each with its names in front."""
    images = test.table["image"].to_numpy()[rows]
    frames = []
    for values, part in parts.items():
        first = {"dataset": test.name, "image": images, **dict(zip(names, values, strict=True))}
        frames.append(pd.concat([pd.DataFrame(first).astype({"seed": "Int64"}), part], axis=1))
    return pd.concat(frames, ignore_index=True)


def _write_predictions(run: Run, test: Prepared, rows: np.ndarray, models: Models) -> list[str]:
    """`scores/NAME-predictions.csv`, where the images have labels and the models a head for these classes."""
    labels = test.table["label"].iloc[rows]
    labelled = np.flatnonzero((labels.notna() & (labels >= 0)).to_numpy(dtype=bool)) if test.classes else np.array([])
    if not len(labelled):
        return []
    if len(labelled) < len(rows):
        say(f"warning: {len(rows) - len(labelled)} of {len(rows)} test images have no label; accuracy is of the others")
    wanted, right = labels.to_numpy(dtype=object)[labelled].astype(np.int64), {}
    for key in models:
        folder = maps_folder(test.name, key)
        logits = read_maps(run, folder).get("logits")
        place = None if logits is None else class_places(test.classes, class_names(run, folder), logits.shape[1])
        if logits is not None and place is not None:
            right[models[key]] = predictions(logits[torch.from_numpy(labelled)], np.array(place)[wanted])
        elif logits is not None:
            say(f"warning: '{key}' does not tell the classes of '{test.name}' apart; its accuracy is not counted")
    if not right:
        return []
    return [
        run.write_table(f"scores/{test.name}-predictions", _stacked(test, rows[labelled], right, ("model", "seed")))
    ]


def keyed(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column `key`: the model's name, with its seed where it has one."""
    seed = table["seed"].astype("string")
    return table.assign(key=table["model"].where(seed.isna(), table["model"] + "-s" + seed.fillna("")))


def test_order(roles: Mapping[str, str]) -> list[str]:
    """The order in which rows are tested, later against earlier: humans, reference, mean map, controls, tuned."""
    ranked = sorted(roles, key=lambda key: ("reference", "other", "control", "tuned").index(roles[key]))
    reference = [key for key in ranked if roles[key] == "reference"]
    return [HUMAN, HALF, *reference, MEAN_MAP, *(key for key in ranked if roles[key] != "reference")]


def write_tables(
    run: Run,
    scored: Mapping[str, Collection[str]],
    roles: Mapping[str, str],
    metrics: Sequence[str],
    sizes: Collection[tuple[int, int]],
    about: Mapping[str, Json],
) -> list[str]:
    """images.csv, tests.csv, predictions.csv and summary.json from the scores of these data sets.

    scored: data set -> the files that its scoring wrote. roles: of each model, by key (see Experiment).
    """
    scores = pd.concat([run.table(f"scores/{name}") for name in scored], ignore_index=True)
    tests = compare(keyed(scores), metrics, test_order(roles))
    states = {key: f"checkpoints/{key}/training.json" for key in roles}
    summary: dict[str, Json] = {
        **about,
        "datasets": {name: _datasets(load_prepared(run, name, sizes)) for name in scored},
        "training": {key: run.json(name) for key, name in states.items() if run.file(name).is_file()},
        "alignment": describe(keyed(scores), metrics, [HUMAN, HALF, MEAN_MAP, *roles]).to_dict("records"),
        "tests": tests.to_dict("records"),
    }
    written = [run.write_table("images", scores), run.write_table("tests", tests)]
    answered = [name for name, files in scored.items() if f"scores/{name}-predictions.csv" in files]
    if answered:
        table = pd.concat([run.table(f"scores/{name}-predictions") for name in answered], ignore_index=True)
        written.append(run.write_table("predictions", table))
        groups = keyed(table).groupby(["dataset", "key"], sort=False)
        summary["accuracy"] = [{"dataset": d, "model": key, **accuracy(part)} for (d, key), part in groups]
    return [*written, run.write_json(SUMMARY, summary)]


def _datasets(prepared: Prepared) -> dict[str, Json]:
    """How many images and fixations each split has, and how many were left out for what reason."""
    table = prepared.table
    used = {split: len(prepared.rows(split)) for split in ("train", "validation", "test")}
    why = table["reason"].fillna("").str.split(":", regex=False).str[0]
    outside = table["outside"].map(lambda n: f"{n} fixations outside the image, left out" if n else None)
    reasons = table[["image", "split"]].assign(reason=table["reason"].fillna(outside))
    return {
        "images": used,
        "fixations": int(table["fixations"].sum()),
        "fixations_outside_their_image": int(table["outside"].sum()),
        "images_with_a_reason": why[why != ""].value_counts().to_dict(),
        "reasons": reasons[reasons["reason"].notna()].to_dict("records"),
        "records_left_out": {reason: len(records) for reason, records in prepared.left_out.items()},
        "citation": prepared.citation,
    }
