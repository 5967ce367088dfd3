"""What a run would do, what it needs and what is missing: `--dry-run`."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import torch

from gazetune.attention import require_fit
from gazetune.attention.ready import find_maps
from gazetune.backbones import Backbone, black, hub_name, is_fetched, load_backbone, mistyped, offline, refuse_by_name
from gazetune.backbones.vit import VisionTransformer
from gazetune.data import Stimuli
from gazetune.data.labelled import Labelled
from gazetune.data.photos import labels_for_tuning, photos_for_tuning
from gazetune.data.splits import NAMES, TESTED, members, split_of
from gazetune.errors import InputError
from gazetune.estimate import expected, print_costs, print_places
from gazetune.experiment import Data, Experiment
from gazetune.loading import load_labelled, other_data
from gazetune.progress import say
from gazetune.run import Run
from gazetune.statistics.paired import FEWEST
from gazetune.trackers import require_trackers
from gazetune.training.batch_norm import moving_norms
from gazetune.training.settings import Training
from gazetune.training.targets import FEWEST_SHUFFLED

OTHER_SPLIT = "--set 'data.split={rule: hash, train: 60, validation: 20, test: 20}'"


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
    unusable: dict[str, str] = {}
    images = counts or expected(experiment)
    for entry in experiment.entries():
        if entry.model.maps is not None:
            print(f"model {entry.key}: ready-made maps in {entry.model.maps}")
            continue
        weights = entry.model.start
        if weights not in models:
            models[weights] = _loaded(weights, experiment, missing)
            unusable[weights] = "missing" if _is_away(weights) else f"unusable: {missing[-1]}" if missing else ""
        backbone = models[weights]
        if backbone is None:
            print(f"model {entry.key}: {weights} - {unusable[weights]}")
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
            steps = own.steps(images["train"]) if images else "?"
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
        same = [o for o, s in experiment.parity.items() if s.kind == settings.kind and copies and not s.corruptions]
        also = f"; PATH may be the folder of {same[0]}" if same else ""
        found = f"not run: no folder (--data {name}=PATH{also})"
        if settings.path is not None:
            n = _number(partial(load_labelled, name, settings), missing)
            found = f"{settings.path}, {n:,} images" if n else f"{settings.path} - {_why(settings.path, missing)}"
        print(f"parity {name}: {found}{copies}")
    for other, source in experiment.score_on.items():
        n = _number(partial(other_data, other, source, experiment), missing)
        found = f"{source.path}, {n:,} images" if n else _why(source.path, missing)
        print(f"also scored on {other}: {found}" + ("" if source.path else f" (--data {other}=PATH)"))


def _why(path: str | None, missing: list[str]) -> str:
    """What to call data that cannot be read: not there, or there and of no use, with the last reason."""
    there = path is not None and Path(path).expanduser().exists()
    return f"unusable: {missing[-1]}" if there else "missing"


def _number(read: Callable[[], Labelled | Stimuli], missing: list[str]) -> int:
    """How many images can be read; 0, and why, where they cannot."""
    try:
        return len(read())
    except InputError as reason:
        missing.append(str(reason))
        return 0


def require_parts(experiment: Experiment, stimuli: Stimuli) -> None:
    """Raises InputError, naming part and cure, if the split leaves fewer images of a part than the experiment needs."""
    counts, looked_at = parts_of(experiment, stimuli), parts_of(experiment, stimuli, looked_at=True)
    learn = [entry for entry in experiment.entries() if entry.seed is not None]
    needed = {"test"} | ({"train", "validation"} if learn else set())
    empty = [name for name in NAMES if name in needed and not counts[name]]
    rule = ", ".join(f"{k}: {v}" for k, v in experiment.study.split.model_dump().items())
    if empty:
        raise InputError(
            f"The split leaves no usable {' and no '.join(empty)} image ({{{rule}}}). Change it in the YAML or, for "
            f"example, with {OTHER_SPLIT}."
        )
    for entry in learn:
        few = next((name for name in ("train", "validation") if looked_at[name] < FEWEST_SHUFFLED), None)
        if entry.model.targets == "shuffled" and few is not None:
            raise InputError(
                f"'{entry.key}' learns from shuffled maps, each image from that of another, so it needs at least "
                f"{FEWEST_SHUFFLED} {few} images with fixations; the split leaves {looked_at[few]} ({{{rule}}}). Add "
                f"images, or change the split in the YAML or, for example, with {OTHER_SPLIT}."
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


def parts_of(experiment: Experiment, stimuli: Stimuli, looked_at: bool = False) -> dict[str, int]:
    """The number of images in each part of the split, with the limit where it holds; or of those with fixations."""
    parts = split_of(stimuli, experiment.study.split)
    limits = {name: experiment.limit if name in experiment.limited else None for name in NAMES}
    counted = np.ones(len(stimuli), dtype=bool)
    if looked_at:  # or whose file is no image: their fixations were not placed, and the reading of photos names them
        counted = (np.diff(stimuli.offsets) > 0) | ((stimuli.width == 1) & (stimuli.height == 1))
    return {str(name): int(counted[members(parts, name, limit)].sum()) for name, limit in limits.items()}


def _loaded(weights: str, experiment: Experiment, missing: list[str]) -> Backbone | None:
    """The model, or None and why it cannot be used. No hub is asked, and nothing is downloaded for a plan."""
    try:
        if _is_away(weights):
            refuse_by_name(weights)  # what is not read is no better for being fetched
            raise InputError(
                f"The weights '{weights}' are not on this machine.{mistyped(weights)} Online the run fetches them "
                f"itself; else give their folder with --weights, or get them with: hf download {hub_name(weights)}"
            )
        with offline():
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


def _is_away(weights: str) -> bool:
    name = hub_name(weights)
    return name is not None and not is_fetched(name)


def _data(
    experiment: Experiment, load: Callable[[Data], Stimuli], missing: list[str]
) -> tuple[Stimuli | None, dict[str, int]]:
    try:
        stimuli = load(experiment.study)
        counts = parts_of(experiment, stimuli)
    except InputError as reason:
        missing.append(str(reason))
        print(f"data {experiment.study.kind}: {_why(experiment.study.path, missing)}")
        return None, {}
    split = ", ".join(f"{n} {name}" for name, n in counts.items())
    print(f"data {experiment.study.kind}: {len(stimuli)} images, {len(stimuli.fixations):,} fixations; {split}")
    try:
        require_parts(experiment, stimuli)
    except InputError as reason:
        missing.append(str(reason))
    if experiment.study.split.stop_on == TESTED:
        print(
            "  early stopping looks at a tenth of the test images: weights are chosen on images that they are tested on"
        )
    if experiment.study.path:
        print(f"  from {experiment.study.path}")
    return stimuli, counts
