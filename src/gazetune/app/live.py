"""What the page asks for, as plain functions: pictures in, HTML or a zip out, models asked one at a time."""

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch

from gazetune.app import show
from gazetune.app.answers import OWN, Answer, Reading, answer, every_head
from gazetune.app.download import zipped
from gazetune.app.models import Asked, load_models
from gazetune.app.photos import Photo
from gazetune.app.study import StudyImages, study_images
from gazetune.attention import METHODS
from gazetune.errors import InputError
from gazetune.experiment import Experiment
from gazetune.job import VERSION, Job
from gazetune.metrics.custom import chosen_metrics
from gazetune.run import Run


@dataclass(frozen=True)
class Picture:
    """A photo; of a test image of the run also where it is from."""

    photo: Photo
    study: StudyImages | None = None


@dataclass(frozen=True)
class Live:
    """A run with its models loaded, to be asked.

    silent: label of a model that cannot answer -> why. studies: the data sets whose test images can be shown; without
    any, `missing` says why. One question at a time goes to the models, whoever asks.
    """

    job: Job
    asked: tuple[Asked, ...]
    silent: dict[str, str]
    studies: dict[str, StudyImages]
    missing: str
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def sizes(self) -> set[tuple[int, int]]:
        """The input sizes (height, width) of the models."""
        return {asked.backbone.image_size for asked in self.asked}


def open_run(path: Path, experiment: Experiment, device: torch.device, allow_code: bool = False) -> Live:
    """A run with every model that can answer, each loaded once; nothing is written into it.

    Raises InputError if no model of it can answer.
    """
    metrics, _ = chosen_metrics(experiment.metrics, allow_code)
    bare = Job(experiment, Run(path), device, metrics, {}, {})
    asked, silent = load_models(bare)
    starts = {entry.key: entry.model.start for entry in experiment.entries() if entry.model.maps is None}
    job = replace(bare, sizes={starts[a.key]: a.backbone.image_size for a in asked})
    studies, missing = study_images(job)
    return Live(job, tuple(asked), silent, studies, missing)


def methods_of(live: Live) -> dict[str, str]:
    """The attention methods that fit at least one model, and what each is called; the run's own choice first."""
    fitting = {name for asked in live.asked for name in asked.fitting}
    own = " / ".join(dict.fromkeys(METHODS[asked.method].label for asked in live.asked))
    return {OWN: f"As in the run ({own})", **{name: m.label for name, m in METHODS.items() if name in fitting}}


def study_picture(live: Live, study: str, image: str) -> Picture:
    """A test image of the run. Raises InputError if there is none of that name."""
    if study not in live.studies:
        raise InputError(f"The run has no data set '{study}' whose images can be shown.")
    return Picture(live.studies[study].photo(image), live.studies[study])


def answers(live: Live, photo: Photo, reading: Reading) -> list[Answer]:
    """What every model makes of a photo, in the order of the run."""
    with live.lock:
        size = live.job.experiment.map_size
        return [answer(asked, photo.inputs[asked.backbone.image_size], reading, size) for asked in live.asked]


def view(live: Live, picture: Picture, reading: Reading) -> str:
    """The photo, people where there are any, and every model side by side; of a test image the scores as well."""
    photo, found = picture.photo, answers(live, picture.photo, reading)
    models = [show.answer_card(photo, one) for one in found]
    if picture.study is None:
        return show.cards(photo.name, [show.photo_card(photo), *models])
    with live.lock:
        people = show.people_card(photo, picture.study.people(photo.name))
        scores = _scores(live, picture.study, photo.name, found)
    return show.cards(photo.name, [show.photo_card(photo), people], models, after=scores)


def _scores(live: Live, study: StudyImages, image: str, found: Sequence[Answer]) -> str:
    called, prior = study.prior(image)
    maps = [(called, prior), *((one.label, one.map) for one in found)]
    scored = [(label, {} if shown is None else dict(study.scores(image, shown))) for label, shown in maps]
    reasons = dict.fromkeys(str(v["reason"]) for _, v in scored if v.get("reason"))
    return show.score_table(scored, dict(live.job.metrics), "; ".join(reasons))


def heads(live: Live, photo: Photo) -> str:
    """Every head of every layer of every model that has heads."""
    parts = []
    for asked in live.asked:
        if asked.layers:
            with live.lock:
                found = every_head(asked, photo.inputs[asked.backbone.image_size])
            parts.append(show.heads_table(asked.label, found, photo.width / photo.height))
        else:
            parts.append(show.message(f"{asked.label} has no attention heads."))
    return f'<div class="gt-every">{"".join(parts)}</div>'


def maps_zip(live: Live, photos: Sequence[Photo], reading: Reading) -> bytes:
    """The maps of these photos by every model, as a zip (see `zipped`)."""
    models = {asked.key: asked.label for asked in live.asked}
    size = live.job.experiment.map_size
    about: dict[str, Any] = {**VERSION, "run": live.job.run.path.name, "map_size": size, "models": models}
    about |= {"not_asked": live.silent, "scale": "each map 0..1 by itself: values of two maps cannot be compared"}
    return zipped([(photo.name, answers(live, photo, reading)) for photo in photos], about)
