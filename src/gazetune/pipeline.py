"""The stages of an experiment, in the order of the paper's Methods; each can be done again from the run's files."""

import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from importlib.metadata import version

import numpy as np
import torch

from gazetune.attention import METHODS
from gazetune.attention.extract import write_maps
from gazetune.backbones import Backbone, load_backbone, weights_hash
from gazetune.data import Stimuli
from gazetune.data.decoded import open_decoded
from gazetune.data.splits import SplitName, Whole
from gazetune.errors import InputError
from gazetune.experiment import Entry, Experiment
from gazetune.figures.write import write_figures
from gazetune.metrics import Metric
from gazetune.prepared import Prepared, chosen, decoded_name, load_prepared, prepare_photos, prepare_points
from gazetune.provenance import environment, fingerprint
from gazetune.report.html import write_report
from gazetune.run import CONFIG, PROVENANCE, Run
from gazetune.tables import maps_folder, write_scores, write_tables
from gazetune.training.checkpoint import keeper, resume_file
from gazetune.training.loop import Part, teacher_features, tune
from gazetune.training.targets import TARGETS

SPLITS: tuple[SplitName, ...] = ("train", "validation")  # those that a training sees


@dataclass(frozen=True)
class Job:
    """An experiment at work: its settings, its run directory and what was chosen on the command line."""

    experiment: Experiment
    run: Run
    device: torch.device
    metrics: Mapping[str, Metric]
    code: Mapping[str, str]  # sha256 of a user's own code that takes part
    skip_bad: bool = False

    @property
    def models(self) -> dict[str, tuple[str, int | None]]:
        """Every model of the run: key -> (name, seed)."""
        return {entry.key: (entry.name, entry.seed) for entry in self.experiment.entries()}


def begin(job: Job) -> None:
    """Write down what is about to be done, and with what."""
    job.run.write_yaml(CONFIG, job.experiment.model_dump(mode="json", exclude_none=True))
    record = job.run.json(PROVENANCE, {"stages": {}})
    command = shlex.join(["gazetune", *(a for a in sys.argv[1:] if a != "--resume")])
    about = {**environment(job.device), "command": command, "code": dict(job.code)}
    job.run.write_json(PROVENANCE, {**record, **about})


def input_sizes(experiment: Experiment) -> list[tuple[int, int]]:
    """The input sizes of all models, each of which is tried on a black image.

    Raises InputError for weights that are missing and for models whose attention cannot be read.
    """
    sizes = set()
    for weights in dict.fromkeys(entry.model.weights for entry in experiment.entries()):
        backbone = load_backbone(weights, experiment.image_size)
        with torch.no_grad():
            backbone(torch.zeros(1, 3, *backbone.image_size, dtype=torch.uint8))
        sizes.add(backbone.image_size)
    return sorted(sizes)


def prepare(job: Job, name: str, stimuli: Stimuli, sizes: list[tuple[int, int]], whole: bool = False) -> None:
    """Human data: fixations to the map grid; photos decoded once at every input size that a model needs."""
    experiment = job.experiment
    split = Whole(rule="all_test") if whole else experiment.data.split
    subset, parts = chosen(stimuli, split, experiment.limit)
    inputs = {"data": subset.fingerprint(), "split": fingerprint(parts)}
    settings = {"human": experiment.human.model_dump(), "map_size": experiment.map_size}
    job.run.stage(
        f"fixations/{name}", inputs | settings,
        lambda: prepare_points(job.run, name, subset, parts, experiment.human, experiment.map_size),
    )  # fmt: skip
    for size in sizes:
        job.run.stage(
            f"photos/{name}/{size[0]}x{size[1]}", {"data": subset.fingerprint(), "skip_bad": job.skip_bad},
            partial(prepare_photos, job.run, name, subset, size, job.skip_bad),
        )  # fmt: skip


def train(job: Job, name: str) -> None:
    """Fine-tuning: every model of the table that learns, each against its own frozen start."""
    data = load_prepared(job.run, name)
    made_by = _made_by(job, f"fixations/{name}", f"photos/{name}/")
    learning = [entry for entry in job.experiment.entries() if entry.seed is not None]
    for split in SPLITS if learning else ():
        _some(data, split)
    teachers = {w: _teacher(job, w, data, made_by) for w in dict.fromkeys(e.model.weights for e in learning)}
    for entry in learning:
        inputs = {
            "model": entry.model.model_dump(exclude={"label"}),
            "weights": weights_hash(entry.model.weights),
            "training": job.experiment.training.model_dump(exclude={"checkpoint_seconds"}),
            "attention": job.experiment.attention,
            "seed": entry.seed,
            "image_size": job.experiment.image_size,
            "data": made_by,
        }
        work = partial(_train_one, job, entry, data, teachers[entry.model.weights], fingerprint(inputs))
        job.run.stage(f"train/{entry.key}", inputs, work)
        job.run.file(resume_file(entry.key)).unlink(missing_ok=True)  # done and recorded: nothing left to go on from


def _some(data: Prepared, split: SplitName) -> None:
    """Raises InputError if a split has no image that can be used."""
    if not len(data.rows(split)):
        raise InputError(
            f"The split leaves no usable {split} image of '{data.name}'. Check data.split in the experiment."
        )


def _teacher(job: Job, start: str, data: Prepared, made_by: dict[str, str]) -> str:
    """The frozen start's [CLS] state of every image, computed once for all models that start there."""
    weights, settings = weights_hash(start), job.experiment.training
    inputs = {"weights": weights, "precision": settings.precision, "batch_size": settings.batch_size, "data": made_by}
    file = f"cache/teacher-{data.name}-{weights[:12]}.safetensors"

    def work() -> list[str]:
        teacher = _on_device(job, start)
        pixels = data.pixels(teacher.image_size)
        splits = {split: data.rows(split) for split in SPLITS}
        features = {str(s): teacher_features(teacher, pixels, rows, settings, job.device) for s, rows in splits.items()}
        return [job.run.write_tensors(file, features)]

    job.run.stage(f"teacher/{data.name}/{weights[:12]}", inputs | {"image_size": job.experiment.image_size}, work)
    return file


