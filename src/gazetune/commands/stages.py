"""The stages of an experiment in order, and what is checked before the first."""

from functools import partial
from pathlib import Path
from typing import Any

from gazetune import pipeline, processes
from gazetune.classify import classify
from gazetune.code import code_named, run_code
from gazetune.data import Stimuli
from gazetune.data.labelled import Labelled
from gazetune.data.photos import refuse_objectnet
from gazetune.errors import InputError
from gazetune.experiment import Data, Experiment
from gazetune.job import Job, input_sizes, is_prepared, pick_device
from gazetune.loading import load_data, load_labelled, other_data
from gazetune.methods import compare_methods
from gazetune.metrics.custom import chosen_metrics
from gazetune.plan import print_plan, require_parts, wrong_maps
from gazetune.progress import say
from gazetune.run import CONFIG, SUMMARY, Run
from gazetune.trackers import require_trackers
from gazetune.tracking import track_results


def execute(
    experiment: Experiment,
    run: Run,
    resume: bool,
    device: str,
    allow_code: bool,
    dry_run: bool,
    train_only: bool = False,
    regrouped: bool = False,
) -> dict[str, Any] | None:
    """All stages in order; the summary, or None where only the plan was asked for, or only training.

    regrouped: columns to compare by were named just now, so the data must be read even if the run holds them.
    """
    if dry_run:
        print_plan(experiment, run, partial(load_data, skip_bad=experiment.skip_bad))
        return None
    processes.join(pick_device(device))
    processes.on_main(partial(_refuse_to_replace, experiment, run, resume))
    labelled = _labelled(experiment)
    if experiment.data is None:
        job = make_job(experiment, run, device, allow_code)
        with run.locked():
            processes.on_main(partial(pipeline.begin, job))
            _classify_and_conclude(job, labelled)
        return summary_of(job)
    others = processes.on_main(partial(_others, experiment, train_only)) or []  # what is read is for the main one
    stimuli = processes.on_main(partial(_study, experiment, resume, regrouped))
    job = make_job(experiment, run, device, allow_code)
    processes.on_main(partial(_require_data, job, stimuli))
    with run.locked():
        processes.on_main(partial(_begin, job, stimuli))
        pipeline.train(job)
        if train_only:
            return None
        processes.on_main(partial(_prepare_others, job, others))
        for name in [job.main, *experiment.score_on]:
            evaluate_on(job, name)
        _classify_and_conclude(job, labelled)
    return summary_of(job)


def evaluate_on(job: Job, name: str) -> None:
    """Every model on the test images of a data set: maps by all processes, the rest by the main one."""
    pipeline.attend(job, name)
    processes.on_main(partial(pipeline.score, job, name))
    compare_methods(job, name)
    processes.on_main(partial(pipeline.look_for_biases, job, name))


def _classify_and_conclude(job: Job, labelled: dict[str, Labelled]) -> None:
    for name, images in labelled.items():
        classify(job, name, images, job.experiment.parity[name])
    processes.on_main(partial(pipeline.conclude, job))
    processes.on_main(partial(track_results, job))


def _refuse_to_replace(experiment: Experiment, run: Run, resume: bool) -> None:
    if run.file(CONFIG).is_file() and run.stages() and not resume:
        raise InputError(
            f"'{run.path}' already holds a run. Go on with it by adding --resume to this command (with the settings it "
            f"has: gazetune run {run.path} --resume), or choose another --output."
        )
    require_trackers(run, experiment.tracking)


def _others(experiment: Experiment, train_only: bool) -> list[Stimuli]:
    return [] if train_only else [other_data(n, source, experiment) for n, source in experiment.score_on.items()]


def _study(experiment: Experiment, resume: bool, regrouped: bool) -> Stimuli | None:
    """The experiment's own data, if they are there. Raises InputError if they cannot be used."""
    load = _load_if_there if resume and not regrouped else load_data
    stimuli = load(experiment.study, experiment.skip_bad)
    if stimuli is not None:
        photos = [path for path in stimuli.paths if path is not None]
        if experiment.learns and photos:
            refuse_objectnet(Path(str(experiment.study.path)), photos)
        require_parts(experiment, stimuli)
        wrong = [] if resume else wrong_maps(experiment, stimuli)
        if wrong:
            raise InputError(wrong[0])
    return stimuli


def _require_data(job: Job, stimuli: Stimuli | None) -> None:
    if stimuli is None and not is_prepared(job, job.main):
        raise InputError(
            f"The data of the run are not there, and '{job.run.path}' does not hold them whole. Give --data."
        )


def _begin(job: Job, stimuli: Stimuli | None) -> None:
    pipeline.begin(job)
    if stimuli is not None:
        pipeline.prepare(job, stimuli)


def _prepare_others(job: Job, others: list[Stimuli]) -> None:
    for other in others:
        pipeline.prepare(job, other, whole=True)


def _labelled(experiment: Experiment) -> dict[str, Labelled]:
    """The labelled images of an experiment whose folders are known, by name; no more of each than its limit."""
    sets = {name: settings for name, settings in experiment.parity.items() if settings.path is not None}
    if experiment.limit is not None:
        most = experiment.limit
        sets = {n: s.model_copy(update={"limit": min(s.limit or most, most)}) for n, s in sets.items()}
    return {name: load_labelled(name, settings) for name, settings in sets.items()}


def make_job(experiment: Experiment, run: Run, device: str, allow_code: bool) -> Job:
    """Everything that can be wrong before the run directory is touched: code, device, weights."""
    metrics, code = chosen_metrics(experiment.metrics, allow_code)
    for start in dict.fromkeys(model.weights or "" for model in experiment.models.values()):
        named = code_named(start)
        code |= {} if named is None else {start: run_code(named, "model")[1]}
    own = processes.join(pick_device(device))
    return Job(experiment, run, own, metrics, code, input_sizes(experiment))


def _load_if_there(data: Data, skip_bad: bool) -> Stimuli | None:
    """The data; None, said aloud, where they are gone: a run that is gone on with may hold what it needs."""
    try:
        return load_data(data, skip_bad)
    except InputError as reason:
        say(f"warning: {reason} Going on with what the run holds.")
        return None


def summary_of(job: Job) -> dict[str, Any]:
    """The run's summary.json, and what printing it takes."""
    extra = {
        "_labels": job.experiment.labels(),
        "_roles": job.experiment.roles(),
        "_metrics": job.metrics,
        "_run": job.run.path,
    }
    return {**job.run.json(SUMMARY), **extra}
