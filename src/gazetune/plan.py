"""What a run would do, what it needs and what is missing: `--dry-run`."""

import re
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import torch
from huggingface_hub import try_to_load_from_cache

from gazetune.attention import require_fit
from gazetune.attention.ready import find_maps
from gazetune.backbones import Backbone, black, load_backbone
from gazetune.backbones.vit import VisionTransformer
from gazetune.data import Stimuli
from gazetune.data.labelled import Labelled
from gazetune.data.photos import labels_for_tuning, photos_for_tuning
from gazetune.data.splits import NAMES, TESTED, members, split_of
from gazetune.errors import InputError
from gazetune.estimate import expected, print_costs, print_places
from gazetune.experiment import Data, Experiment
from gazetune.loading import load_labelled, other_data
from gazetune.parity.corruptions import not_run
from gazetune.parity.settings import Classification
from gazetune.progress import say
from gazetune.run import Run
from gazetune.statistics.paired import FEWEST
from gazetune.trackers import require_trackers
from gazetune.training.batch_norm import moving_norms
from gazetune.training.settings import Training

HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def print_plan(
    experiment: Experiment, run: Run, load: Callable[[Data], Stimuli], device: torch.device | None = None
) -> None:
    """Print the plan. Raises InputError at the end if something that the run needs is missing.

    device: where a few training steps are timed, if the experiment trains; None: no time is told.
    """
    missing: list[str] = []
    print(f"experiment {experiment.name}, into {run.path}")
    stimuli, counts = _data(experiment, load, missing)
    if stimuli is not None:
        missing += wrong_maps(experiment, stimuli)
    models: dict[str, Backbone | None] = {}
    for entry in experiment.entries():
        if entry.model.maps is not None:
            print(f"model {entry.key}: ready-made maps in {entry.model.maps}")
            continue
        weights = entry.model.start
        if weights not in models:
            models[weights] = _loaded(weights, experiment, missing)
        backbone = models[weights]
        if backbone is None:
            print(f"model {entry.key}: {weights} - missing")
            continue
        total = sum(p.numel() for p in backbone.model.parameters())
        learn = sum(p.numel() for p in backbone.learnable().values()) if entry.seed is not None else 0
        height, width = backbone.image_size
        read = f"; {backbone.read_out()}" if isinstance(backbone, VisionTransformer) and backbone.read_out() else ""
        shown = f"RGB, squashed to {width}x{height} (bicubic), {backbone.normalisation()}{read}"
        print(f"model {entry.key}: {weights}; {shown}")
        print(f"  {learn:,} of {total:,} parameters learn ({learn / total:.1%})", end="")
        if entry.seed is not None:
            own = experiment.training_of(entry.model)
            steps = own.steps(counts["train"]) if counts else "?"
            print(f"; targets {entry.model.targets}; at most {steps} steps of {own.batch_size} images", end="")
            norms = len(moving_norms(backbone, own))
            print(f"; the statistics of {norms} batch norms move" if norms else "", end="")
            missing += _wrong_folders(own)
        print()
    methods = dict.fromkeys(experiment.method_of(m) for m in experiment.models.values() if m.maps is None)
    also = f", scored by {', '.join(experiment.methods)} too" if experiment.methods else ""
    print(f"attention {', '.join(methods) or 'ready-made'}{also}; metrics {', '.join(experiment.metrics)}")
    _print_others(experiment, missing)
    print_places(experiment, stimuli is None, [name for name, backbone in models.items() if backbone is None])
    missing += print_costs(experiment, run.path, counts or expected(experiment), models, device)
    if experiment.tracking:
        print(f"tracking: {', '.join(experiment.tracking)}, in {run.path / 'tracking'}")
        try:
            require_trackers(run, experiment.tracking)
        except InputError as reason:
            missing.append(str(reason))
    tables = "images.csv, tests.csv, summary.json"
    print(f"writes stimuli/, checkpoints/, attention/, {tables}, figures/, explorer.html, report.html")
    if missing:
        raise InputError("This run cannot start yet.\n" + "\n".join(f"- {m}" for m in missing))


def _print_others(experiment: Experiment, missing: list[str]) -> None:
    """Labelled images, which may be left out, and other data sets to score on, which may not."""
    for name, settings in experiment.parity.items():
        copies = f", {len(settings.copies())} corrupted copies of each image" if settings.corruptions else ""
        found = f"not run: no folder (--data {name}=PATH)"
        if settings.path is not None:
            n = _number(partial(load_labelled, name, settings), missing)
            found = f"{settings.path}, {n:,} images" if n else f"{settings.path} - missing"
        print(f"parity {name}: {found}{copies}")
    for other, source in experiment.score_on.items():
        n = _number(partial(other_data, other, source, experiment), missing)
        print(f"also scored on {other}: " + (f"{source.path}, {n:,} images" if n else f"missing (--data {other}=PATH)"))


def _number(read: Callable[[], Labelled | Stimuli], missing: list[str]) -> int:
    """How many images can be read; 0, and why, where they cannot."""
    try:
        return len(read())
    except InputError as reason:
        missing.append(str(reason))
        return 0


