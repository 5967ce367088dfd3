"""From names to things: an experiment from its YAML file, a data set through its reader."""

import difflib
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import BaseModel, ValidationError

from gazetune.biases import Contrast, Region
from gazetune.data import READERS, Stimuli, load_table, read
from gazetune.data.imagenet import published_5000
from gazetune.data.labelled import Labelled
from gazetune.data.places import DATA
from gazetune.data.sources import LABELLED, read_labelled
from gazetune.data.splits import BOTH
from gazetune.data.synthetic import World, load_synthetic
from gazetune.documents import parse_yaml, read_yaml, short
from gazetune.errors import InputError
from gazetune.experiment import Data, Experiment, Model, Source
from gazetune.faithfulness import Faithfulness
from gazetune.maps import Human
from gazetune.parity.corruptions import CORRUPTIONS, IMAGENET_C
from gazetune.parity.settings import Classification
from gazetune.prepared import parts_kept
from gazetune.run import Run
from gazetune.training.settings import Training

MOST_SAID, LONGEST = 10, 500  # of what is wrong with settings: how many are said, and their letters
BUILT_IN = resources.files("gazetune") / "experiments"


def load_data(data: Data, skip_bad: bool = False) -> Stimuli:
    """The data set that an experiment names; with `skip_bad`, without the records that its reader can leave out.

    Raises InputError where it is not there or cannot be read.
    """
    if data.by and data.kind != "table":
        raise InputError(f"--by needs a column of a study's own table (--data table=FOLDER); '{data.kind}' has none.")
    if data.kind == "synthetic":
        return load_synthetic(data.world)
    if data.path is None:
        place = DATA.get(data.kind)
        get = f" '{place.command}' {place.does}." if place else ""
        raise InputError(f"The data set '{data.kind}' needs its folder: --data PATH.{get}")
    if data.images is not None and data.kind != "table":
        raise InputError(f"A folder of images can be named for the data set 'table' only, not for '{data.kind}'.")
    if data.kind == "table":
        stimuli = load_table(data.path, data.images, by=data.by)
    else:
        stimuli = read(data.kind, data.path, data.options, skip_bad)
    return _held_out(stimuli, data.held_out) if data.held_out else stimuli


def other_source(text: str) -> tuple[str, Source]:
    """Name and source of a data set that is not the run's own: READER=PATH, or READER:NAME=PATH to give it a name."""
    reader_and_name, path = name_and_path(text)
    reader, _, name = reader_and_name.partition(":")
    if not re.fullmatch(r"[A-Za-z0-9]\w*", name or reader):
        raise InputError(f"'{name}' cannot name a data set: letters, digits and _ only.")
    return name or reader, Source(kind=reader, path=str(Path(path).expanduser().absolute()))


def other_data(name: str, source: Source, experiment: Experiment, by: Sequence[str] = ()) -> Stimuli:
    """A data set to score on that is not the run's own; its images are all test images."""
    if name == experiment.study.kind:
        raise InputError(
            f"'{name}' is the run's own data set. Give the other a name: --data {source.kind}:NAME={source.path}"
        )
    data = Data(**source.model_dump(), split=experiment.study.split, by=tuple(by))
    return replace(load_data(data, experiment.skip_bad), name=name)


def load_labelled(name: str, settings: Classification) -> Labelled:
    """The labelled images that these settings name, those of the subset or at most `limit`, evenly over the classes.

    Raises InputError where they are not there or cannot be read.
    """
    if settings.path is None:
        raise InputError(f"The labelled images '{name}' need their folder: --data {name}=PATH.")
    files = {key: getattr(settings, key) for key in ("classes", "answers", "mapping")}
    given = {key: Path(value).expanduser() for key, value in files.items() if value is not None}
    labelled = read_labelled(settings.kind, settings.path, name=name, **given)
    if settings.subset is not None:
        labelled = published_5000(labelled)
    group_of = dict(zip(labelled.ids, labelled.groups, strict=True))  # each image once, however many copies there are
    if settings.limit is not None and settings.limit < len(group_of):
        seen: Counter[str] = Counter()
        rank = {image: (seen.update([group]), seen[group])[1] for image, group in group_of.items()}
        kept = set(sorted(group_of, key=lambda image: (rank[image], group_of[image]))[: settings.limit])
        labelled = labelled.take(np.array([image in kept for image in labelled.ids]))
    return labelled


