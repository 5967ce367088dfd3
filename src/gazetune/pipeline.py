"""The stages of an experiment, in the order of the paper's Methods; each can be done again from the run's files."""

import shlex
import sys
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from gazetune import processes
from gazetune.attention import METHODS
from gazetune.attention.extract import write_maps
from gazetune.attention.ready import find_maps, write_ready
from gazetune.backbones import weights_hash
from gazetune.classify import classified
from gazetune.data import Stimuli
from gazetune.data.splits import Whole, is_in, members
from gazetune.errors import InputError
from gazetune.experiment import Entry
from gazetune.explained import classes_of, method_inputs, prepare_classes
from gazetune.figures.palette import look_of
from gazetune.figures.write import write_figures
from gazetune.files import sha256_file
from gazetune.heads import attend_heads, head_tables
from gazetune.job import VERSION, Job, data_stages, made_by, on_device, weights_of
from gazetune.methods import method_tables
from gazetune.prepared import Prepared, chosen, prepare_photos, prepare_points, write_levels
from gazetune.progress import say
from gazetune.provenance import environment, fingerprint
from gazetune.report.explorer import EXPLORER, write_explorer
from gazetune.report.html import write_report
from gazetune.report.thumbnails import write_thumbnails
from gazetune.run import CONFIG, PROVENANCE, plain
from gazetune.tables.biases import write_biases, write_objects
from gazetune.tables.rows import maps_folder
from gazetune.tables.scores import write_scores
from gazetune.tables.summary import write_tables
from gazetune.tuning import require_images, train

NO_FOLDER = "no folder was given: --data {}=PATH"

__all__ = ["attend", "begin", "conclude", "look_for_biases", "prepare", "score", "train"]


def begin(job: Job) -> None:
    """Write down what is about to be done, and with what."""
    job.run.write_yaml(CONFIG, job.experiment.model_dump(mode="json", exclude_none=True))
    record = job.run.record()
    command = shlex.join(["gazetune", *(a for a in sys.argv[1:] if a != "--resume")])
    about = {**environment(job.device), "command": command, "code": dict(job.code)}
    job.run.write_json(PROVENANCE, {**record, **about})


def prepare(job: Job, stimuli: Stimuli, whole: bool = False) -> None:
    """Human data: fixations to the map grid; photos decoded once at every input size that a model needs.

    `whole`: a data set that nothing was trained on, of which every image is a test image.
    """
    experiment, name = job.experiment, stimuli.name
    split = Whole(rule="all_test") if whole else experiment.study.split
    limited = experiment.limited
    subset, parts = chosen(stimuli, split, None if whole else experiment.limit, limited)
    data, human, size = subset.fingerprint(), experiment.human, experiment.map_size
    inputs = {"data": data, "split": fingerprint(parts), "human": human.model_dump(), "map_size": size}
    points = partial(prepare_points, job.run, name, subset, parts, human, size)
    job.run.stage(f"fixations/{name}", inputs | VERSION, points)
    # photos that no model will see are not decoded
    seen = np.array([any(is_in(part, of) for of in limited) for part in parts], dtype=bool)
    for shape in sorted(set(job.sizes.values())):
        photos = partial(prepare_photos, job.run, name, subset, shape, experiment.skip_bad, seen)
        stage = f"photos/{name}/{shape[0]}x{shape[1]}"
        taken = {"data": data, "skip_bad": experiment.skip_bad, "parts": limited}
        job.run.stage(stage, taken | VERSION, photos)
    work = partial(write_thumbnails, job.run, subset, parts)
    job.run.stage(f"thumbnails/{name}", {"data": data, "split": fingerprint(parts)} | VERSION, work)
    if stimuli.levels:  # a file of its own: other groups are no reason to train or to score again
        groups = partial(write_levels, job.run, name, stimuli.levels)
        job.run.stage(f"groups/{name}", {"data": data, "levels": fingerprint(stimuli.levels)} | VERSION, groups)
    if stimuli.find_objects is not None:
        tested = subset.take(members(parts, "test"))
        work = partial(write_objects, job.run, name, tested, size)
        job.run.stage(f"objects/{name}", inputs | VERSION, work)


def attend(job: Job, name: str) -> None:
    """Attention extraction: the map of every model on every test image, in float32; ready-made maps are taken in."""
    data = job.prepared(name)
    require_images(data, "test")
    for entry in job.experiment.entries():
        if entry.model.maps is None:
            _extract(job, data, entry)
        else:
            processes.on_main(partial(_take_in, job, data, entry, entry.model.maps))
    attend_heads(job, name)


