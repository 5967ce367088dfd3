"""The stages that classify labelled images with every model, and which of their tables are of the models as now."""

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int

from gazetune.backbones import Backbone, black, weights_hash
from gazetune.data.labelled import Labelled
from gazetune.errors import InputError
from gazetune.experiment import Entry
from gazetune.job import VERSION, Job, made_by, on_device, weights_of
from gazetune.parity.class_map import class_places, read_class_map, why_not
from gazetune.parity.corruptions import not_run
from gazetune.parity.predict import read_answers, write_answers
from gazetune.parity.settings import Classification
from gazetune.parity.table import probed, view_table, with_answers
from gazetune.parity.views import preprocessing_text, viewer, workers
from gazetune.progress import say
from gazetune.provenance import fingerprint

# settings that a prediction does not depend on, or only by the images and their answers
ELSEWHERE = ("kind", "path", "classes", "answers", "mapping", "class_map", "subset", "limit", "margin", "folds",
             "probe_seed")  # fmt: skip


def classify(job: Job, name: str, labelled: Labelled, settings: Classification) -> None:
    """Predictions of every model for every image of a labelled set (and its corrupted copies): `parity/NAME.csv`.

    What cannot be done is said with its reason in `parity/NAME.json`: a corruption that lacks a package, a model that
    does not know the classes.

    Raises:
        InputError: nothing can be classified; an image cannot be read (unless `skip_bad`).
    """
    settings, missing = _possible(labelled, settings)
    skipped = {}
    for entry in _asked(job):
        reason = _predict(job, name, entry, labelled, settings)
        if reason:
            say(f"warning: {reason}")
            skipped[entry.key] = reason
    answered = [entry for entry in _asked(job) if entry.key not in skipped]
    inputs = _table_inputs(job, name, answered, settings)
    work = partial(_write_table, job, name, labelled, settings, answered, {**missing, **skipped})
    job.run.stage(f"parity/{name}", inputs, work)


def _asked(job: Job) -> list[Entry]:
    # ready-made maps are no model that could be asked
    return [entry for entry in job.experiment.entries() if entry.model.maps is None]


def _possible(labelled: Labelled, settings: Classification) -> tuple[Classification, dict[str, str]]:
    """The settings without the corruptions that cannot be made here, and why not."""
    if labelled.corrupted and settings.preprocessing == "paper":
        say(f"'{labelled.name}': ImageNet-C's files are crops already; --preprocessing squashed shows them as they are")
    if settings.corruptions and labelled.corrupted:
        raise InputError(f"The images of '{labelled.name}' are corrupted already; they are not corrupted once more.")
    missing = {name: reason for name in settings.corruptions if (reason := not_run(name))}
    for reason in missing.values():
        say(f"warning: not run: {reason}")
    left = tuple(name for name in settings.corruptions if name not in missing)
    if missing and not left:
        raise InputError("None of the corruptions can be made here. " + " ".join(missing.values()))
    return settings.model_copy(update={"corruptions": left}), missing


def _predict(job: Job, name: str, entry: Entry, labelled: Labelled, settings: Classification) -> str | None:
    """The stage of one model; or why it cannot classify these images."""
    weights = weights_of(job, entry)
    backbone, copies = on_device(job, weights), settings.copies()
    if settings.preprocessing == "paper" and len(set(backbone.image_size)) > 1:
        return f"'{entry.key}' takes images that are not square, which the paper's preprocessing cuts: use squashed."
    right, reason = _right(backbone, entry.key, labelled, settings)
    if reason:
        return reason
    inputs: dict[str, Any] = {
        "weights": weights_hash(weights),
        "image_size": job.experiment.image_size,
        "images": labelled.fingerprint(),
        "settings": settings.model_dump(mode="json", exclude=set(ELSEWHERE)),
        "right": None if right is None else fingerprint(right.tolist()),
    } | VERSION
    skip_bad = job.experiment.skip_bad  # not of the shards: without a bad file they are the same
    work = partial(
        write_answers,
        job.run,
        f"predictions/{name}/{entry.key}",
        fingerprint(inputs),
        backbone,
        viewer(labelled, settings, backbone.image_size, skip_bad),
        None if right is None else np.repeat(right, len(copies), axis=0),
        len(labelled) * len(copies),
        job.experiment.batch_size,
        workers(),
        skip_bad,
    )
    job.run.stage(f"predict/{name}/{entry.key}", inputs | {"skip_bad": skip_bad}, work, shared=True)
    return None


