"""What the explorer sorts and filters by: every number and mark of the images that it shows, by column."""

from collections.abc import Collection, Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Int

from gazetune.attention.extract import READY, class_names
from gazetune.biases.kept import kept_columns, kept_names
from gazetune.biases.object_size import LARGE_ABOVE_PX2, SMALL_BELOW_PX2
from gazetune.metrics import Metric
from gazetune.parity.compare import HEAD, OWN
from gazetune.prepared import Prepared
from gazetune.report.explorer_maps import text_of
from gazetune.run import SUMMARY, Json, Run
from gazetune.tables.biases import objects_name
from gazetune.tables.rows import HALF, HUMAN, ROWS, keyed, maps_folder

BETWEEN = "~"  # in the name of a pair of models; no key has it
GAIN, CONSISTENCY, OBSERVERS = "gain", "consistency", "n_observers"
LABELS = {GAIN: "Gain in CC", CONSISTENCY: "Consistency of observers", OBSERVERS: "Observers"}


def explorer_table(
    run: Run,
    test: Prepared,
    rows: Int[np.ndarray, " shown"],
    files: Collection[str],
    labels: Mapping[str, str],
    metrics: Mapping[str, Metric],
) -> dict[str, Json]:
    """Columns over the shown images: names, classes, objects, answers, and float32 numbers as base64 (see `text_of`).

    Args:
        run: with its tables made. test: the data set; rows: positions of the shown images in it.
        files: what its scoring wrote; a table that lies there besides is of other settings.
        labels: of each model, by key.
    """
    table = test.table.iloc[rows]
    images = [str(image) for image in table["image"]]
    scores = keyed(run.table(f"scores/{test.name}"))
    pairs, gained = _gains(run, test.name, images)
    numbers = [*_scores(scores, images, [HUMAN, HALF, *labels], list(metrics)), *gained]
    numbers += _consistency(run, test.name, images, files)
    return {
        "name": test.name,
        "images": images,
        "width": table["width"].tolist(),
        "height": table["height"].tolist(),
        "rows": {key: ROWS.get(key, label) for key, label in {HUMAN: "", HALF: "", **labels}.items()},
        "pairs": [_pair(first, second, labels) for first, second in pairs],
        "measures": _measures(numbers, metrics),
        "numbers": numbers,
        "reasons": _reasons(scores, images, [HUMAN, *labels]),
        **_classes(test, table),
        **_objects(run, test.name, images, files),
        "answers": _answers(run, test.name, images, files, labels),
    }


def _number(kind: str, of: str, values: pd.Series) -> list[dict[str, Json]]:
    """One column; none where no image has a value."""
    known = values.to_numpy(dtype=np.float32)
    return [{"kind": kind, "of": of, "values": text_of(known)}] if np.isfinite(known).any() else []


def _scores(
    scores: pd.DataFrame, images: list[str], keys: Sequence[str], metrics: Sequence[str]
) -> list[dict[str, Json]]:
    found = []
    for key, part in scores[scores["key"].isin(keys)].groupby("key", sort=False):
        by_image = part.set_index("image").reindex(images)
        for metric in metrics:
            found += _number(metric, str(key), by_image[metric])
    return found


def _gains(run: Run, name: str, images: list[str]) -> tuple[list[tuple[str, str]], list[dict[str, Json]]]:
    """The pairs of models whose gain is in gains.csv, and its columns."""
    if "correlations" not in run.json(SUMMARY):  # else a gains.csv that lies there is of other settings
        return [], []
    table = run.table("gains").query("dataset == @name")
    pairs, found = [], []
    for (first, second), part in table.groupby(["first", "second"], sort=False):
        pairs.append((str(first), str(second)))
        found += _number(GAIN, BETWEEN.join(pairs[-1]), part.set_index("image")["gain"].reindex(images))
    return pairs, found


def _pair(first: str, second: str, labels: Mapping[str, str]) -> dict[str, str]:
    names = [ROWS.get(key, labels.get(key, key)) for key in (first, second)]
    return {"id": BETWEEN.join((first, second)), "first": first, "second": second, "label": " − ".join(names)}  # noqa: RUF001


def _consistency(run: Run, name: str, images: list[str], files: Collection[str]) -> list[dict[str, Json]]:
    if f"scores/{name}-consistency.csv" not in files:
        return []
    table = run.table(f"scores/{name}-consistency").set_index("image").reindex(images)
    return [*_number(CONSISTENCY, "", table[CONSISTENCY]), *_number(OBSERVERS, "", table[OBSERVERS])]