def print_sets(
    experiment: Experiment, run: Run, loaded: Mapping[str, Labelled], sets: Mapping[str, Classification]
) -> None:
    """Print what would be classified."""
    models = [entry.key for entry in experiment.entries() if entry.model.maps is None]
    print(f"parity of {', '.join(models)} ({experiment.reference} is the reference), into {run.path}")
    for name, labelled in loaded.items():
        copies = sets[name].copies()
        print(f"{name}: {len(labelled):,} images of {len(set(labelled.groups))} classes, from {sets[name].path}")
        if sets[name].corruptions:
            for corruption in sets[name].corruptions:
                print(f"  {corruption}: {not_run(corruption) or 'can be made'}")
        print(f"  {len(labelled) * len(copies):,} predictions of each model")
    print(
        "writes predictions/, parity/, predictions.csv, accuracy.csv, parity*.csv, summary.json, figures/, report.html"
    )


def require_parts(experiment: Experiment, counts: Mapping[str, int]) -> None:
    """Raises InputError if the split leaves a part empty that the experiment needs; `counts` are images per part."""
    needed = {"test"} | ({"train", "validation"} if any(e.seed is not None for e in experiment.entries()) else set())
    empty = [name for name in ("train", "validation", "test") if name in needed and not counts.get(name)]
    if empty:
        rule = ", ".join(f"{k}: {v}" for k, v in experiment.study.split.model_dump().items())
        raise InputError(
            f"The split leaves no usable {' and no '.join(empty)} image ({{{rule}}}). Change it in the YAML or, for "
            f"example, with --set 'data.split={{rule: hash, train: 60, validation: 20, test: 20}}'."
        )
    if counts["test"] < FEWEST:
        say(f"warning: {counts['test']} test images are too few for a test; at least {FEWEST} are needed")


def _wrong_folders(settings: Training) -> list[str]:
    """What is wrong with the other photos or the labelled images that a training asks for."""
    found = []
    for path, read in ((settings.distil_on, photos_for_tuning), (settings.accuracy_on, labels_for_tuning)):
        try:
            if path is not None:
                read(path)
        except InputError as reason:
            found.append(str(reason))
    return found


def wrong_maps(experiment: Experiment, stimuli: Stimuli) -> list[str]:
    """What is wrong with the folders of ready-made maps: not there, or no map for a test image."""
    parts = split_of(stimuli, experiment.study.split)
    tested = members(parts, "test", experiment.limit if "test" in experiment.limited else None)
    ids, found = [stimuli.ids[i] for i in tested], []
    for model in (m for m in experiment.models.values() if m.maps is not None):
        try:
            find_maps(str(model.maps), ids, experiment.skip_bad)
        except InputError as reason:
            found.append(str(reason))
    return found


def parts_of(experiment: Experiment, stimuli: Stimuli) -> dict[str, int]:
    """The number of images in each part of the split, with the limit where it holds."""
    parts = split_of(stimuli, experiment.study.split)
    limits = {name: experiment.limit if name in experiment.limited else None for name in NAMES}
    return {str(name): len(members(parts, name, limit)) for name, limit in limits.items()}


def _loaded(weights: str, experiment: Experiment, missing: list[str]) -> Backbone | None:
    """The model, or None and why it cannot be used. Nothing is downloaded for a plan."""
    if HUB_NAME.fullmatch(weights) and not Path(weights).is_dir() and not _fetched(weights):
        missing.append(
            f"The weights '{weights}' are not on this machine. Online the run fetches them itself; else give their "
            f"folder with --weights, or get them with: hf download {weights}"
        )
        return None
    try:
        backbone = load_backbone(weights, experiment.image_size)
        black(backbone)  # whether its attention can be read
        for model in (m for m in experiment.models.values() if m.weights == weights):
            require_fit(experiment.method_of(model), backbone, weights)
            if model.train:
                moving_norms(backbone, experiment.training_of(model), weights)
        return backbone
    except InputError as reason:
        missing.append(str(reason))
        return None


def _fetched(name: str) -> bool:
    return isinstance(try_to_load_from_cache(name, "config.json"), str)


def _data(
    experiment: Experiment, load: Callable[[Data], Stimuli], missing: list[str]
) -> tuple[Stimuli | None, dict[str, int]]:
    try:
        stimuli = load(experiment.study)
        counts = parts_of(experiment, stimuli)
    except InputError as reason:
        missing.append(str(reason))
        print(f"data {experiment.study.kind}: missing")
        return None, {}
    split = ", ".join(f"{n} {name}" for name, n in counts.items())
    print(f"data {experiment.study.kind}: {len(stimuli)} images, {len(stimuli.fixations):,} fixations; {split}")
    try:
        require_parts(experiment, counts)
    except InputError as reason:
        missing.append(str(reason))
    if experiment.study.split.stop_on == TESTED:
        print(
            "  early stopping looks at a tenth of the test images: weights are chosen on images that they are tested on"
        )
    if experiment.study.path:
        print(f"  from {experiment.study.path}")
    return stimuli, counts