def labelled_sets(data: Sequence[str], **options: Any) -> dict[str, Classification]:
    """What the command line says of labelled images: KIND[:NAME]=PATH each, with the same options for all of them.

    Corrupted images are called NAME_c, so that they can stand beside the clean ones. Raises InputError for what cannot
    be such a set.
    """
    found: dict[str, Classification] = {}
    for text in data:
        kind_and_name, found_path, path = text.partition("=")
        kind, _, name = kind_and_name.partition(":")
        if not found_path or kind not in LABELLED:
            close = difflib.get_close_matches(kind, LABELLED, 1)
            hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(LABELLED)}"
            raise InputError(f"--data needs KIND[:NAME]=PATH here; got '{text}'. Of kinds, {hint}")
        name = (name or kind) + ("_c" if options.get("corruptions") else "")
        if not re.fullmatch(r"[A-Za-z0-9]\w*", name) or name in found:
            raise InputError(f"'{name}' cannot name a set of images: letters, digits and _ only, and each name once.")
        files = {key: options[key] for key in ("classes", "answers", "mapping", "class_map") if options.get(key)}
        places = {key: _absolute(value) for key, value in {**files, "path": path}.items()}
        try:
            found[name] = Classification.model_validate({"kind": kind, **options, **places})
        except ValidationError as wrong:
            first = wrong.errors()[0]
            option = {"severities": "severity"}.get(str(first["loc"][0]), str(first["loc"][0]).replace("_", "-"))
            said = first["msg"].removeprefix("Value error, ")
            raise InputError(f"--{option}: {said}; got {first['input']!r}") from None
    return found


def _absolute(path: str) -> str:
    there = Path(path).expanduser()
    return str(there.absolute()) if there.exists() else path


def chosen_corruptions(text: str | None) -> tuple[str, ...]:
    """The corruptions that the command line names: `imagenet-c`, `all`, or names with commas."""
    known = {None: (), "imagenet-c": IMAGENET_C, "all": tuple(CORRUPTIONS)}
    return known[text] if text in known else tuple(part.strip() for part in str(text).split(","))


def severities_of(text: str) -> tuple[int, ...]:
    """Severities with commas between them. Raises InputError for what is no number."""
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise InputError(f"--severity needs whole numbers from 1 to 5, e.g. 5 or 1,3,5; got '{text}'.") from None


def name_and_path(text: str, default: str | None = None) -> tuple[str, str]:
    """`READER[:NAME]=PATH` taken apart; without a reader, the default's."""
    name, found, path = text.partition("=")
    if not found:
        if default is None:
            raise InputError(f"--data needs NAME=PATH here, NAME being one of {', '.join(READERS)}; got '{text}'.")
        return default, text
    if name.partition(":")[0] not in READERS:
        raise InputError(f"--data {text}: there is no data set '{name}'; there are {', '.join(READERS)}.")
    return name, path


def trained_on(run: Run, kind: str) -> dict[str, str]:
    """The images of a data set that the models of a run were trained or chosen on: image -> its part."""
    return {i: "validation" if part == BOTH else part for i, part in parts_kept(run, kind).items() if part != "test"}


def _held_out(stimuli: Stimuli, runs: tuple[str, ...]) -> Stimuli:
    """The data set with a given split: what one of these runs was trained or chosen on keeps its part."""
    used: dict[str, str] = {}
    for run in runs:
        used = trained_on(Run(run), stimuli.name) | used
    return replace(stimuli, given_split=tuple(used.get(i, "test") for i in stimuli.ids))