def _train_one(job: Job, entry: Entry, data: Prepared, teacher: str, inputs: str) -> list[str]:
    settings, seed = job.experiment.training, entry.seed or 0
    student = _on_device(job, entry.model.weights)
    pixels = data.pixels(student.image_size)
    features = job.run.tensors(teacher)
    parts, seen = {}, data.points.take(data.rows("train"))
    for split in SPLITS:
        rows = data.rows(split)
        targets = TARGETS[entry.model.targets](data.points.take(rows), seen, settings.shuffle_seed)
        parts[split] = Part(pixels, rows, targets, features[split])
    keep = keeper(job.run, entry.key, student, inputs)
    state = tune(student, parts["train"], parts["validation"], METHODS[job.experiment.attention], settings, seed, keep)
    counted = {"learnable": sum(p.numel() for p in student.learnable().values())}
    counted["parameters"] = sum(p.numel() for p in student.model.parameters())
    folder = f"checkpoints/{entry.key}"
    best = [f"{folder}/best/{p.name}" for p in sorted(job.run.file(f"{folder}/best").iterdir())]
    return [*best, job.run.write_json(f"{folder}/training.json", {**asdict(state), **counted})]


def attend(job: Job, name: str) -> None:
    """Attention extraction: the map of every model on every test image, in float32."""
    data = load_prepared(job.run, name)
    _some(data, "test")
    rows = data.rows("test")
    for entry in job.experiment.entries():
        weights = entry.model.weights
        if entry.seed is not None:
            job.run.verify(f"train/{entry.key}")
            weights = str(job.run.checkpoint(entry.key))
        inputs = {
            "weights": weights_hash(weights),
            "attention": job.experiment.attention,
            "image_size": job.experiment.image_size,
            "images": fingerprint(data.table["image"].iloc[rows].tolist()),
            "data": _made_by(job, f"photos/{name}/"),
        }

        def work(weights: str = weights, key: str = entry.key, inputs: str = fingerprint(inputs)) -> list[str]:
            backbone = _on_device(job, weights)
            pixels = open_decoded(job.run.file(decoded_name(name, backbone.image_size)))
            method, batch_size = METHODS[job.experiment.attention], job.experiment.batch_size
            return write_maps(job.run, maps_folder(name, key), inputs, backbone, pixels, rows, method, batch_size)

        job.run.stage(f"attention/{name}/{entry.key}", inputs, work)


def score(job: Job, name: str, trained_on: str) -> None:
    """Alignment metrics: humans, the mean training map and every model on the same test images."""
    inputs = {
        "maps": _made_by(job, f"attention/{name}/"),
        "fixations": _made_by(job, f"fixations/{name}", f"fixations/{trained_on}"),
        "metrics": list(job.metrics),
        "code": dict(job.code),
        "models": job.models,
        "gazetune": version("gazetune"),
    }
    test, training = load_prepared(job.run, name), load_prepared(job.run, trained_on)
    how = job.experiment.attention
    job.run.stage(
        f"score/{name}", inputs, lambda: write_scores(job.run, test, training, job.models, how, job.metrics)
    )  # fmt: skip


def conclude(job: Job) -> None:
    """Tests, summary, figures and report, over every data set that has been scored."""
    about = {"experiment": job.experiment.name, "reference": job.experiment.reference}
    made_by = {"scores": _made_by(job, "score/"), "training": _made_by(job, "train/")}
    inputs = made_by | about | {"gazetune": version("gazetune")}
    reference, metrics = job.experiment.reference, list(job.metrics)
    job.run.stage("tables", inputs, lambda: write_tables(job.run, job.models, reference, metrics, about))
    main, roles, labels = job.experiment.data.kind, job.experiment.roles(), job.experiment.labels()
    shown = {"tables": _made_by(job, "tables"), "labels": labels, "roles": roles}
    job.run.stage("figures", shown, lambda: write_figures(job.run, main, roles, labels, job.metrics))
    drawn = shown | {"figures": _made_by(job, "figures")}
    job.run.stage("report", drawn, lambda: write_report(job.run, main, roles, labels, job.metrics))


def _on_device(job: Job, weights: str) -> Backbone:
    backbone = load_backbone(weights, job.experiment.image_size)
    backbone.model.to(job.device)
    return backbone


def _made_by(job: Job, *stages: str) -> dict[str, str]:
    """The files that these stages wrote, with their sha256; a name that ends in `/` stands for all that begin so."""
    done = job.run.json(PROVENANCE, {"stages": {}})["stages"]
    meant = [s for s in sorted(done) if s in stages or any(n.endswith("/") and s.startswith(n) for n in stages)]
    return {file: sha256 for stage in meant for file, sha256 in done[stage]["outputs"].items()}


def pick_device(wanted: str) -> torch.device:
    """The device asked for; `auto` takes CUDA, then Apple's MPS, then the CPU."""
    if wanted != "auto":
        return torch.device(wanted)
    if torch.cuda.is_available():
        return torch.device("cuda")
    return torch.device("mps" if torch.backends.mps.is_available() else "cpu")


def total_steps(experiment: Experiment, n_train: int) -> int:
    """Steps over all models that learn, if none stops early."""
    return experiment.training.steps(n_train) * int(np.sum([e.seed is not None for e in experiment.entries()]))
