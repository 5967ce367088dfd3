"""Models of a run on its own or other images: `score`, `biases`, `parity`."""

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from gazetune import pipeline, processes
from gazetune.classify import classify
from gazetune.code import allow
from gazetune.commands.settings import grouped, of_models, of_run, with_methods, with_palette
from gazetune.commands.stages import evaluate_on, make_job, summary_of
from gazetune.data import Stimuli
from gazetune.data.labelled import Labelled
from gazetune.data.sources import LABELLED
from gazetune.errors import InputError
from gazetune.experiment import Experiment, Source
from gazetune.job import is_prepared
from gazetune.loading import (
    labelled_sets,
    load_data,
    load_labelled,
    other_data,
    other_source,
)
from gazetune.parity.corruptions import not_run
from gazetune.parity.settings import Classification
from gazetune.run import CONFIG, Run


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
    palette: str | None = None,
) -> dict[str, Any]:
    """Score the models of a run: again on its own test images, or on other data sets, READER[:NAME]=PATH.

    by: columns of the data sets that are scored, by which observers or images are compared. objects: read the run's
    own data set again if the run does not hold its objects. attention: methods, with commas between, by which the
    models are scored besides their own; steps, precision: of deletion and insertion (see Faithfulness). palette: of the
    figures, in place of the experiment's. Raises
    InputError for other data if a model has ready-made maps: there are none of other images, and files of the same
    names would be taken for theirs.
    """
    allow(allow_code)
    run = Run(path)
    experiment = of_run(run)
    ready = [name for name, model in experiment.models.items() if model.maps is not None]
    if data and ready:
        raise InputError(
            f"'{ready[0]}' has ready-made maps, which belong to the run's own images and cannot be scored on other "
            f"data. Compare on those: gazetune compare --data READER=PATH --model ... --maps FOLDER, with their maps."
        )
    if skip_bad:
        experiment = experiment.model_copy(update={"skip_bad": True})
    experiment = with_palette(with_methods(experiment, attention, steps, precision), palette)
    job = make_job(experiment, run, device, allow_code)
    sources = dict(other_source(text) for text in data)
    taken = [name for name in sources if f"parity/{name}" in run.stages()]
    if taken:
        raise InputError(f"'{taken[0]}' is a set of labelled images of this run. Name the data READER:NAME=PATH.")

    def prepare(others: list[Stimuli]) -> None:
        if not is_prepared(job, job.main) or (by and not others) or (objects and not others):
            own = experiment.study if others else grouped(experiment, by or ()).study
            pipeline.prepare(job, load_data(own, experiment.skip_bad))
        for stimuli in others:
            pipeline.prepare(job, stimuli, whole=True)

    read = partial(_other_data, sources, experiment, by or ())
    others = processes.on_main(read) or []  # what is read is for the main process
    with run.locked():
        processes.on_main(partial(prepare, others))
        for name in list(sources) or [job.main]:
            evaluate_on(job, name)
        processes.on_main(partial(pipeline.conclude, job))
    return summary_of(job)


def _other_data(sources: Mapping[str, Source], experiment: Experiment, by: Sequence[str]) -> list[Stimuli]:
    return [other_data(name, source, experiment, by) for name, source in sources.items()]


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
    palette: str | None = None,
) -> dict[str, Any] | None:
    """Classify labelled images with the models of a run, or with models named here, and compare them.

    path: a run directory; without it `models`, [NAME=]WEIGHTS, the first of which is the reference, and `output`.
    data: KIND[:NAME]=PATH; without it the sets that the run's own experiment names. options: see Classification.
    """
    allow(allow_code)
    sets = labelled_sets(data, **options)
    if (path is None) == (not models):
        raise InputError(
            "Name a run, or models (the first is the reference), not both: gazetune parity RUN --data KIND=PATH, or "
            "gazetune parity --model A=WEIGHTS --model B=WEIGHTS --data KIND=PATH. See gazetune parity --help."
        )
    run = Run(path or output or Path("runs") / "parity")
    if path is not None:
        experiment = of_run(run)
        sets = sets or dict(experiment.parity)
    plain = Classification(kind="folder").model_dump()
    asked = sorted(key for key, value in options.items() if plain[key] != value)
    if not data and asked:
        raise InputError(f"{', '.join(asked)}: such options are of the images named with --data, and none are named.")
    if not sets:
        raise InputError(f"Which images? --data KIND[:NAME]=PATH; there are the kinds {', '.join(LABELLED)}.")
    if path is None:
        experiment = of_models(models, sets)
        if run.file(CONFIG).is_file() and run.stages() and not (resume or dry_run):
            raise InputError(
                f"'{run.path}' already holds a run. Classify more with its models: gazetune parity {run.path} --data "
                f"...; go on with this one by --resume; or choose another --output."
            )
    if experiment.data is not None and experiment.data.kind in sets:
        raise InputError(f"'{experiment.data.kind}' is the run's own data set. Give the images a name: KIND:NAME=PATH")
    replaced = [] if resume else [name for name, settings in sets.items() if _is_other(run, name, settings)]
    if replaced:
        raise InputError(
            f"'{replaced[0]}' was classified in this run with other settings or images, which this would replace. Give "
            f"the images another name (KIND:NAME=PATH), or replace what is there by --resume."
        )
    scored = [name for name in sets if f"fixations/{name}" in run.stages()]
    if scored:
        raise InputError(
            f"'{scored[0]}' is a data set that the run scored. Give the images another name: KIND:NAME=PATH"
        )
    changed = {"skip_bad": skip_bad or experiment.skip_bad} | ({"batch_size": batch_size} if batch_size else {})
    experiment = with_palette(experiment.model_copy(update=changed), palette)
    loaded = {name: load_labelled(name, settings) for name, settings in sets.items()}
    if dry_run:  # before the processes join: only the main one does it
        _print_sets(experiment, run, loaded, sets)
        return None
    job = make_job(experiment, run, device, allow_code)
    with run.locked():
        if path is None:
            processes.on_main(partial(pipeline.begin, job))
        for name, settings in sets.items():
            classify(job, name, loaded[name], settings)
        processes.on_main(partial(pipeline.conclude, job))
    return summary_of(job)


def _print_sets(
    experiment: Experiment, run: Run, loaded: Mapping[str, Labelled], sets: Mapping[str, Classification]
) -> None:
    """Print what would be classified: a plan."""
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


def _is_other(run: Run, name: str, settings: Classification) -> bool:
    """Whether the run holds results of that name that were made with other settings."""
    before = run.stages().get(f"parity/{name}")
    asked = settings.model_dump(mode="json", exclude={"corruptions"})  # those that cannot be made here were left out
    return before is not None and any(before["inputs"]["settings"].get(key) != value for key, value in asked.items())
