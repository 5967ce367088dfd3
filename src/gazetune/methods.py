"""The stages that put the same models through other attention methods: maps, deletion and insertion, scores."""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

from jaxtyping import UInt8
from torch import Tensor

from gazetune import processes
from gazetune.attention import METHODS, fitting
from gazetune.attention.extract import read_maps, write_maps
from gazetune.backbones import weights_hash
from gazetune.data.decoded import batch_of
from gazetune.errors import InputError
from gazetune.estimate import in_words
from gazetune.experiment import Entry
from gazetune.explained import classes_of, method_inputs, prepare_classes
from gazetune.faithfulness import RANDOM, faithfulness, passes_per_second, random_order
from gazetune.job import VERSION, Job, data_stages, made_by, on_device, weights_of
from gazetune.progress import say
from gazetune.provenance import fingerprint
from gazetune.tables.methods import areas_name, method_folder, write_methods

Maps = dict[tuple[str, str], str]  # key of a model, name of a method -> the folder of its maps


def compare_methods(job: Job, name: str) -> None:
    """Every model by every method that was asked for, beside its own, on the test images of a data set.

    Writes `scores/NAME-methods.csv`. Nothing to do where no other method was asked for. A method that a model does not
    give what it needs is left out, and so are ready-made maps.
    """
    entries = {entry.key: entry for entry in job.experiment.entries() if entry.model.maps is None}
    if not job.experiment.methods or not entries:
        return
    maps: Maps = {}
    for key, entry in entries.items():
        for method in _methods_of(job, entry):
            maps[key, method] = _extract(job, name, entry, method)
    _say_how_long(job, name, entries, maps)
    for key, method in _areas(job, maps):
        _ask(job, name, entries[key], method, maps.get((key, method)))
    test, training = job.prepared(name), job.prepared(job.main)
    work = partial(write_methods, job.run, test, training, job.models, maps, job.metrics, _areas(job, maps))
    job.run.stage(f"methods/{name}", _inputs(job, name, maps), work)


def method_tables(job: Job, name: str) -> dict[str, str]:
    """The files of `compare_methods` with their sha256, if they are of the models and scores as they are now."""
    stage = f"methods/{name}"
    done = job.run.stages()
    if stage not in done:
        return {}
    try:
        job.run.verify(stage)
    except InputError as reason:
        say(f"warning: {reason}")
        return {}
    if done[stage]["inputs"]["scores"] != made_by(job, f"score/{name}"):
        say(f"the methods on '{name}' were compared with other models and are left out: gazetune score --attention")
        return {}
    return made_by(job, stage)


def _methods_of(job: Job, entry: Entry) -> Iterator[str]:
    """The model's own method, then the others that fit it."""
    own = job.experiment.method_of(entry.model)
    yield own
    fit = fitting(on_device(job, entry.model.start))
    for method in dict.fromkeys(job.experiment.methods):
        if method not in fit:
            say(
                f"'{entry.key}' cannot be explained by '{method}', which needs {METHODS[method].needs}, and is left "
                f"out there; methods that fit it: {', '.join(fit) or 'none'}"
            )
        elif method != own:
            yield method


def _by(entry: Entry, method: str) -> Entry:
    return entry.model_copy(update={"model": entry.model.model_copy(update={"attention": method})})


def _extract(job: Job, name: str, entry: Entry, method: str) -> str:
    """The maps of a model by one method, and the folder where they lie."""
    own = method == job.experiment.method_of(entry.model)
    folder = method_folder(name, entry.key, None if own else method)
    if own:
        return folder
    by, data, weights = _by(entry, method), job.prepared(name), weights_of(job, entry)
    rows = data.rows("test")
    inputs = {
        "weights": weights_hash(weights),
        **method_inputs(job, by),
        "image_size": job.experiment.image_size,
        "images": fingerprint(data.table["image"].iloc[rows].tolist()),
        "data": made_by(job, *data_stages(job, name, entry.model.start)),
    } | VERSION
    prepare_classes(job, by, data)

    def work() -> list[str]:
        backbone, pixels = on_device(job, weights), data.pixels(job.sizes[entry.model.start])
        classes = classes_of(job, by, data, rows, backbone)
        size = job.experiment.batch_size
        return write_maps(job.run, folder, fingerprint(inputs), backbone, pixels, rows, METHODS[method], size, classes)

    job.run.stage(folder, inputs, work, shared=True)
    return folder


