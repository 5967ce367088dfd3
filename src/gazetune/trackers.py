"""Trackers beside log.jsonl: TensorBoard, trackio and Weights & Biases through accelerate's classes, none by default.

Nothing is imported before one is named, and nothing is sent unless `wandb-online` is.
"""

import os
import shutil
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from functools import partial
from importlib import import_module
from io import StringIO
from pathlib import Path
from typing import Any, Literal

from gazetune.errors import InputError
from gazetune.progress import say
from gazetune.run import Json, Run

Tracker = Literal["tensorboard", "trackio", "wandb", "wandb-online"]
PACKAGE = {"tensorboard": "torch.utils.tensorboard", "trackio": "trackio", "wandb": "wandb", "wandb-online": "wandb"}
PROJECT = "gazetune"  # of trackio and W&B; a tracker's run in it is called RUN/MODEL
NO_VALUE = ("model", "step", "split", "seconds")  # of a line of the log
# what makes these packages send: to a Space, to a server, on errors. The setting alone decides
SENDING = ("TRACKIO_SPACE_ID", "TRACKIO_SERVER_URL", "TRACKIO_WEBHOOK_URL", "TRACKIO_BUCKET_ID", "TRACKIO_DATASET_ID")
HELD = {"WANDB_ERROR_REPORTING": "false", "TRACKIO_STORAGE_MODE": "sqlite"}  # one process writes, whatever the disk


def tracking_folder(run: Run, tracker: Tracker) -> str:
    """Where a tracker writes, absolute: RUN/tracking/TRACKER."""
    return str(run.file(f"tracking/{tracker}").absolute())


def require_trackers(run: Run, trackers: Sequence[Tracker]) -> None:
    """Import the packages of these trackers, as they must be for this run.

    Raises InputError for one that is missing, and where trackio, which has one folder for a whole process, was imported
    with another.
    """
    for tracker in trackers:
        try:
            with _held_back(TRACKIO_DIR=tracking_folder(run, "trackio")):
                import_module("accelerate.tracking")
                import_module(PACKAGE[tracker])
        except ImportError as reason:
            raise InputError(
                f"tracking: {tracker} needs packages that are not installed ({reason}). Install them: pip install "
                f'"gazetune[track]"; or leave the setting out.'
            ) from reason
    if "trackio" in trackers:
        folder = str(import_module("trackio.utils").TRACKIO_DIR)
        if folder != tracking_folder(run, "trackio"):
            raise InputError(
                f"trackio keeps one folder for a whole process, here '{folder}', and this run's is "
                f"'{tracking_folder(run, 'trackio')}'. Start this run in a process of its own."
            )


class Tracked:
    """One model of a run in the trackers that were named; one that fails is named once and then left alone."""

    def __init__(
        self, run: Run, key: str, trackers: Sequence[Tracker], settings: Mapping[str, Json], lr: float
    ) -> None:
        self._run, self._key, self._trackers = run, key, trackers
        self._settings, self._lr = settings, lr
        self._open: dict[Tracker, Any] = {}  # GeneralTracker of accelerate
        self._last = 0

    def begin(self) -> None:
        """Open the trackers anew with what log.jsonl says of the model: no step is missing, and none there twice."""
        lines = [line for line in self._run.log_lines() if line["model"] == self._key]
        for tracker in self._trackers:
            self._do(tracker, partial(self._begin_one, tracker, lines))

    def log(self, line: Mapping[str, Json]) -> None:
        """A line as in log.jsonl: split/TERM of its step, and the learning rate of a training step."""
        for tracker in list(self._open):
            self._do(tracker, partial(self._log_one, tracker, line))

    def results(self, values: Mapping[str, float]) -> None:
        """Final numbers, at the last step of the training."""
        for tracker, opened in list(self._open.items()):
            self._do(tracker, partial(opened.log, dict(values), step=self._last))

    def close(self) -> None:
        """Finish all that are open."""
        for tracker, opened in list(self._open.items()):
            self._do(tracker, opened.finish)
        self._open = {}

    def _begin_one(self, tracker: Tracker, lines: Sequence[Mapping[str, Json]]) -> None:
        import_module("accelerate").PartialState()  # its trackers ask it whether they are in the first process
        self._open[tracker] = OPEN[tracker](self._run, self._key, dict(self._settings))
        for line in lines:
            self._log_one(tracker, line)

    def _log_one(self, tracker: Tracker, line: Mapping[str, Json]) -> None:
        values = {f"{line['split']}/{k}": float(v) for k, v in line.items() if k not in NO_VALUE and v is not None}
        if line["split"] == "train":
            values["train/lr"] = self._lr
        self._last = line["step"]
        self._open[tracker].log(values, step=self._last)

    def _do(self, tracker: Tracker, work: Callable[[], None]) -> None:
        """Whatever a tracker raises must not end a training of hours."""
        try:
            cache = str(self._run.file("tracking/cache").absolute())
            with _held_back(WANDB_CACHE_DIR=cache), redirect_stdout(StringIO()):  # stdout is for our own tables
                work()
        except Exception as reason:
            self._open.pop(tracker, None)
            say(
                f"warning: the tracker {tracker} failed ({type(reason).__name__}: {reason}). '{self._key}' goes on "
                f"without it; log.jsonl has everything, and gazetune run {self._run.path} --resume tells it again."
            )


