"""One frozen model = one YAML file = one experiment."""

import difflib
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from gazetune.attention import METHODS
from gazetune.data import OPTIONS, READERS
from gazetune.data.splits import Split
from gazetune.data.synthetic import World
from gazetune.errors import InputError
from gazetune.folder import default_folder
from gazetune.maps import MAP_SIZE, Human
from gazetune.metrics import METRICS
from gazetune.training.settings import Training
from gazetune.training.targets import TARGETS

BUILT_IN = resources.files("gazetune") / "experiments"


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Data(_Frozen):
    """Which images and fixations: a reader, where its files lie, its own options, the rule that splits them."""

    kind: str
    path: str | None = None
    options: dict[str, Any] = {}
    world: World | None = None
    split: Split

    @model_validator(mode="after")
    def _reader_exists(self) -> "Data":
        _known(self.kind, (*READERS, "synthetic"), "data set")
        if self.options and self.kind not in OPTIONS:
            raise ValueError(f"the data set '{self.kind}' has no options; {', '.join(OPTIONS)} has")
        for name in self.options:
            _known(name, OPTIONS[self.kind].model_fields, f"option of '{self.kind}'")
        try:
            if self.options:
                OPTIONS[self.kind].model_validate(self.options)
        except ValidationError as wrong:
            first = wrong.errors()[0]
            raise ValueError(f"options.{first['loc'][0]}: {first['msg']}; got {first['input']!r}") from None
        return self


class Model(_Frozen):
    """One row of the table of models: where it starts, whether it is tuned, and towards what."""

    weights: str
    train: Annotated[bool, BeforeValidator(lambda value: False if value == "none" else value)] = False
    targets: str = "true_pairs"
    label: str | None = None

    @model_validator(mode="after")
    def _targets_exist(self) -> "Model":
        _known(self.targets, TARGETS, "kind of targets")
        return self


class Entry(_Frozen):
    """One trained or untrained model of a run: a row of `models` for one seed. Its key names files and table rows."""

    name: str
    model: Model
    seed: int | None

    @property
    def key(self) -> str:
        """`baseline`, or `tuned-s42`."""
        return self.name if self.seed is None else f"{self.name}-s{self.seed}"


class Experiment(_Frozen):
    """A whole experiment, as its YAML file says it."""

    name: str = Field(pattern=r"^[A-Za-z0-9][\w.-]*$")
    data: Data
    human: Human = Human()
    models: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9]\w*$")], Model] = Field(min_length=1)
    reference: str
    attention: str = "rollout"
    metrics: tuple[str, ...] = tuple(METRICS)
    training: Training = Training()
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(42,), min_length=1)
    image_size: int | None = Field(default=None, gt=0)
    map_size: int = Field(default=MAP_SIZE, gt=0)
    limit: int | None = Field(default=None, gt=0)
    batch_size: int = Field(default=16, gt=0)
    skip_bad: bool = False

    @model_validator(mode="after")
    def _names_exist(self) -> "Experiment":
        _known(self.reference, self.models, "model (as the reference)")
        _known(self.attention, METHODS, "attention method")
        for metric in self.metrics:
            if ":" not in metric:
                _known(metric, METRICS, "metric")
        reserved = {"human", "human_half", "mean_training_map"} & set(self.models)
        if reserved:
            raise ValueError(f"'{reserved.pop()}' is a row of every table and cannot name a model")
        return self

    def entries(self) -> tuple[Entry, ...]:
        """Every model to be had: trained ones once per seed, untrained ones once."""
        return tuple(
            Entry(name=name, model=model, seed=seed)
            for name, model in self.models.items()
            for seed in (self.seeds if model.train else (None,))
        )

    def labels(self) -> dict[str, str]:
        """What each model is called in figures and reports, by key."""

        def label(entry: Entry) -> str:
            several = len(self.seeds) > 1 and entry.seed is not None
            return (entry.model.label or entry.name) + (f" (seed {entry.seed})" if several else "")

        return {entry.key: label(entry) for entry in self.entries()}

    def roles(self) -> dict[str, str]:
        """Each model's part, by key: `reference`, `tuned` (true pairs), `control` (other targets) or `other`."""

        def role(entry: Entry) -> str:
            if entry.name == self.reference:
                return "reference"
            return "other" if entry.seed is None else "tuned" if entry.model.targets == "true_pairs" else "control"

        return {entry.key: role(entry) for entry in self.entries()}

    @property
    def default_output(self) -> Path:
        """Where the run goes if nobody says otherwise."""
        return default_folder(self.name, self.seeds)


def _known(name: str, known: Any, what: str) -> None:
    if name not in known:
        close = difflib.get_close_matches(name, list(known), 1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(known)}"
        raise ValueError(f"there is no {what} '{name}'; {hint}")


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
    text = built_in.read_text() if built_in.is_file() else path.read_text(encoding="utf-8")
    try:
        settings = yaml.safe_load(text)
    except yaml.YAMLError as reason:
        raise InputError(f"'{name}' is not valid YAML: {reason}") from None
    if not isinstance(settings, dict):
        raise InputError(f"'{name}' must be a table of settings, as in gazetune's experiments/osie.yaml.")
    for override in overrides:
        _lay_over(settings, override)
    return parse(settings, name)


def parse(settings: dict[str, Any], name: str) -> Experiment:
    """A checked Experiment from plain settings. Raises InputError as `load_experiment` does."""
    try:
        return Experiment.model_validate(settings)
    except ValidationError as wrong:
        raise InputError(f"{name}: " + "; ".join(_in_words(error) for error in wrong.errors())) from None


def _lay_over(settings: dict[str, Any], override: str) -> None:
    key, found, value = override.partition("=")
    if not found:
        raise InputError(f"--set needs key=value, for example --set training.lr=2e-5; got '{override}'.")
    *path, last = key.split(".")
    for step in path:
        settings = settings.setdefault(step, {})
        if not isinstance(settings, dict):
            raise InputError(f"--set {override}: '{step}' is a value, not a table of settings.")
    parsed = yaml.safe_load(value)
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
    }  # fmt: skip
    found: type[BaseModel] = Experiment
    for part in path:
        found = places.get(str(part), found)
    return list(found.model_fields)