def _ask(job: Job, name: str, entry: Entry, method: str, folder: str | None) -> None:
    """Deletion and insertion of a model by one of its maps or, without a folder, by a random order."""
    data, weights, settings = job.prepared(name), weights_of(job, entry), job.experiment.faithfulness
    tested, file = data.rows("test"), areas_name(name, entry.key, method)
    asked = settings.chosen(len(tested))
    rows = tested[asked]
    inputs = {
        "weights": weights_hash(weights),
        "image_size": job.experiment.image_size,
        "images": fingerprint(data.table["image"].iloc[rows].tolist()),
        "data": made_by(job, *data_stages(job, name, entry.model.start)),
        "maps": {} if folder is None else made_by(job, folder),
        "faithfulness": settings.model_dump(),
    } | VERSION

    def work() -> list[str]:
        backbone, pixels = on_device(job, weights), data.pixels(job.sizes[entry.model.start])
        maps = random_order(len(tested), backbone.grid) if folder is None else read_maps(job.run, folder)["grid"]

        def images(start: int, stop: int) -> UInt8[Tensor, "batch 3 h w"]:
            return batch_of(pixels, rows[start:stop], job.device)

        what = f"deletion and insertion {entry.key} {method}"
        found = faithfulness(backbone, images, maps[asked], settings, job.experiment.batch_size, what)
        found.insert(0, "image", data.table["image"].to_numpy()[rows])
        return [processes.from_main(partial(job.run.write_table, file, found))]

    job.run.stage(_areas_stage(name, entry.key, method), inputs, work, shared=True)


def _say_how_long(job: Job, name: str, entries: Mapping[str, Entry], maps: Maps) -> None:
    """How many passes of the models deletion and insertion will take, and how long: from two batches of each start."""
    settings, done = job.experiment.faithfulness, job.run.stages()
    left = [(key, method) for key, method in _areas(job, maps) if _areas_stage(name, key, method) not in done]
    each = len(settings.chosen(len(job.prepared(name).rows("test")))) * (2 * settings.steps + 1)
    rates: dict[str, float] = {}
    for start in dict.fromkeys(entries[key].model.start for key, _ in left):
        rates[start] = passes_per_second(on_device(job, start), settings, job.experiment.batch_size)
    if left:
        seconds = sum(each / rates[entries[key].model.start] for key, _ in left)
        say(
            f"deletion and insertion: {each:,} passes for each of {len(left)} pairs of model and method, about "
            f"{in_words(seconds)} here; --steps sets how many steps, --steps 0 leaves them out"
        )


def _areas_stage(name: str, key: str, method: str) -> str:
    return f"faithfulness/{name}/{key}/{method.replace(' ', '_')}"


def _areas(job: Job, maps: Maps) -> list[tuple[str, str]]:
    """Of which models and methods deletion and insertion were done."""
    if not job.experiment.faithfulness.steps:
        return []
    return [*maps, *((key, RANDOM) for key in dict.fromkeys(key for key, _ in maps))]


def _inputs(job: Job, name: str, maps: Maps) -> dict[str, Any]:
    asked = (_areas_stage(name, key, method) for key, method in _areas(job, maps))
    return {
        "scores": made_by(job, f"score/{name}"),
        "maps": {folder: made_by(job, folder) for folder in maps.values()},
        "areas": made_by(job, *asked),
        "methods": [list(pair) for pair in maps],
        "metrics": list(job.metrics),
        "code": dict(job.code),
    } | VERSION
