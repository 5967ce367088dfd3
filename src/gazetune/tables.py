"""The tidy tables of a run: scores per data set, then images.csv, tests.csv, predictions.csv and summary.json."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

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
from gazetune.parity.predict import accuracy, class_order, predictions
from gazetune.prepared import NO_FIXATION, Prepared, load_prepared
from gazetune.priors import fixation_counts, mean_training_map
from gazetune.progress import say
from gazetune.run import SUMMARY, Json, Run
from gazetune.statistics.compare import compare, describe

HUMAN, MEAN_MAP = "human", "mean_training_map"
Models = Mapping[str, tuple[str, int | None]]  # key of a model -> its name and seed


def maps_folder(dataset: str, key: str) -> str:
    """Where the attention grids of a model on a data set lie."""
    return f"attention/{dataset}/{key}"


def write_scores(
    run: Run, test: Prepared, training: Prepared, models: Models, attention: str, metrics: Mapping[str, Metric]
) -> list[str]:
    """Score the humans, the mean training map and every model on the test images of a data set: `scores/NAME.csv`.

    The mean training map and the negatives of the shuffled AUC come from the fixations of the training images.
    """
    rows = test.rows("test")
    points, seen = test.points.take(rows), training.points.take(training.rows("train"))
    elsewhere, prior = fixation_counts(seen), mean_training_map(seen)
    entropy = np.concatenate([entropy_bits(densities(points, index)).double().numpy() for index in batches(len(rows))])
    empty = [NO_FIXATION if n == 0 else None for n in np.diff(points.offsets)]
    human = pd.DataFrame({"entropy_bits": entropy, "reason": pd.Series(empty, dtype=object)})
    scored: dict[tuple[str, int | None, str], pd.DataFrame] = {(HUMAN, None, "density"): human}
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
    if not test.classes or labels.isna().any() or (labels < 0).any():
        return []
    right = {}
    for key in models:
        folder = maps_folder(test.name, key)
        logits = read_maps(run, folder).get("logits")
        order = None if logits is None else class_order(test.classes, class_names(run, folder), logits.shape[1])
        if logits is not None and order is not None:
            right[models[key]] = predictions(logits[:, order], labels.to_numpy(dtype=np.int64))
        elif logits is not None:
            say(f"warning: '{key}' tells other classes apart than '{test.name}' has; its accuracy is not counted")
    if not right:
        return []
    return [run.write_table(f"scores/{test.name}-predictions", _stacked(test, rows, right, ("model", "seed")))]


def keyed(table: pd.DataFrame) -> pd.DataFrame:
    """The table with a column `key`: the model's name, with its seed where it has one."""
    seed = table["seed"].astype("string")
    return table.assign(key=table["model"].where(seed.isna(), table["model"] + "-s" + seed.fillna("")))


def test_order(models: Models, reference: str) -> list[str]:
    """The order in which rows are tested, later against earlier: humans, the reference, the mean map, then the others.

    Models stand in reverse, so that the first trained one of an experiment is tested against all the rest.
    """
    others = [key for key, (name, _) in reversed(list(models.items())) if name != reference]
    return [HUMAN, *(key for key, (name, _) in models.items() if name == reference), MEAN_MAP, *others]


def write_tables(
    run: Run, models: Models, reference: str, metrics: Sequence[str], about: Mapping[str, Json]
) -> list[str]:
    """images.csv, tests.csv, predictions.csv and summary.json from the scores of all data sets of the run."""
    scores = pd.concat([_read(run, p.stem) for p in _score_files(run)], ignore_index=True)
    order = test_order(models, reference)
    shown = [HUMAN, MEAN_MAP, *models]
    tests = compare(keyed(scores), metrics, order)
    summary: dict[str, Json] = {
        **about,
        "datasets": {name: _datasets(load_prepared(run, name)) for name in scores["dataset"].unique()},
        "training": {
            key: run.json(f"checkpoints/{key}/training.json") for key, (_, s) in models.items() if s is not None
        },
        "alignment": describe(keyed(scores), metrics, shown).to_dict("records"),
        "tests": tests.to_dict("records"),
    }
    written = [run.write_table("images", scores), run.write_table("tests", tests)]
    answers = [_read(run, p.stem + "-predictions") for p in _score_files(run) if _answered(run, p.stem)]
    if answers:
        table = pd.concat(answers, ignore_index=True)
        written.append(run.write_table("predictions", table))
        groups = keyed(table).groupby(["dataset", "key"], sort=False)
        summary["accuracy"] = [{"dataset": d, "model": key, **accuracy(part)} for (d, key), part in groups]
    return [*written, run.write_json(SUMMARY, summary)]


def _score_files(run: Run) -> list[Path]:
    return sorted(p for p in run.file("scores").glob("*.csv") if not p.stem.endswith("-predictions"))


def _answered(run: Run, name: str) -> bool:
    return run.file(f"scores/{name}-predictions.csv").is_file()


def _read(run: Run, name: str) -> pd.DataFrame:
    return run.table(f"scores/{name}")


def _datasets(prepared: Prepared) -> dict[str, Json]:
    """How many images and fixations each split has, and how many were left out for what reason."""
    table = prepared.table
    used = {split: len(prepared.rows(split)) for split in ("train", "validation", "test")}
    why = table["reason"].fillna("").str.split(":", regex=False).str[0]
    left_out = table.loc[why != "", ["image", "split", "reason"]]
    return {
        "images": used,
        "fixations": int(table["fixations"].sum()),
        "fixations_outside_their_image": int(table["outside"].sum()),
        "images_with_a_reason": why[why != ""].value_counts().to_dict(),
        "reasons": left_out.to_dict("records"),
    }