def _extract(job: Job, data: Prepared, entry: Entry) -> None:
    weights, rows, folder = weights_of(job, entry), data.rows("test"), maps_folder(data.name, entry.key)
    inputs = {
        "weights": weights_hash(weights),
        **method_inputs(job, entry),
        "image_size": job.experiment.image_size,
        "images": fingerprint(data.table["image"].iloc[rows].tolist()),
        "data": made_by(job, *data_stages(job, data.name, entry.model.start)),
    } | VERSION
    prepare_classes(job, entry, data)

    def work() -> list[str]:
        backbone, pixels = on_device(job, weights), data.pixels(job.sizes[entry.model.start])
        method, batch_size = METHODS[job.experiment.method_of(entry.model)], job.experiment.batch_size
        classes = classes_of(job, entry, data, rows, backbone)
        return write_maps(job.run, folder, fingerprint(inputs), backbone, pixels, rows, method, batch_size, classes)

    job.run.stage(f"attention/{data.name}/{entry.key}", inputs, work, shared=True)


def _take_in(job: Job, data: Prepared, entry: Entry, source: str) -> None:
    """A folder of ready-made maps into the run; where it is gone, what the run holds of these very maps is kept.

    Raises InputError if the folder is gone and the run holds maps from elsewhere, of other images or other settings.
    """
    ids, size = data.table["image"].iloc[data.rows("test")].tolist(), job.experiment.map_size
    stage, folder = f"attention/{data.name}/{entry.key}", maps_folder(data.name, entry.key)
    wanted = {"images": fingerprint(ids), "map_size": size, "skip_bad": job.experiment.skip_bad}
    place = str(Path(source).expanduser().absolute())
    if not Path(place).is_dir() and stage in job.run.stages():
        held = job.run.stages()[stage]["inputs"]
        other = [key for key, value in {**wanted, "source": place}.items() if held.get(key) != value]
        if other:
            raise InputError(
                f"The folder of maps '{source}' does not exist, and the maps of '{entry.key}' that the run holds were "
                f"made with other {', '.join(other)}. Give the folder of its maps."
            )
        job.run.verify(stage)
        say(f"'{source}' is gone; {entry.key} is scored with the maps that the run holds")
        return
    files = find_maps(source, ids, job.experiment.skip_bad)
    inputs = {"maps": fingerprint([(image, sha256_file(path)) for image, path in files.items()]), **wanted} | VERSION
    work = partial(write_ready, job.run, folder, fingerprint(inputs), files, ids, size, job.experiment.skip_bad)
    job.run.stage(stage, inputs | {"source": place}, work)  # the shards do not say where they came from


def score(job: Job, name: str) -> None:
    """Alignment metrics: humans, the mean training map and every model on the same test images."""
    for used in {name, job.main}:
        job.run.verify(f"fixations/{used}")
    test, training = _test_and_training(job, name)
    how = {entry.key: job.experiment.method_of(entry.model) for entry in job.experiment.entries()}
    work = partial(write_scores, job.run, test, training, job.models, how, job.metrics)
    job.run.stage(f"score/{name}", _score_inputs(job, name), work)


def _test_and_training(job: Job, name: str) -> tuple[Prepared, Prepared]:
    test = job.prepared(name)
    return test, test if name == job.main else job.prepared(job.main)


def _score_inputs(job: Job, name: str) -> dict[str, Any]:
    return {
        "maps": made_by(job, *(f"attention/{name}/{key}" for key in job.models)),
        "fixations": made_by(job, f"fixations/{name}", f"fixations/{job.main}"),
        "metrics": list(job.metrics),
        "code": dict(job.code),
        "models": job.models,
    } | VERSION


def look_for_biases(job: Job, name: str) -> None:
    """Contrasts of regions and sparsity, for humans, priors and models, where the data set has objects."""
    if not _has_objects(job, name):
        return
    for used in (f"objects/{name}", f"fixations/{name}", f"fixations/{job.main}"):
        job.run.verify(used)
    (test, training), experiment = _test_and_training(job, name), job.experiment
    work = partial(write_biases, job.run, test, training, job.models, experiment.roles(), experiment.contrasts)
    job.run.stage(f"biases/{name}", _bias_inputs(job, name), work)


def _has_objects(job: Job, name: str) -> bool:
    """Whether the run holds the objects of this very data set."""
    stages, objects, fixations = job.run.stages(), f"objects/{name}", f"fixations/{name}"
    return objects in stages and stages[objects]["inputs"]["data"] == stages[fixations]["inputs"]["data"]


def _bias_inputs(job: Job, name: str) -> dict[str, Any]:
    return {
        "maps": made_by(job, *(f"attention/{name}/{key}" for key in job.models)),
        "objects": made_by(job, f"objects/{name}"),
        "fixations": made_by(job, f"fixations/{name}", f"fixations/{job.main}"),
        "contrasts": {key: c.model_dump(mode="json") for key, c in job.experiment.contrasts.items()},
        "roles": job.experiment.roles(),
    } | VERSION


