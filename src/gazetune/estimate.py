"""What a run will take: data and weights to get, bytes by counting, seconds by a few steps on random pixels."""

import shutil
import statistics
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int

from gazetune.attention import METHODS, Method
from gazetune.backbones import Backbone
from gazetune.backbones.stand_in import stand_in
from gazetune.data.places import DATA, LABELLED, WEIGHTS, Shape
from gazetune.data.splits import TENTH, TESTED
from gazetune.experiment import Experiment
from gazetune.training.loss import Part, loss_of
from gazetune.training.precision import autocast
from gazetune.training.settings import Training

STEPS = 20  # at most so many steps are measured,
AT_MOST_SECONDS = 30.0  # or for so long; the first is not counted, for it also allocates
PUBLISHED = 5_000  # images of the fixed subset of ImageNet's validation set
ADAM = 3  # the state to go on from: the weights and two moments of AdamW


@dataclass(frozen=True)
class Speed:
    """Seconds of one training step, and of one image that is only looked at; measured over `steps` steps."""

    step: float
    image: float
    steps: int


def print_places(experiment: Experiment, no_data: bool, weights: Collection[str]) -> None:
    """Print what is known of the data and weights that are not there: size, licence, place."""
    wanted = [DATA[experiment.study.kind]] if no_data and experiment.study.kind in DATA else []
    wanted += [WEIGHTS[name] for name in weights if name in WEIGHTS]
    sets = experiment.parity.values()
    there = {s.kind for s in sets if s.path and Path(s.path).expanduser().exists()}
    wanted += [LABELLED[s.kind] for s in sets if s.kind in LABELLED and s.kind not in there]
    for lines in dict.fromkeys(tuple(place.lines()) for place in wanted):
        print("to get: " + "\n".join(lines))


def expected(experiment: Experiment) -> dict[str, int]:
    """How many images the data set has as it is released, with the limit where it holds; empty if that is not known."""
    place = DATA.get(experiment.study.kind)
    images = dict(place.images) if place else {}
    if images and experiment.study.split.stop_on == TESTED:
        images = {**images, "train": images["train"] + images["validation"], "validation": images["test"] // TENTH}
    limit = experiment.limit
    return {n: min(count, limit) if limit and n in experiment.limited else count for n, count in images.items()}


def print_costs(
    experiment: Experiment,
    path: Path,
    counts: Mapping[str, int],
    models: Mapping[str, Backbone | None],
    device: torch.device | None,
) -> list[str]:
    """Print room on the disk and time, or why they cannot be told; returns what is missing.

    counts: images per part. models: by start weights, None for those that are not there. device: where to measure;
    None: no time is told.
    """
    shapes = {name: shape for name, backbone in models.items() if (shape := _shape(name, backbone)) is not None}
    if not counts or len(shapes) < len(models):
        print("disk and time: not known before data and weights are there")
        return []
    room, free = disk_bytes(experiment, counts, shapes), free_bytes(path)
    print(f"disk: {sum(room.values()) / 1e9:.2f} GB of {free / 1e9:.1f} GB that are free, besides tables and figures")
    for what, size in room.items():
        print(f"  {what}: {size / 1e9:.3f} GB")
    if device is None:
        print("time: not measured")
    else:
        _print_times(experiment, counts, models, device)
    return (
        [f"{sum(room.values()) / 1e9:.2f} GB of disk; {free / 1e9:.2f} are free."] if sum(room.values()) > free else []
    )


def _shape(name: str, backbone: Backbone | None) -> Shape | None:
    """Of a model that is there, or of one that is known."""
    if backbone is None:
        return WEIGHTS[name].shape if name in WEIGHTS else None
    total, learnable = (
        sum(p.numel() for p in found) for found in (backbone.model.parameters(), backbone.learnable().values())
    )
    return Shape(total, learnable, backbone.image_size, backbone.grid[0] * backbone.grid[1], len(backbone.classes))


def _print_times(
    experiment: Experiment, counts: Mapping[str, int], models: Mapping[str, Backbone | None], device: torch.device
) -> None:
    """Measure every start that is trained, by its own attention method; weights that are not there by a stand-in."""
    speeds: dict[str, Speed] = {}
    for entry in experiment.entries():
        start = entry.model.start if entry.seed is not None else ""
        if not start or start in speeds:
            continue
        backbone = models[start] or stand_in(start, experiment.image_size)
        if backbone is None:
            print(f"time of {start}: not known before the weights are there")
            return
        speed = speeds[start] = measure(backbone, experiment, device, experiment.method_of(entry.model))
        how = "" if models[start] else ", random weights of this shape"
        print(
            f"time of {start}: {speed.step:.2f} s a step (median of {speed.steps}{how}), {speed.image:.3f} s an image"
        )
    if speeds:
        training = in_words(training_seconds(experiment, counts, speeds))
        looking = in_words(looking_seconds(experiment, counts["test"], speeds))
        print(f"  training at most {training} (early stopping ends it sooner), maps of the test images {looking}")
        images = predictions(experiment)
        if images:
            seconds = in_words(looking_seconds(experiment, images, speeds))
            print(f"  {images:,} predictions of each model (the sets as released) at most {seconds}")
        print("  not in it: reading and corrupting photos, scores, figures")


def predictions(experiment: Experiment) -> int:
    """How many predictions of one model the sets of labelled images ask for, as they are released; of others, none."""
    total = 0
    for settings in experiment.parity.values():
        released = LABELLED[settings.kind].images["test"] if settings.kind in LABELLED else 0
        images = min(released, PUBLISHED) if settings.subset else released
        total += min(images, settings.limit or images, experiment.limit or images) * len(settings.copies())
    return total


def measure(backbone: Backbone, experiment: Experiment, device: torch.device, method: str | None = None) -> Speed:
    """Time training steps of the experiment's batch size on random pixels. The model is changed: throw it away.

    method: of attention; the experiment's where None.
    """
    settings, size, attend = experiment.training, experiment.map_size, METHODS[method or experiment.attention]
    n = settings.batch_size
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (n, 3, *backbone.image_size), dtype=np.uint8)
    targets = torch.from_numpy(rng.random((n, size, size), dtype=np.float32))
    backbone.model.to(device)
    index = np.arange(n)
    with torch.no_grad(), autocast(device, settings.precision):
        feature = backbone(torch.from_numpy(pixels).to(device)).feature.float().cpu()
    part = Part(pixels, index, lambda rows: targets[torch.from_numpy(rows)], feature)
    learnable = backbone.learnable()
    for name, parameter in backbone.model.named_parameters():
        parameter.requires_grad_(name in learnable)
    optimiser = torch.optim.AdamW(learnable.values(), lr=settings.lr, weight_decay=settings.weight_decay)
    taken: list[float] = []
    begin = time.monotonic()
    while len(taken) < 2 or (len(taken) <= STEPS and time.monotonic() - begin < AT_MOST_SECONDS):
        start = time.monotonic()
        optimiser.zero_grad(set_to_none=True)
        loss_of(backbone, part, index, attend, settings).total.backward()
        optimiser.step()
        _finish(device)
        taken.append(time.monotonic() - start)
    return Speed(
        statistics.median(taken[1:]), _look(backbone, part, index, attend, settings, device) / n, len(taken) - 1
    )


