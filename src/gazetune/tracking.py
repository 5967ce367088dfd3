"""What a run tells the trackers that its experiment names: its trainings while they go on, and its results."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from torch import Tensor

from gazetune import processes
from gazetune.experiment import Entry
from gazetune.job import Job
from gazetune.run import SUMMARY
from gazetune.trackers import Tracked
from gazetune.training.state import Keeper, State


@contextmanager
def followed(job: Job, entry: Entry, keep: Keeper) -> Iterator[Keeper]:
    """A keeper that also tells the trackers what it logs; the keeper itself where none is named.

    They are opened once the log is rewound to the state that the training goes on from.
    """
    if not job.experiment.tracking or not processes.is_main():
        yield keep
        return
    tracked = _tracked(job, entry)

    def load_state() -> tuple[State, dict[str, Tensor]] | None:
        found = keep.load_state()
        tracked.begin()
        return found

    def log(line: dict[str, float | int | str]) -> None:
        keep.log(line)
        tracked.log(line)

    try:
        yield replace(keep, load_state=load_state, log=log)
    finally:
        tracked.close()


def track_results(job: Job) -> None:
    """The final numbers of every model to the trackers: mean alignment and accuracy, as in summary.json."""
    if not job.experiment.tracking:
        return
    summary = job.run.json(SUMMARY)
    for entry in job.experiment.entries():
        values = {
            f"final/{row['dataset']}/{row['metric']}": row["mean"]
            for row in summary.get("alignment", [])
            if row["model"] == entry.key and row["mean"] is not None
        }
        values |= {
            f"final/{row['dataset']}/accuracy_{row['head']}_head": row["top1"]
            for row in summary.get("accuracy", [])
            if row["model"] == entry.key and row["top1"] is not None
        }
        tracked = _tracked(job, entry)
        tracked.begin()
        tracked.results(values)
        tracked.close()


def _tracked(job: Job, entry: Entry) -> Tracked:
    """What is told of a model's settings names no folder and no weights."""
    model, settings = entry.model, job.experiment.training_of(entry.model)
    about = {"model": entry.name, "trained": model.train}
    if model.train:
        about |= {"seed": entry.seed, "targets": model.targets, "attention": job.experiment.method_of(model)}
        about |= settings.what_matters()
    return Tracked(job.run, entry.key, job.experiment.tracking, about, settings.lr)