def conclude(job: Job) -> None:
    """Tests, summary, figures, report and explorer, over every data set scored and classified with these models."""
    scored = {name: files for name, files in _scored(job).items() if _is_current(job, name)}
    labelled = classified(job)
    about = {"experiment": job.experiment.name, "reference": job.experiment.reference}
    roles, labels, sizes = job.experiment.roles(), job.experiment.labels(), sorted(set(job.sizes.values()))
    if not scored and not labelled:
        raise InputError(f"Nothing in '{job.run.path}' is scored with these models. Score it: gazetune score.")
    first = next(iter(scored), None)  # the run's own data set, where it is scored
    data = made_by(job, *(stage for name in scored for stage in data_stages(job, name)))
    inputs = {
        "scores": scored,
        "classified": labelled,
        "without": sorted(n for n, settings in job.experiment.parity.items() if settings.path is None),
        "data": data,
        "training": made_by(job, *(f"train/{k}" for k in roles)),
        "roles": roles,
        **about,
    }
    without = {n: NO_FOLDER.format(n) for n, s in job.experiment.parity.items() if s.path is None and n not in labelled}
    heads = head_tables(job, scored)
    named = list(heads), list(labelled), without
    tables = partial(write_tables, job.run, scored, roles, list(job.metrics), sizes, about, *named)
    job.run.stage("tables", inputs | {"heads": heads} | VERSION, tables)
    shown = {"tables": made_by(job, "tables"), "data": data, "labels": labels, "roles": roles} | VERSION
    # of the figures alone: other colours are no reason to compute anything again
    look = look_of(roles, labels, job.experiment.palette, job.experiment.figure_formats)
    how = {"palette": job.experiment.palette, "formats": job.experiment.figure_formats}
    job.run.stage("figures", shown | how, partial(write_figures, job.run, first, roles, look, job.metrics, sizes))
    _explore(job, scored, shown)
    settings = job.experiment.model_dump(mode="json", exclude={"tracking"})  # no result depends on it
    done = sorted(set(job.run.stages()) - {"report"})
    page = {"figures": made_by(job, "figures"), "settings": settings, "stages": done}
    linked = {"explorer": job.run.file(EXPLORER).is_file()}
    write = partial(write_report, job.run, first, settings, roles, labels, job.metrics)
    job.run.stage("report", shown | page | linked, write)


def _explore(job: Job, scored: dict[str, dict[str, str]], shown: dict[str, Any]) -> None:
    """explorer.html, of the data sets that are scored; `shown` is what its tables were made of."""
    roles, labels, sizes = job.experiment.roles(), job.experiment.labels(), sorted(set(job.sizes.values()))
    pictures = [file for name in scored for file in _thumbnails(job, name)]
    maps = fingerprint(made_by(job, *(f"attention/{name}/{key}" for name in scored for key in roles)))
    work = partial(write_explorer, job.run, scored, roles, labels, job.metrics, sizes, pictures)
    job.run.stage("explorer", shown | {"maps": maps, "pictures": fingerprint(pictures)}, work)


def _thumbnails(job: Job, name: str) -> dict[str, str]:
    """The small photos of this very data set, with their sha256; none where it was not at hand."""
    stages, pictures, fixations = job.run.stages(), f"thumbnails/{name}", f"fixations/{name}"
    same = pictures in stages and stages[pictures]["inputs"]["data"] == stages[fixations]["inputs"]["data"]
    return stages[pictures]["outputs"] if same else {}


def _scored(job: Job) -> dict[str, dict[str, str]]:
    """Every data set that was scored, the run's own first, and the files that were written, with their sha256."""
    stages = job.run.stages()
    done = {s.removeprefix("score/"): r["outputs"] for s, r in stages.items() if s.startswith("score/")}
    for name in done:
        groups = stages.get(f"groups/{name}")
        if groups and groups["inputs"]["data"] == stages[f"fixations/{name}"]["inputs"]["data"]:
            done[name] |= groups["outputs"]
        biases = stages.get(f"biases/{name}")
        if biases and _has_objects(job, name) and biases["inputs"] == plain(_bias_inputs(job, name)):
            done[name] |= biases["outputs"]
        done[name] = {**done[name], **method_tables(job, name)}
    return dict(sorted(done.items(), key=lambda item: item[0] != job.main)) if done else {}


def _is_current(job: Job, name: str) -> bool:
    """Whether a data set was scored with the models as they are now; if not, says so."""
    stages = job.run.stages()
    try:
        job.run.verify(f"score/{name}")
        fresh = stages[f"score/{name}"]["inputs"] == plain(_score_inputs(job, name)) and all(
            stages[f"attention/{name}/{e.key}"]["inputs"]["weights"] == weights_hash(weights_of(job, e))
            for e in job.experiment.entries()
            if e.model.maps is None
        )
    except InputError as reason:
        say(f"warning: {reason}")
        fresh = False
    if not fresh:
        say(f"'{name}' was scored with other models or settings and is left out; score it again: gazetune score")
    return fresh
