"""What a training needs besides the fixation images: other photos to hold on to, labelled images to be right about."""

import threading
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from gazetune.backbones import Backbone, black, weights_hash
from gazetune.data.decoded import Pixels, decode, open_decoded
from gazetune.data.labelled import Labelled
from gazetune.data.photos import Photos, as_classified, labels_for_tuning, photos_for_tuning
from gazetune.errors import InputError
from gazetune.experiment import Entry
from gazetune.job import VERSION, Job, made_by, on_device
from gazetune.parity.class_map import class_places, why_not
from gazetune.progress import say
from gazetune.provenance import fingerprint
from gazetune.training.accuracy import FOLDS, C, Heads, asked, heads_on, logits_of, representation_of, right
from gazetune.training.preservation import Others, Preserve, asks_teacher, is_needed

OWN_HEAD = "the model's own head"
LINEAR = f"a linear head fitted on the frozen start ({FOLDS} folds, C = {C}; the head that has not seen an image)"


def made_ready(job: Job, entry: Entry) -> dict[str, str]:
    """Make ready what a model's training needs besides: the setting that asks for it -> the stage that made it.

    Raises InputError for photos or labels that are missing, cannot be used or must not be (ObjectNet).
    """
    settings, start, stages = job.experiment.training_of(entry.model), entry.model.start, {}
    if settings.distil_on is not None:
        stages["distil_on"] = _decoded(job, photos_for_tuning(settings.distil_on), job.sizes[start])
    if settings.accuracy_on is not None:
        stages["accuracy_on"] = _judge_of(job, start, labels_for_tuning(settings.accuracy_on))
    return stages


def preserve_with(job: Job, entry: Entry, student: Backbone, stages: dict[str, str]) -> Preserve | None:
    """What the terms beyond the paper need, from a student that has not learnt yet; None where there are none."""
    settings = job.experiment.training_of(entry.model)
    if not is_needed(settings):
        return None
    teacher = on_device(job, entry.model.start) if asks_teacher(settings) else None
    start = {name: value.detach().clone() for name, value in student.learnable().items()} if settings.lambda_l2 else {}
    others = Others(*_photos(job, stages["distil_on"])) if "distil_on" in stages else None
    return Preserve(teacher, start, others)


def judge(job: Job, stage: str, student: Backbone) -> Callable[[threading.Event], float]:
    """The function that says how often the student is right, as it is, about the labelled images of this stage."""
    about, tensors = about_judge(job, stage), job.run.tensors(f"{stage}.safetensors")
    pixels, rows = _photos(job, about["photos"])
    answers = tensors["answers"].numpy()
    heads = Heads(tensors["weight"], tensors["bias"], tensors["fold"]) if about["head"] == LINEAR else logits_of

    def accuracy(stop: threading.Event) -> float:
        found = right(asked(student, pixels, rows, heads, job.experiment.batch_size, stop), answers)
        return int(found.sum()) / len(found)

    return accuracy


def about_judge(job: Job, stage: str) -> dict[str, Any]:
    """What is known of the labelled images of this stage: name, n, classes, head, preprocessing."""
    return job.run.json(f"{stage}.json")


def _decoded(job: Job, photos: Photos, size: tuple[int, int]) -> str:
    """Photos decoded once at a model's input size, and which of them cannot be read; returns the stage."""
    found = photos.fingerprint()
    stage = f"beside/{found[:12]}-{size[0]}x{size[1]}"

    def work() -> list[str]:
        target = f"cache/{stage.replace('/', '-')}.npy"
        unreadable = decode(photos, size, job.run.file(target), job.experiment.skip_bad, np.ones(len(photos), bool))
        if unreadable:
            say(f"warning: {len(unreadable)} of {len(photos)} photos in '{photos.name}' cannot be read, left out")
        rows = [row for row, photo in enumerate(photos.ids) if photo not in unreadable]
        about = {"name": photos.name, "how": photos.how, "pixels": target, "rows": rows, "unreadable": unreadable}
        return [target, job.run.write_json(f"{stage}.json", about)]

    job.run.stage(stage, {"photos": found, "skip_bad": job.experiment.skip_bad} | VERSION, work)
    return stage


def _photos(job: Job, stage: str) -> tuple[Pixels, Int[np.ndarray, " photo"]]:
    about = job.run.json(f"{stage}.json")
    return open_decoded(job.run.file(about["pixels"])), np.array(about["rows"], dtype=np.int64)


def _judge_of(job: Job, start: str, labelled: Labelled) -> str:
    """The labelled images decoded, and what reads a model's answers to them; returns the stage."""
    photos, weights = _decoded(job, as_classified(labelled), job.sizes[start]), weights_hash(start)
    labels = fingerprint([labelled.ids, labelled.answers.tolist(), labelled.classes.names])
    inputs = {"photos": made_by(job, photos), "labels": labels, "weights": weights} | VERSION
    stage = f"beside/judge-{fingerprint([photos, labels, weights])[:12]}"

    def work() -> list[str]:
        pixels, rows = _photos(job, photos)
        tensors = _head(job, on_device(job, start), pixels, rows, labelled)
        about = {
            "name": labelled.name,
            "n": len(rows),
            "classes": len(labelled.classes),
            "head": LINEAR if "weight" in tensors else OWN_HEAD,
            "preprocessing": as_classified(labelled).how,
            "photos": photos,
        }
        return [job.run.write_tensors(f"{stage}.safetensors", tensors), job.run.write_json(f"{stage}.json", about)]

    job.run.stage(stage, inputs, work)
    return stage


def _head(
    job: Job, backbone: Backbone, pixels: Pixels, rows: Int[np.ndarray, " image"], labelled: Labelled
) -> dict[str, Tensor]:
    """`answers`: the right places among the scores; without a head also the linear heads that give them."""
    answers = labelled.answers[rows]
    one = black(backbone)
    if one.logits is None:
        heads = heads_on(asked(backbone, pixels, rows, representation_of, job.experiment.batch_size), answers[:, 0])
        fitted = {"weight": heads.weight, "bias": heads.bias, "fold": heads.fold}
        return {"answers": torch.from_numpy(answers), **fitted}
    places = class_places(labelled.classes, backbone.classes, one.logits.shape[1])
    if places is None:
        why = why_not(labelled.classes, backbone.classes, one.logits.shape[1])
        raise InputError(
            f"training.accuracy_on: the classes of '{labelled.name}' cannot be matched with the model's. {why} Name "
            f"the folders or labels as the model names its classes."
        )
    lookup = np.array([*places, -1])  # -1, the filling, stays -1
    return {"answers": torch.from_numpy(lookup[answers])}