def experiment_names() -> list[str]:
    """The experiments that come with the package."""
    return sorted(p.name.removesuffix(".yaml") for p in BUILT_IN.iterdir() if p.name.endswith(".yaml"))


def load_experiment(name: str, overrides: tuple[str, ...] = ()) -> Experiment:
    """An experiment by built-in name or YAML file, with `key.sub=value` settings laid over it.

    Raises InputError naming the file, the key and the nearest known key.
    """
    built_in = BUILT_IN / f"{name}.yaml"
    path = Path(name).expanduser()
    if not built_in.is_file() and not path.is_file():
        close = difflib.get_close_matches(name, experiment_names(), 1)
        hint = f"Did you mean '{close[0]}'?" if close else f"There are: {', '.join(experiment_names())}."
        raise InputError(f"There is no experiment and no YAML file '{name}'. {hint}")
    settings = parse_yaml(built_in.read_text(), f"'{name}'") if built_in.is_file() else read_yaml(path)
    if not isinstance(settings, dict) or not all(isinstance(key, str) for key in settings):
        raise InputError(f"'{name}' must be a table of settings, as in gazetune's experiments/osie.yaml.")
    for override in overrides:
        lay_over(settings, override)
    return parse(settings, name)


def parse(settings: dict[str, Any], name: str) -> Experiment:
    """A checked Experiment from plain settings. Raises InputError as `load_experiment` does."""
    try:
        return Experiment.model_validate(settings)
    except ValidationError as wrong:
        said = [short(_in_words(error), LONGEST) for error in wrong.errors(include_context=False)]
        more = f"; and {len(said) - MOST_SAID} more" if len(said) > MOST_SAID else ""
        raise InputError(f"{name}: " + "; ".join(said[:MOST_SAID]) + more) from None
    except (RecursionError, OverflowError, TypeError) as reason:  # of what no setting is
        raise InputError(f"{name}: a setting that cannot be one ({short(reason)}).") from None


def lay_over(settings: dict[str, Any], override: str) -> None:
    """Lay `key.sub=value` over plain settings. Raises InputError if it is not of that form."""
    key, found, value = override.partition("=")
    if not found:
        raise InputError(f"--set needs key=value, for example --set training.lr=2e-5; got '{override}'.")
    *path, last = key.split(".")
    for step in path:
        settings = settings.setdefault(step, {})
        if not isinstance(settings, dict):
            raise InputError(f"--set {override}: '{step}' is a value, not a table of settings.")
    parsed = parse_yaml(value, f"--set {override}:")
    try:
        settings[last] = float(value) if isinstance(parsed, str) else parsed  # YAML reads 2e-5 as text
    except ValueError:
        settings[last] = parsed


def _in_words(error: Any) -> str:
    place = ".".join(str(part) for part in error["loc"] if part not in ("modulo", "hash", "given", "all_test"))
    if error["type"] != "extra_forbidden":
        return (
            f"'{place}': {error['msg'].removeprefix('Value error, ')}"
            if place
            else error["msg"].removeprefix("Value error, ")
        )
    known = _fields_at(error["loc"][:-1])
    close = difflib.get_close_matches(str(error["loc"][-1]), known, 1)
    return f"there is no setting '{place}'; " + (
        f"did you mean '{close[0]}'?" if close else f"there are {', '.join(known)}"
    )


def _fields_at(path: tuple[str | int, ...]) -> list[str]:
    """The settings that exist at a place of an experiment."""
    places: dict[str, type[BaseModel]] = {
        "data": Data, "world": World, "human": Human, "models": Model, "training": Training,
        "faithfulness": Faithfulness,
        "contrasts": Contrast, "a": Region, "b": Region, "also": Region,
    }  # fmt: skip
    found: type[BaseModel] = Experiment
    for part in path:
        found = places.get(str(part), found)
    return list(found.model_fields)
