"""The class of each image that attention methods made of gradients explain: teacher's, own or label."""

from typing import Any

import numpy as np
import torch
from jaxtyping import Int
from torch import Tensor

from gazetune.attention import METHODS
from gazetune.backbones import Backbone, black, weights_hash
from gazetune.data.decoded import batch_of
from gazetune.data.splits import NAMES
from gazetune.errors import InputError
from gazetune.experiment import Entry
from gazetune.job import VERSION, Job, data_stages, made_by, on_device
from gazetune.parity.class_map import class_places
from gazetune.prepared import Prepared
from gazetune.progress import track


def method_inputs(job: Job, entry: Entry) -> dict[str, Any]:
    """What a stage that makes maps of a model depends on: the method and, if it explains a class, whose."""
    name = job.experiment.method_of(entry.model)
    return {"attention": name} | ({"target": job.experiment.target} if METHODS[name].gradient else {})


def prepare_classes(job: Job, entry: Entry, data: Prepared) -> None:
    """Make sure that the classes to be explained can be had; the teacher's are predicted once and kept in the run.

    Raises InputError if labels are to be explained and an image of the data set has none.
    """
    if not METHODS[job.experiment.method_of(entry.model)].gradient:
        return
    if job.experiment.target == "label":
        _labels(data, _used(data))
    elif _is_teachers(job, entry):
        start = entry.model.start
        weights = weights_hash(start)
        inputs = {
            "weights": weights,
            "image_size": job.experiment.image_size,
            "data": made_by(job, *data_stages(job, data.name, start)),
        } | VERSION
        job.run.stage(f"classes/{data.name}/{weights[:12]}", inputs, lambda: _predict(job, start, data))


def classes_of(
    job: Job, entry: Entry, data: Prepared, rows: Int[np.ndarray, " image"], backbone: Backbone
) -> Int[Tensor, " image"] | None:
    """The class to be explained of each of these images; None: the model's own, or a method that explains no class.

    Raises InputError if labels are to be explained that the model does not tell apart.
    """
    if not METHODS[job.experiment.method_of(entry.model)].gradient:
        return None
    if job.experiment.target == "label":
        logits = black(backbone).logits
        places = None if logits is None else class_places(data.classes, backbone.classes, logits.shape[1])
        if places is None:
            raise InputError(
                f"target: label needs a model that tells the classes of '{data.name}' apart; '{entry.key}' does not. "
                f"Use target: teacher in the YAML, or --set target=teacher."
            )
        return torch.tensor(places)[torch.from_numpy(_labels(data, rows))]
    if not _is_teachers(job, entry):
        return None
    return job.run.tensors(_file(data, entry.model.start))["classes"][torch.from_numpy(rows)]


def _is_teachers(job: Job, entry: Entry) -> bool:
    # a model that is not tuned is its own teacher
    return job.experiment.target == "teacher" and entry.seed is not None


def _file(data: Prepared, start: str) -> str:
    return f"cache/classes-{data.name}-{weights_hash(start)[:12]}.safetensors"


def _used(data: Prepared) -> Int[np.ndarray, " image"]:
    return np.sort(np.concatenate([data.rows(split) for split in NAMES]))


def _labels(data: Prepared, rows: Int[np.ndarray, " image"]) -> Int[np.ndarray, " image"]:
    labels = data.table["label"].iloc[rows]
    known = (labels.notna() & (labels >= 0)).to_numpy(dtype=bool, na_value=False)
    if not data.classes or not known.all():
        raise InputError(
            f"target: label needs a label of every image; {int((~known).sum()) if data.classes else len(rows)} of "
            f"{len(rows)} images of '{data.name}' have none. Use target: teacher or own."
        )
    return labels.to_numpy(dtype=np.int64)


def _predict(job: Job, start: str, data: Prepared) -> list[str]:
    """The class that the frozen start sees in each image that is used, by row of the table; -1 in the others,
    and in all where it has no head."""
    teacher, pixels, rows = on_device(job, start), data.pixels(job.sizes[start]), _used(data)
    classes = torch.full((len(data.table),), -1)
    starts = range(0, len(rows), job.experiment.batch_size)
    for first in track(starts, "classes of the teacher", total=len(starts)):
        part = rows[first : first + job.experiment.batch_size]
        with torch.no_grad():
            logits = teacher(batch_of(pixels, part, job.device)).logits
        if logits is not None:  # a model without a head sees no class; what is explained of it is up to the method
            classes[torch.from_numpy(part)] = logits.argmax(1).cpu()
    return [job.run.write_tensors(_file(data, start), {"classes": classes})]