def _right(
    backbone: Backbone, key: str, labelled: Labelled, settings: Classification
) -> tuple[Int[np.ndarray, "image answer"] | None, str | None]:
    """The places among a model's logits that are right for each image, None without a head; or why there are none."""
    logits = black(backbone).logits
    if logits is None:
        if settings.corruptions or labelled.corrupted:
            return None, f"'{key}' has no classification head, and a linear probe is fitted on clean photos only."
        return None, None
    n = logits.shape[1]
    places, why = None, ""
    if settings.class_map:  # what a user says goes before what names tell; it may be of another model
        try:
            occurring = set(labelled.answers[labelled.answers >= 0].tolist())
            places = read_class_map(settings.class_map, labelled.classes, backbone.classes, n, occurring)
        except InputError as misfit:
            why = f" {misfit}"
    if places is None:
        places = class_places(labelled.classes, backbone.classes, n)
        if places is not None and not backbone.classes:
            say(f"'{key}' names no classes: its {n} are taken in the order of '{labelled.name}'")
    if places is None:
        why = f"{why_not(labelled.classes, backbone.classes, n)}{why}"
        return None, f"'{key}' cannot be matched. {why} Say which is which with --class-map."
    right = np.where(labelled.answers >= 0, np.array(places)[labelled.answers], -1)
    right.sort(axis=1)  # two classes may be one of the model's: it counts once
    right[:, 1:][right[:, 1:] == right[:, :-1]] = -1
    return right, None


def _write_table(
    job: Job, name: str, labelled: Labelled, settings: Classification, answered: list[Entry], skipped: dict[str, str]
) -> list[str]:
    """`parity/NAME.csv`, one row a model, head, image and copy; and `parity/NAME.json`, how it came about."""
    said: dict[str, pd.DataFrame] = {}
    vectors: dict[str, Float[np.ndarray, "there dim"]] = {}
    reasons: dict[int, str] = {}
    for entry in answered:
        found, lost = read_answers(job.run, list(made_by(job, f"predict/{name}/{entry.key}")))
        reasons |= lost
        said[entry.key] = pd.DataFrame({k: v.numpy() for k, v in found.items() if k != "representation"})
        if "representation" in found:
            vectors[entry.key] = found["representation"].numpy()
    if not any(len(table) for table in said.values()):
        raise InputError(f"No image of '{name}' could be classified: {next(iter(reasons.values()), 'there is none')}")
    answers, unprobed = probed(said, vectors, labelled, _reference(job), settings)
    skipped, shown = skipped | unprobed, [entry for entry in answered if entry.key in answers]
    if not shown:
        raise InputError(f"No model can classify '{name}'. " + " ".join(skipped.values()))
    views = view_table(name, labelled, settings.copies(), reasons)

    def tables() -> Iterator[pd.DataFrame]:
        return (with_answers(views, answers[e.key], e.name, e.seed) for e in shown)

    first, copies = said[shown[0].key], settings.copies()
    borders = first.groupby(first["place"] // len(copies))["border_px"].first().value_counts().sort_index()
    about = {
        **settings.model_dump(mode="json"),
        "images": len(labelled),
        "copies": len(copies),
        "classes": len(set(labelled.groups)),
        "preprocessing": {e.key: _preprocessing(job, e, settings) for e in shown},
        "images_by_border_px": {str(width): int(n) for width, n in borders.items()},
        "missing": {_called(labelled, copies, place): why for place, why in sorted(reasons.items())},
        "not_run": [{"model": what, "reason": why} for what, why in skipped.items()],
        "citation": labelled.citation,
        "sources": labelled.sources,
    }
    return [job.run.write_pieces(f"parity/{name}", tables), job.run.write_json(f"parity/{name}.json", about)]


def _called(labelled: Labelled, copies: Sequence[tuple[str, int]], place: int) -> str:
    index, copy = divmod(place, len(copies))
    corruption, severity = labelled.corrupted[index] if labelled.corrupted else copies[copy]
    return f"{labelled.ids[index]}, {corruption} {severity}" if corruption else labelled.ids[index]


def _reference(job: Job) -> str:
    return next(key for key, role in job.experiment.roles().items() if role == "reference")


def _preprocessing(job: Job, entry: Entry, settings: Classification) -> str:
    backbone = on_device(job, weights_of(job, entry))
    return f"RGB, {preprocessing_text(settings, backbone.image_size)}, {backbone.normalisation()}"


def _table_inputs(job: Job, name: str, answered: list[Entry], settings: Classification) -> dict[str, Any]:
    return {
        "predictions": {e.key: made_by(job, f"predict/{name}/{e.key}") for e in answered},
        "settings": settings.model_dump(mode="json"),
        "reference": _reference(job),
    } | VERSION


def classified(job: Job) -> dict[str, dict[str, str]]:
    """Every labelled set that was classified with the models as they are now: its files, with their sha256."""
    stages = job.run.stages()
    done = {s.removeprefix("parity/"): r for s, r in stages.items() if s.startswith("parity/")}
    return {name: record["outputs"] for name, record in done.items() if _is_current(job, name, record)}


def _is_current(job: Job, name: str, record: Mapping[str, Any]) -> bool:
    asked = {entry.key: entry for entry in _asked(job)}
    try:
        job.run.verify(f"parity/{name}")
        keys, reference = record["inputs"]["predictions"], record["inputs"]["reference"]
        fresh = (
            reference == _reference(job)
            and set(keys) <= set(asked)
            and all(
                job.run.stages()[f"predict/{name}/{key}"]["inputs"]["weights"]
                == weights_hash(weights_of(job, asked[key]))
                for key in keys
            )
        )
    except (InputError, KeyError) as reason:
        say(f"warning: {reason}")
        fresh = False
    if not fresh:
        say(f"'{name}' was classified with other models and is left out; do it again: gazetune parity {job.run.path}")
    return fresh
