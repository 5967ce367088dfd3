"""The stage that trains."""

from dataclasses import asdict
from functools import partial
from typing import Any

from gazetune import processes
from gazetune.attention import METHODS
from gazetune.backbones import Kept, weights_hash
from gazetune.beside import about_judge, judge, made_ready, preserve_with
from gazetune.data.splits import SplitName
from gazetune.errors import InputError
from gazetune.experiment import Entry
from gazetune.explained import classes_of, method_inputs, prepare_classes
from gazetune.job import Job, data_stages, made_by, on_device
from gazetune.prepared import Prepared
from gazetune.provenance import fingerprint
from gazetune.tracking import followed
from gazetune.training.checkpoint import damaged_best, keeper, resume_file
from gazetune.training.loop import tune
from gazetune.training.loss import Part, keep_features, kept_of, open_features, teacher_features
from gazetune.training.preservation import require_terms
from gazetune.training.shares import require_alone
from gazetune.training.state import State
from gazetune.training.targets import FEWEST_SHUFFLED, TARGETS, Targets

SPLITS: tuple[SplitName, ...] = ("train", "validation")  # those that a training sees


def train(job: Job) -> None:
    """Fine-tuning: every model of the table that learns, each against its own frozen start."""
    data = job.prepared(job.main)
    learning = [entry for entry in job.experiment.entries() if entry.seed is not None]
    for split in SPLITS if learning else ():
        require_images(data, split)
    for entry in learning:  # what cannot be built is said before hours of training, not after
        _targets(job, entry, data)
        prepare_classes(job, entry, data)
        settings = job.experiment.training_of(entry.model)
        require_alone(settings)
        if settings.lambda_logits or settings.lambda_tokens:
            require_terms(on_device(job, entry.model.start), settings, entry.model.start)
    beside = {entry.key: made_ready(job, entry) for entry in learning}
    asked = dict.fromkeys((e.model.start, kept_of(job.experiment.training_of(e.model))) for e in learning)
    teachers = {(start, kept): _teacher(job, start, kept, data) for start, kept in asked}
    for entry in learning:
        weights, settings = entry.model.start, job.experiment.training_of(entry.model)
        inputs = {
            "targets": entry.model.targets,
            "weights": weights_hash(weights),
            "training": settings.what_matters(),
            **method_inputs(job, entry),
            "seed": entry.seed,
            "image_size": job.experiment.image_size,
            "data": made_by(job, *data_stages(job, job.main, weights)),
        }  # not the version: a training of hours is not done again because the tool is newer
        inputs |= {name: made_by(job, stage) for name, stage in beside[entry.key].items()}
        features = teachers[weights, kept_of(settings)]
        work = partial(_train_one, job, entry, data, features, beside[entry.key], fingerprint(inputs))
        job.run.stage(f"train/{entry.key}", inputs, work, shared=True)
        if processes.is_main():  # done and recorded: nothing left to go on from
            job.run.file(resume_file(entry.key)).unlink(missing_ok=True)


def require_images(data: Prepared, split: SplitName) -> None:
    """Raises InputError if a split has no image that can be used, or none that anyone looked at."""
    if not len(data.rows(split)):
        raise InputError(
            f"The split leaves no usable {split} image of '{data.name}'. Check data.split in the experiment."
        )
    if not data.table["fixations"].iloc[data.rows(split)].any():
        raise InputError(
            f"No {split} image of '{data.name}' has a usable fixation, so nothing can be scored. Check the fixations "
            "and the settings under `human` (window_ms, drop_first) that leave some out."
        )