def _measures(numbers: Sequence[Mapping[str, Json]], metrics: Mapping[str, Metric]) -> list[dict[str, str]]:
    """What there is to sort by, in this order: gain, consistency, observers, metrics."""
    kinds = {column["kind"] for column in numbers}
    ordered = [kind for kind in (GAIN, CONSISTENCY, OBSERVERS, *metrics) if kind in kinds]
    return [{"kind": kind, "label": LABELS[kind] if kind in LABELS else _heading(kind, metrics)} for kind in ordered]


def _heading(kind: str, metrics: Mapping[str, Metric]) -> str:
    return metrics[kind].heading or kind


def _reasons(scores: pd.DataFrame, images: list[str], keys: Sequence[str]) -> dict[str, dict[str, str]]:
    """Why a row has no score on an image: key -> position of the image -> reason."""
    place = {image: i for i, image in enumerate(images)}
    known = scores[scores["key"].isin(keys) & scores["reason"].notna() & scores["image"].isin(place)]
    found: dict[str, dict[str, str]] = {}
    for key, image, reason in zip(known["key"], known["image"], known["reason"], strict=True):
        found.setdefault(key, {})[str(place[image])] = reason
    return found


def _codes(values: pd.Series) -> dict[str, Json]:
    """Texts as their sorted names and, for each image, a place among them (-1: none)."""
    codes, names = pd.factorize(values, sort=True)
    return {"names": [str(name) for name in names], "of": codes.tolist()}


def _classes(test: Prepared, table: pd.DataFrame) -> dict[str, Json]:
    labels = table["label"].fillna(-1).astype(int)
    if not test.classes or (labels < 0).all():
        return {}
    return {"classes": _codes(labels.map(lambda label: test.classes[label] if label >= 0 else None))}


def _objects(run: Run, name: str, images: list[str], files: Collection[str]) -> dict[str, Json]:
    """The categories of each image's objects, whether any is (in)animate, and whether any is small, medium or large.

    Sizes by COCO's bounds, as in the analysis of object size. Empty where the data set has no objects.
    """
    if f"scores/{name}-contrasts.csv" not in files:
        return {}
    about, tensors = run.about(objects_name(name)), run.tensors(objects_name(name))
    kept = kept_columns(tensors, about)
    of = np.array(kept_names(tensors, about), dtype=object)[kept["image"]]
    objects = pd.DataFrame({**kept, "image": of})
    place = {image: i for i, image in enumerate(images)}
    objects = objects[objects["image"].isin(place)]
    if objects.empty:
        return {}
    names = sorted(objects["category"].unique())
    code = {category: i for i, category in enumerate(names)}
    found: dict[str, list[set[Json]]] = {kind: [set() for _ in images] for kind in ("categories", "animacy", "sizes")}
    for image, category, animate, area in zip(
        objects["image"], objects["category"], objects["animate"], objects["area_px2"], strict=True
    ):
        i = place[image]
        found["categories"][i].add(code[category])
        if animate is not None:
            found["animacy"][i].add("animate" if animate else "inanimate")
        size = "small" if area < SMALL_BELOW_PX2 else "large" if area > LARGE_ABOVE_PX2 else "medium"
        found["sizes"][i].add(size)
    columns = {kind: [sorted(of) for of in sets] for kind, sets in found.items()}
    return {"categories": {"names": names, "of": columns["categories"]}} | {
        kind: columns[kind] for kind in ("animacy", "sizes") if any(columns[kind])
    }


def _answers(
    run: Run, name: str, images: list[str], files: Collection[str], labels: Mapping[str, str]
) -> dict[str, dict[str, Json]]:
    """Of each model that classified the images with a head of its own: `correct` (1, 0 or - an image), and `said`."""
    if f"scores/{name}-predictions.csv" not in files:
        return {}
    table = keyed(run.table(f"scores/{name}-predictions"))
    own = table[table[HEAD].fillna(OWN) == OWN] if HEAD in table else table
    found = {}
    for key in labels:
        part = own[own["key"] == key].set_index("image").reindex(images)
        known = part["correct"].notna()
        if not known.any():
            continue
        marks = [
            "-" if not k else "1" if c in (True, "True") else "0" for k, c in zip(known, part["correct"], strict=True)
        ]
        found[key] = {"correct": "".join(marks), "said": _codes(_named(run, name, key, part["top1"]))}
    return found


def _named(run: Run, name: str, key: str, top1: pd.Series) -> pd.Series:
    """The model's answers by the names of its own classes; by number where it has no names."""
    folder = maps_folder(name, key)
    classes = () if run.file(f"{folder}/{READY}").is_file() else class_names(run, folder)
    places = top1.astype("Int64")
    return places.map(lambda i: classes[i] if i < len(classes) else str(i), na_action="ignore")
