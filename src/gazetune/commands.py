"""What the commands do: settings from the command line, the stages in order, the summary back."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
import torch
import yaml

from gazetune import pipeline
from gazetune.attention import METHODS
from gazetune.backbones import absolute
from gazetune.classify import classify
from gazetune.code import allow, code_named, run_code
from gazetune.comparison import comparison, model_table, without_training_images
from gazetune.data import READERS, Stimuli
from gazetune.data.sources import LABELLED
from gazetune.data.splits import TESTED
from gazetune.errors import InputError
from gazetune.experiment import CONTROLS, Data, Experiment, with_controls
from gazetune.export import export_model
from gazetune.job import Job, input_sizes, is_prepared, pick_device
from gazetune.loading import (
    experiment_names,
    labelled_sets,
    lay_over,
    load_data,
    load_experiment,
    load_labelled,
    name_and_path,
    other_data,
    parse,
)
from gazetune.methods import compare_methods
from gazetune.metrics import METRICS
from gazetune.metrics.custom import chosen_metrics
from gazetune.parity.corruptions import CORRUPTIONS
from gazetune.parity.settings import Classification
from gazetune.plan import parts_of, print_plan, print_sets, require_parts, wrong_maps
from gazetune.progress import say
from gazetune.report.found import Subject
from gazetune.report.reproduce import beside, missed, tolerances, write_reproduction
from gazetune.run import CONFIG, SUMMARY, Run
from gazetune.training.loop import resolved_precision
from gazetune.training.targets import TARGETS


def run_experiment(
    experiment: str,
    data: Sequence[str] | None = None,
    weights: str | None = None,
    output: Path | None = None,
    resume: bool = False,
    limit: int | None = None,
    seeds: str | None = None,
    controls: str | None = None,
    device: str = "auto",
    precision: str | None = None,
    skip_bad: bool = False,
    dry_run: bool = False,
    settings: Sequence[str] | None = None,
    allow_code: bool = False,
    by: Sequence[str] | None = None,
    train_only: bool = False,
    protocol: str | None = None,
    measure: bool = True,
) -> dict[str, Any] | None:
    """Run all stages of an experiment (or, with `dry_run`, print the plan) and return its summary.

    protocol: `paper` stops early on a part of the test images. measure: whether the plan tells the time it will take.
    """
    allow(allow_code)
    chosen, output = _resolved(experiment, output, resume, settings or ())
    chosen = _with_protocol(chosen, protocol)
    chosen = _grouped(chosen, by or ())
    chosen = _with_options(
        chosen, data or (), weights, limit, seeds, controls, precision, skip_bad, pick_device(device)
    )
    run = Run(output or chosen.default_output)
    if dry_run:
        print_plan(chosen, run, partial(load_data, skip_bad=chosen.skip_bad), pick_device(device) if measure else None)
        return None
    return _execute(chosen, run, resume, device, allow_code, dry_run, train_only, bool(by))


def compare_models(
    models: Sequence[str],
    maps: Sequence[str],
    data: str | None = None,
    images: Path | None = None,
    fixations: Path | None = None,
    output: Path | None = None,
    held_out: bool = False,
    all_images: bool = False,
    resume: bool = False,
    limit: int | None = None,
    device: str = "auto",
    skip_bad: bool = False,
    dry_run: bool = False,
    settings: Sequence[str] | None = None,
    allow_code: bool = False,
    by: Sequence[str] | None = None,
) -> dict[str, Any] | None:
    """Score models and folders of maps against the same observers, training nothing, and return the summary."""
    allow(allow_code)
    given = comparison(models, maps, data, images, fixations)
    given |= {"limit": limit} if limit is not None else {}
    given |= {"skip_bad": True} if skip_bad else {}
    for setting in settings or ():
        lay_over(given, setting)
    chosen = _grouped(parse(given, "compare"), by or ())
    if not all_images:
        chosen = without_training_images(chosen, held_out)
    run = Run(output or Path("runs") / "compare")
    return _execute(chosen, run, resume, device, allow_code, dry_run, regrouped=bool(by))


def _execute(
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
    if run.file(CONFIG).is_file() and run.stages() and not resume:
        raise InputError(
            f"'{run.path}' already holds a run. Go on with it by adding --resume to this command (with the settings it "
            f"has: gazetune run {run.path} --resume), or choose another --output."
        )
    labelled = {name: load_labelled(name, settings) for name, settings in experiment.parity.items()}
    if experiment.data is None:
        job = _job(experiment, run, device, allow_code)
        with run.locked():
            pipeline.begin(job)
            for name, images in labelled.items():
                classify(job, name, images, experiment.parity[name])
            pipeline.conclude(job)
        return _summary(job)
    load = _load_if_there if resume and not regrouped else load_data
    stimuli = load(experiment.study, experiment.skip_bad)
    if stimuli is not None:
        require_parts(experiment, parts_of(experiment, stimuli))
        wrong = [] if resume else wrong_maps(experiment, stimuli)
        if wrong:
            raise InputError(wrong[0])
    job = _job(experiment, run, device, allow_code)
    if stimuli is None and not is_prepared(job, job.main):
        raise InputError(f"The data of the run are not there, and '{run.path}' does not hold them whole. Give --data.")
    with run.locked():
        pipeline.begin(job)
        if stimuli is not None:
            pipeline.prepare(job, stimuli)
        pipeline.train(job)
        if train_only:
            return None
        pipeline.attend(job, job.main)
        pipeline.score(job, job.main)
        compare_methods(job, job.main)
        pipeline.look_for_biases(job, job.main)
        for name, images in labelled.items():
            classify(job, name, images, experiment.parity[name])
        pipeline.conclude(job)
    return _summary(job)


def score_run(
    path: Path,
    data: Sequence[str],
    device: str = "auto",
    skip_bad: bool = False,
    allow_code: bool = False,
    by: Sequence[str] | None = None,
    objects: bool = False,
    attention: str | None = None,
    steps: int | None = None,
    precision: str | None = None,
) -> dict[str, Any]:
    """Score the models of a run: again on its own test images, or on other data sets, READER[:NAME]=PATH.

    by: columns of the data sets that are scored, by which observers or images are compared. objects: read the run's
    own data set again if the run does not hold its objects. attention: methods, with commas between, by which the
    models are scored besides their own; steps, precision: of deletion and insertion (see Faithfulness). Raises
    InputError for other data if a model has ready-made maps: there are none of other images, and files of the same
    names would be taken for theirs.
    """
    allow(allow_code)
    run = Run(path)
    experiment = _of_run(run)
    ready = [name for name, model in experiment.models.items() if model.maps is not None]
    if data and ready:
        raise InputError(
            f"'{ready[0]}' has ready-made maps, which belong to the run's own images and cannot be scored on other "
            f"data. Compare on those: gazetune compare --data READER=PATH --model ... --maps FOLDER, with their maps."
        )
    if skip_bad:
        experiment = experiment.model_copy(update={"skip_bad": True})
    experiment = _with_methods(experiment, attention, steps, precision)
    job = _job(experiment, run, device, allow_code)
    others = [other_data(text, experiment, by or ()) for text in data]
    with run.locked():
        if not is_prepared(job, job.main) or (by and not others) or (objects and not others):
            own = experiment.study if others else _grouped(experiment, by or ()).study
            pipeline.prepare(job, load_data(own, experiment.skip_bad))
        for stimuli in others:
            pipeline.prepare(job, stimuli, whole=True)
        for name in [stimuli.name for stimuli in others] or [job.main]:
            pipeline.attend(job, name)
            pipeline.score(job, name)
            compare_methods(job, name)
            pipeline.look_for_biases(job, name)
        pipeline.conclude(job)
    return _summary(job)


def classify_images(
    path: Path | None,
    data: Sequence[str],
    models: Sequence[str],
    options: Mapping[str, Any],
    output: Path | None = None,
    resume: bool = False,
    batch_size: int | None = None,
    device: str = "auto",
    skip_bad: bool = False,
    dry_run: bool = False,
    allow_code: bool = False,
) -> dict[str, Any] | None:
    """Classify labelled images with the models of a run, or with models named here, and compare them.

    path: a run directory; without it `models`, [NAME=]WEIGHTS, the first of which is the reference, and `output`.
    data: KIND[:NAME]=PATH; without it the sets that the run's own experiment names. options: see Classification.
    """
    allow(allow_code)
    sets = labelled_sets(data, **options)
    if (path is None) == (not models):
        raise InputError("Name a run, or the models with --model WEIGHTS (the first is the reference), not both.")
    run = Run(path or output or Path("runs") / "parity")
    if path is not None:
        experiment = _of_run(run)
        sets = sets or dict(experiment.parity)
    if not sets:
        raise InputError(f"Which images? --data KIND[:NAME]=PATH; there are the kinds {', '.join(LABELLED)}.")
    if path is None:
        experiment = _of_models(models, sets)
        if run.file(CONFIG).is_file() and run.stages() and not (resume or dry_run):
            raise InputError(
                f"'{run.path}' already holds a run. Classify more with its models: gazetune parity {run.path} --data "
                f"...; go on with this one by --resume; or choose another --output."
            )
    if experiment.data is not None and experiment.data.kind in sets:
        raise InputError(f"'{experiment.data.kind}' is the run's own data set. Give the images a name: KIND:NAME=PATH")
    changed = {"skip_bad": skip_bad or experiment.skip_bad} | ({"batch_size": batch_size} if batch_size else {})
    experiment = experiment.model_copy(update=changed)
    loaded = {name: load_labelled(name, settings) for name, settings in sets.items()}
    job = _job(experiment, run, device, allow_code)
    if dry_run:
        print_sets(experiment, run, loaded, sets)
        return None
    with run.locked():
        if path is None:
            pipeline.begin(job)
        for name, settings in sets.items():
            classify(job, name, loaded[name], settings)
        pipeline.conclude(job)
    return _summary(job)


def _of_models(models: Sequence[str], sets: Mapping[str, Classification]) -> Experiment:
    """An experiment in which models only classify; the first is the reference."""
    table = model_table(models)
    parity = {name: settings.model_dump(mode="json") for name, settings in sets.items()}
    return parse({"name": "parity", "models": table, "reference": next(iter(table)), "parity": parity}, "parity")


def export_run(path: Path, model: str, to: str, form: str = "huggingface", onnx: bool = False) -> str:
    """Write a tuned model of a run where others can use it, with a model card; returns what was written, in words."""
    run = Run(path)
    return export_model(run, _of_run(run), model, to, form, onnx)


def _with_methods(
    experiment: Experiment, attention: str | None, steps: int | None, precision: str | None
) -> Experiment:
    """The experiment with other attention methods to score by, where they are named."""
    settings = experiment.model_dump(exclude_none=True)
    settings["methods"] = settings["methods"] if attention is None else [m.strip() for m in attention.split(",")]
    settings["faithfulness"] |= {} if steps is None else {"steps": steps}
    settings["faithfulness"] |= {} if precision is None else {"precision": precision}
    return parse(settings, "--attention")


def _job(experiment: Experiment, run: Run, device: str, allow_code: bool) -> Job:
    """Everything that can be wrong before the run directory is touched: code, device, weights."""
    metrics, code = chosen_metrics(experiment.metrics, allow_code)
    for start in dict.fromkeys(model.weights or "" for model in experiment.models.values()):
        named = code_named(start)
        code |= {} if named is None else {start: run_code(named, "model")[1]}
    return Job(experiment, run, pick_device(device), metrics, code, input_sizes(experiment))


def _load_if_there(data: Data, skip_bad: bool) -> Stimuli | None:
    """The data; None, said aloud, where they are gone: a run that is gone on with may hold what it needs."""
    try:
        return load_data(data, skip_bad)
    except InputError as reason:
        say(f"warning: {reason} Going on with what the run holds.")
        return None


def inventory() -> dict[str, list[str]]:
    """Everything that can be named on the command line or in a YAML file."""
    return {
        "experiments": experiment_names(),
        "data sets": [*READERS, "synthetic"],
        "metrics": list(METRICS),
        "attention methods": list(METHODS),
        "targets": list(TARGETS),
        "controls": list(CONTROLS),
        "labelled images": list(LABELLED),
        "corruptions": list(CORRUPTIONS),
        "runs": [str(p.parent) for p in sorted(Path("runs").glob(f"*/{CONFIG}"))],
    }


def _summary(job: Job) -> dict[str, Any]:
    extra = {
        "_labels": job.experiment.labels(),
        "_roles": job.experiment.roles(),
        "_metrics": job.metrics,
        "_run": job.run.path,
    }
    return {**job.run.json(SUMMARY), **extra}


def _grouped(experiment: Experiment, by: Sequence[str]) -> Experiment:
    """The experiment with other columns to compare by, where there are any."""
    if not by:
        return experiment
    return experiment.model_copy(update={"data": experiment.study.model_copy(update={"by": tuple(by)})})


def _resolved(name: str, output: Path | None, resume: bool, settings: Sequence[str]) -> tuple[Experiment, Path | None]:
    """The experiment by name or file; or, for a run directory, the one it was made with."""
    run = Run(name)
    if not run.file(CONFIG).is_file():
        return load_experiment(name, tuple(settings)), output
    if not resume:
        raise InputError(f"'{name}' is a run. Go on with it: gazetune run {name} --resume")
    return load_experiment(str(run.file(CONFIG)), tuple(settings)), output or run.path


def _of_run(run: Run) -> Experiment:
    if not run.file(CONFIG).is_file():
        raise InputError(f"'{run.path}' is not a run: it has no {CONFIG}. Make one with gazetune run.")
    return parse(yaml.safe_load(run.file(CONFIG).read_text("utf-8")), str(run.file(CONFIG)))


def _with_options(
    experiment: Experiment,
    data: Sequence[str],
    weights: str | None,
    limit: int | None,
    seeds: str | None,
    controls: str | None,
    precision: str | None,
    skip_bad: bool,
    device: torch.device,
) -> Experiment:
    """The experiment with the options of the command line in place of its own settings."""
    settings = experiment.model_dump(exclude_none=True)
    for text in data:
        name, path = name_and_path(text, experiment.study.kind)
        if name != experiment.study.kind:
            raise InputError(
                f"The experiment '{experiment.name}' has no data set '{name}', it uses '{experiment.study.kind}'."
            )
        settings["data"]["path"] = str(Path(path).expanduser().absolute())
    if weights is not None:
        for model in (m for m in settings["models"].values() if "maps" not in m):
            model["weights"] = absolute(weights)
    if seeds is not None:
        try:
            settings["seeds"] = tuple(int(s) for s in seeds.split(","))
        except ValueError:
            raise InputError(f"--seeds needs whole numbers, e.g. 0,1,2; got '{seeds}'.") from None
    if controls is not None:
        try:
            settings = with_controls(settings, tuple(c.strip() for c in controls.split(",")))
        except ValueError as reason:
            raise InputError(f"--controls {controls}: {reason}") from None
    if limit is not None:
        settings["limit"] = limit
    settings["skip_bad"] = skip_bad or experiment.skip_bad
    if precision is not None:
        settings["training"]["precision"] = precision
    if (
        settings["training"]["precision"] == "auto"
    ):  # written down as what it is, so that going on elsewhere is the same
        settings["training"]["precision"] = resolved_precision("auto", device)
    return parse(settings, experiment.name)


def reproduce_run(path: Path, check: Path | None = None) -> tuple[Subject, pd.DataFrame, list[str]]:
    """Every number of the paper beside the run's: reproduce.csv and reproduce.html; and what misses its tolerance."""
    run = Run(path)
    experiment = _of_run(run)
    allowed = tolerances(check) if check is not None else {}
    subject = Subject(run, experiment.model_dump(mode="json"), experiment.roles())
    table = beside(subject)
    with run.locked():
        write_reproduction(subject, table)
    return subject, table, missed(table, allowed)


def _with_protocol(experiment: Experiment, protocol: str | None) -> Experiment:
    """The experiment with another rule of what early stopping looks at. Raises InputError for an unknown one."""
    if protocol is None:
        return experiment
    if protocol != "paper":
        raise InputError(f"--protocol can be 'paper': stop early on a tenth of the test images; got '{protocol}'.")
    data = experiment.study
    split = data.split.model_copy(update={"stop_on": TESTED})
    return experiment.model_copy(update={"data": data.model_copy(update={"split": split})})