def _targets(job: Job, entry: Entry, data: Prepared) -> dict[SplitName, Targets]:
    """What a model is drawn towards, for each split that its training sees."""
    seen, seed = data.points.take(data.rows("train")), job.experiment.training.shuffle_seed
    few = next((s for s in SPLITS if len(data.rows(s)) < FEWEST_SHUFFLED), None)
    if entry.model.targets == "shuffled" and few is not None:  # settings under `human` may leave fixations out
        raise InputError(
            f"'{entry.key}' learns from shuffled maps and needs at least {FEWEST_SHUFFLED} {few} images with fixations "
            f"that can be used; '{data.name}' has {len(data.rows(few))}. Add images, or change data.split in the YAML "
            f"or with --set, and begin anew."
        )
    return {s: TARGETS[entry.model.targets](data.points.take(data.rows(s)), seen, seed) for s in SPLITS}


def _teacher(job: Job, start: str, kept: Kept, data: Prepared) -> dict[SplitName, str]:
    """The frozen start's [CLS] state of every image, computed once for all models that start there: a file a split.

    The same but for rounding whatever is `kept`.
    """
    weights, settings = weights_hash(start), job.experiment.training
    inputs = {
        "weights": weights,
        "precision": settings.precision,
        "batch_size": settings.batch_size,
        "image_size": job.experiment.image_size,
        "data": made_by(job, *data_stages(job, data.name, start)),
        "form": "npy",  # of the files; before version 0.5 one safetensors file, read whole
    }
    way = "" if kept == "read" else f"-{kept}"
    files = {split: f"cache/teacher-{data.name}-{weights[:12]}{way}-{split}.npy" for split in SPLITS}

    def work() -> list[str]:
        teacher, pixels = on_device(job, start), data.pixels(job.sizes[start])
        for split, file in files.items():
            rows = data.rows(split)
            features = teacher_features(teacher, pixels, rows, settings, job.device, kept)
            keep_features(job.run.file(file), features, len(rows))
        return list(files.values())

    job.run.stage(f"teacher/{data.name}/{weights[:12]}{way}", inputs, work, shared=True)
    return files


def _require_best(job: Job, entry: Entry, state: State) -> None:
    damaged = damaged_best(job.run, state)
    if damaged is not None:
        job.run.file(resume_file(entry.key)).unlink(missing_ok=True)
        raise InputError(f"'{damaged}' is damaged and is not used. Run again with --resume: the training starts anew.")


def _train_one(
    job: Job, entry: Entry, data: Prepared, teacher: dict[SplitName, str], beside: dict[str, str], inputs: str
) -> list[str]:
    settings, seed, start = job.experiment.training_of(entry.model), entry.seed or 0, entry.model.start
    student, pixels = on_device(job, start), data.pixels(job.sizes[start])
    features = {split: open_features(job.run.file(file)) for split, file in teacher.items()}
    targets = _targets(job, entry, data)
    classes = {split: classes_of(job, entry, data, data.rows(split), student) for split in SPLITS}
    parts = {s: Part(pixels, data.rows(s), targets[s], features[s], classes[s]) for s in SPLITS}
    keep = keeper(job.run, entry.key, student, inputs)
    preserve = preserve_with(job, entry, student, beside)
    accuracy = judge(job, beside["accuracy_on"], student) if "accuracy_on" in beside else None
    method = METHODS[job.experiment.method_of(entry.model)]
    with followed(job, entry, keep) as keep:
        state = tune(student, parts["train"], parts["validation"], method, settings, seed, keep, preserve, accuracy)
    processes.on_main(partial(_require_best, job, entry, state))
    about: dict[str, Any] = {"learnable": sum(p.numel() for p in student.learnable().values())}
    about["parameters"] = sum(p.numel() for p in student.model.parameters())
    if "accuracy_on" in beside:
        about["accuracy_on"] = about_judge(job, beside["accuracy_on"]) | {"max_loss": settings.max_accuracy_loss}
    folder = f"checkpoints/{entry.key}"
    best = [f"{folder}/best/{p.name}" for p in sorted(job.run.file(f"{folder}/best").iterdir())]
    return [*best, processes.from_main(partial(job.run.write_json, f"{folder}/training.json", asdict(state) | about))]