def _tensorboard(run: Run, key: str, settings: dict[str, Json]) -> Any:
    from accelerate.tracking import TensorBoardTracker

    folder = Path(tracking_folder(run, "tensorboard"))
    for before in folder.glob(f"*/{key}"):  # the run may have had another name
        shutil.rmtree(before)
    tracker = TensorBoardTracker(_name(run, key), folder, purge_step=0)  # a page that is open forgets what it has read
    tracker.start()
    # not as its hyperparameters, which would be a run of their own
    tracker.log({"settings": "\n".join(f"    {k}: {v}" for k, v in settings.items())}, step=0)
    return tracker


def _trackio(run: Run, key: str, settings: dict[str, Json]) -> Any:
    from accelerate.tracking import TrackioTracker
    from trackio.api import Api

    there = list(Api().runs(PROJECT)) if Path(tracking_folder(run, "trackio"), f"{PROJECT}.db").is_file() else []
    for before in there:
        if before.name.endswith(f"/{key}"):
            before.delete()
    alone: dict[str, Any] = {"embed": False, "auto_log_gpu": False, "auto_log_cpu": False}  # no page, no machine
    tracker = TrackioTracker(PROJECT, name=_name(run, key), config=settings, resume="never", **alone)
    tracker.start()
    tracker.finish = import_module("trackio").finish  # which also forgets it: else it is finished, aloud, at the exit
    return tracker


def _wandb(run: Run, key: str, settings: dict[str, Json]) -> Any:
    folder = f"{tracking_folder(run, 'wandb')}/{key}"
    shutil.rmtree(folder, ignore_errors=True)
    return _weights_and_biases(run, key, settings, folder, mode="offline")


def _wandb_online(run: Run, key: str, settings: dict[str, Json]) -> Any:
    """Its run is gone on with by its id; W&B itself drops steps that it has already."""
    name = f"tracking/wandb-online/{key}/id.json"
    kept = run.json(name, {}) or {"id": uuid.uuid4().hex[:12]}
    run.write_json(name, kept)
    folder = f"{tracking_folder(run, 'wandb-online')}/{key}"
    return _weights_and_biases(run, key, settings, folder, mode="online", id=kept["id"], resume="allow")


def _weights_and_biases(run: Run, key: str, settings: dict[str, Json], folder: str, **how: Any) -> Any:
    """A run of W&B that says nothing of the machine, the code or what is printed."""
    import wandb
    from accelerate.tracking import WandBTracker

    Path(folder).mkdir(parents=True, exist_ok=True)  # else wandb writes elsewhere
    silent = {"silent": True, "console": "off", "disable_git": True, "disable_code": True, "x_disable_meta": True}
    silent |= {"x_disable_stats": True, "x_disable_machine_info": True, "x_save_requirements": False}
    tracker = WandBTracker(
        PROJECT, name=_name(run, key), config=settings, dir=folder, settings=wandb.Settings(**silent), **how
    )
    tracker.start()
    return tracker


# what opens a tracker for a model of a run: without doubles of what was there
OPEN: dict[Tracker, Callable[[Run, str, dict[str, Json]], Any]] = {
    "tensorboard": _tensorboard,
    "trackio": _trackio,
    "wandb": _wandb,
    "wandb-online": _wandb_online,
}


def _name(run: Run, key: str) -> str:
    return f"{run.path.absolute().name}/{key}"


@contextmanager
def _held_back(**also: str) -> Iterator[None]:
    """Within it no variable of the environment makes a tracker send, and huggingface_hub, of which trackio would ask
    the user's name, is offline.
    """
    from huggingface_hub import constants

    held = {**HELD, **also}
    before = {name: os.environ.get(name) for name in (*SENDING, *held)}
    was_offline = constants.HF_HUB_OFFLINE
    try:
        for name in SENDING:
            os.environ.pop(name, None)
        os.environ.update(held)
        constants.HF_HUB_OFFLINE = True
        yield
    finally:
        constants.HF_HUB_OFFLINE = was_offline
        for name, value in before.items():
            os.environ.pop(name, None) if value is None else os.environ.update({name: value})