def _look(
    backbone: Backbone, part: Part, index: Int[np.ndarray, " batch"], attend: Method, settings: Training,
    device: torch.device,
) -> float:  # fmt: skip
    """Seconds of a batch that is only looked at, the better of two."""
    taken = []
    for _ in range(2):
        start = time.monotonic()
        with torch.no_grad():
            loss_of(backbone, part, index, attend, settings)
        _finish(device)
        taken.append(time.monotonic() - start)
    return min(taken)


def _finish(device: torch.device) -> None:
    """Wait for the device: it answers before it has done the work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def training_seconds(experiment: Experiment, counts: Mapping[str, int], speeds: Mapping[str, Speed]) -> float:
    """All trainings if none stops early: steps, evaluations, and the teacher's pass, which models of a start share.

    `counts` are images per part, `speeds` those of each start weights that is trained.
    """
    seconds, teachers = 0.0, set[str]()
    for entry in experiment.entries():
        if entry.seed is None or entry.model.start not in speeds:
            continue
        own, speed = experiment.training_of(entry.model), speeds[entry.model.start]
        steps = own.steps(counts["train"])
        looked_at = (2 + steps // own.evaluate_every) * counts["validation"]
        if entry.model.start not in teachers:
            looked_at += counts["train"] + counts["validation"]
        teachers.add(entry.model.start)
        seconds += steps * speed.step * own.batch_size / experiment.training.batch_size + looked_at * speed.image
    return seconds


def looking_seconds(experiment: Experiment, images: int, speeds: Mapping[str, Speed]) -> float:
    """Every model over so many images once."""
    return sum(images * speeds[e.model.start].image for e in experiment.entries() if e.model.weights in speeds)


def disk_bytes(experiment: Experiment, counts: Mapping[str, int], shapes: Mapping[str, Shape]) -> dict[str, int]:
    """Bytes by what takes them: photos at each input size, checkpoints, maps and class scores in float32.

    Points of gaze (8 bytes each), tables and figures come on top.
    """
    sizes = {shapes[e.model.start].size for e in experiment.entries() if e.model.weights in shapes}
    images = sum(counts.values()) - (counts["validation"] if experiment.study.split.stop_on == TESTED else 0)
    photos = images * sum(3 * height * width for height, width in sizes)
    checkpoints = state = maps = 0
    for entry in (e for e in experiment.entries() if e.model.weights in shapes):
        shape = shapes[entry.model.start]
        maps += 4 * counts["test"] * (shape.cells + shape.classes)
        if entry.seed is not None:
            checkpoints += 4 * shape.parameters
            state = max(state, 4 * ADAM * shape.learnable)
    return {
        "decoded photos (cache/, may be deleted)": photos,
        "checkpoints": checkpoints,
        "state of a training under way": state,
        "maps and class scores": maps,
    }


def free_bytes(path: Path) -> int:
    """Room on the disk where a folder lies or will lie."""
    place = path.expanduser().absolute()
    while not place.exists():
        place = place.parent
    return shutil.disk_usage(place).free


def in_words(seconds: float) -> str:
    """A duration, roughly."""
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"
