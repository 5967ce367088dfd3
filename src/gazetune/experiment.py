"""One frozen model = one YAML file = one experiment."""

import difflib
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from gazetune.attention import METHODS
from gazetune.biases import BIASES, Contrast
from gazetune.data import OPTIONS, READERS
from gazetune.data.splits import NAMES, Split, SplitName
from gazetune.data.synthetic import World
from gazetune.errors import InputError
from gazetune.faithfulness import Faithfulness
from gazetune.figures.palette import DEFAULT, FORMATS, Format, PaletteName
from gazetune.folder import default_folder
from gazetune.maps import MAP_SIZE, Human
from gazetune.metrics import METRICS
from gazetune.parity.settings import Classification
from gazetune.tables.rows import ROWS
from gazetune.trackers import Tracker
from gazetune.training.settings import Training
from gazetune.training.targets import TARGETS

FOR_ALL = ("precision", "batch_size", "checkpoint_seconds", "shuffle_seed")  # of training: the same for every model


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Source(_Frozen):
    """A reader, where its files lie, and the reader's own options."""

    kind: str
    path: str | None = None
    options: dict[str, Any] = {}

    @model_validator(mode="after")
    def _reader_exists(self) -> "Source":
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


class Data(Source):
    """Which images and fixations: a source, and the rule that splits its images.

    images: the folder of the photos, where the reader cannot know it. held_out: runs whose training and validation
    images keep those parts here, whatever the rule, so that models from these runs are tested on the others.
    by: columns of the study's table that hold a group of observers or a condition of images.
    """

    images: str | None = None
    held_out: tuple[str, ...] = ()
    world: World | None = None
    split: Split
    by: tuple[str, ...] = ()


class Model(_Frozen):
    """One row of the table of models: where it starts, whether it is tuned, and towards what.

    weights: a hub name, a folder, `timm:NAME`, FILE.safetensors, `tiny`, or code (FILE.py:FUNCTION[@FOLDER]); or maps:
    a folder of ready-made saliency maps. attention: its method, where it is not the experiment's. training: what
    differs from the experiment's `training` for this model.
    """

    weights: str | None = None
    maps: str | None = None
    train: Annotated[bool, BeforeValidator(lambda value: False if value == "none" else value)] = False
    targets: str = "true_pairs"
    attention: str | None = None
    training: dict[str, Annotated[int | float | str | None, Field(union_mode="left_to_right")]] = {}
    label: str | None = None

    @model_validator(mode="after")
    def _fits_together(self) -> "Model":
        _known(self.targets, TARGETS, "kind of targets")
        if (self.weights is None) == (self.maps is None):
            raise ValueError("a model has either weights or a folder of maps")
        if self.maps is not None and self.train:
            raise ValueError("a folder of maps cannot be trained")
        if self.attention is not None:
            _known(self.attention, METHODS, "attention method")
        for setting in self.training:
            _known(setting, [name for name in Training.model_fields if name not in FOR_ALL], "setting of one model")
        return self

    @property
    def start(self) -> str:
        """The weights; asked of a model that has them."""
        if self.weights is None:
            raise ValueError(f"a model of ready-made maps has no weights: {self.maps}")
        return self.weights


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
    """A whole experiment, as its YAML file says it.

    data: the study with fixations; none where no model learns and images are only classified. parity: sets of labelled
    images to classify, by name. score_on: other data sets to score the models on, by name. methods:
    attention methods by which every model is scored besides its own; faithfulness: how deletion and insertion are
    then done of each. target: the class that attention methods made of gradients explain: of the frozen start that
    a model was tuned from (teacher), of the model itself (own), or the image's label. tracking: where losses and
    results are told besides log.jsonl; no result depends on it. palette: of the figures; figure_formats: in which
    those that show data are written, besides PNG.
    """

    name: str = Field(pattern=r"^[A-Za-z0-9][\w.-]*$")
    data: Data | None = None
    human: Human = Human()
    models: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9]\w*$")], Model] = Field(min_length=1)
    reference: str
    attention: str = "rollout"
    target: Literal["teacher", "own", "label"] = "teacher"
    methods: tuple[str, ...] = ()
    faithfulness: Faithfulness = Faithfulness()
    metrics: tuple[str, ...] = tuple(METRICS)
    contrasts: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9]\w*$")], Contrast] = {}
    parity: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9]\w*$")], Classification] = {}
    score_on: dict[Annotated[str, Field(pattern=r"^[A-Za-z0-9]\w*$")], Source] = {}
    training: Training = Training()
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(42,), min_length=1)
    image_size: Annotated[int | tuple[int, int] | None, BeforeValidator(lambda size: _pixels(size))] = None
    map_size: int = Field(default=MAP_SIZE, gt=0)
    limit: int | None = Field(default=None, gt=0)
    batch_size: int = Field(default=16, gt=0)
    skip_bad: bool = False
    heads: bool = True
    tracking: Annotated[tuple[Tracker, ...], BeforeValidator(lambda named: _trackers(named))] = ()
    palette: PaletteName = DEFAULT
    figure_formats: tuple[Format, ...] = FORMATS

    @model_validator(mode="after")
    def _names_exist(self) -> "Experiment":
        _known(self.reference, self.models, "model (as the reference)")
        for method in (self.attention, *self.methods):
            _known(method, METHODS, "attention method")
        for metric in self.metrics:
            if ":" not in metric:
                _known(metric, METRICS, "metric")
        for model in self.models.values():
            self.training_of(model)
        taken = {*BIASES, "sparsity"} & set(self.contrasts)
        if taken:
            raise ValueError(f"'{taken.pop()}' is an analysis of every run and cannot name a contrast")
        if self.data is None and (self.learns or not self.parity):
            raise ValueError("an experiment needs `data`, images with fixations, or only `parity`, images with labels")
        if self.data is not None and self.data.kind in self.parity:
            raise ValueError(f"'{self.data.kind}' is the study's name and cannot name a set of labelled images")
        reserved = set(ROWS) & set(self.models)
        if reserved:
            raise ValueError(f"'{reserved.pop()}' is a row of every table and cannot name a model")
        return self

    def training_of(self, model: Model) -> Training:
        """The settings by which a model is tuned: the experiment's, and what is the model's own."""
        return Training.model_validate({**self.training.model_dump(), **model.training})

    def method_of(self, model: Model) -> str:
        """The name of the attention method by which a model is tuned and scored."""
        return model.attention or self.attention

    def entries(self) -> tuple[Entry, ...]:
        """Every model to be had: trained ones once per seed, untrained ones once."""
        return tuple(
            Entry(name=name, model=model, seed=seed)
            for name, model in self.models.items()
            for seed in (self.seeds if model.train else (None,))
        )

    @property
    def study(self) -> Data:
        """The images with fixations. Raises InputError where there are none: images were only classified."""
        if self.data is None:
            raise InputError(f"'{self.name}' has no images with fixations; its models only classify: gazetune parity.")
        return self.data

    @property
    def learns(self) -> bool:
        """Whether any model of it is tuned."""
        return any(model.train for model in self.models.values())

    @property
    def limited(self) -> tuple[SplitName, ...]:
        """The parts that `limit` holds for: where no model learns, the test alone, for priors want all other images."""
        return NAMES if self.learns else ("test",)

    def labels(self) -> dict[str, str]:
        """What each model is called in figures and reports, by key."""

        def label(entry: Entry) -> str:
            several = len(self.seeds) > 1 and entry.seed is not None
            return (entry.model.label or entry.name) + (f" (seed {entry.seed})" if several else "")

        return {entry.key: label(entry) for entry in self.entries()}

    def roles(self) -> dict[str, str]:
        """Each model's part, by key: `reference`, `tuned` (true pairs), `control` (else) or `other`."""

        def role(entry: Entry) -> str:
            if entry.name == self.reference:
                return "reference"
            true = entry.model.targets == "true_pairs" and self.training_of(entry.model).lambda_attention > 0
            return "other" if entry.seed is None else "tuned" if true else "control"

        return {entry.key: role(entry) for entry in self.entries()}

    @property
    def default_output(self) -> Path:
        """Where the run goes if nobody says otherwise."""
        return default_folder(self.name, self.seeds)


def _pixels(size: Any) -> Any:
    """An input size as it may be said: a side, or [height, width]; None: the model's own."""
    sides = size if isinstance(size, list | tuple) and len(size) == 2 else (size,)
    if size is not None and not all(isinstance(side, int) and side > 0 and side is not True for side in sides):
        raise ValueError(f"needed a side in pixels, such as 224, or [height, width], such as [224, 336]; got {size}")
    return size


def _trackers(named: Any) -> Any:
    """Trackers as they may be said: one, several with commas between, or a list; none; each once."""
    names = [part.strip() for part in named.split(",")] if isinstance(named, str) else named
    names = [] if names in (None, False, ["none"], [""]) else names
    if not isinstance(names, list | tuple):
        raise ValueError(f"needed a tracker or a list of them; got {named!r}")
    for name in names:
        _known(str(name), get_args(Tracker), "tracker")
    if {"wandb", "wandb-online"} <= set(names):
        raise ValueError("'wandb' keeps everything here and 'wandb-online' sends it; name one of them")
    return tuple(dict.fromkeys(names))


def _known(name: str, known: Any, what: str) -> None:
    if name not in known:
        close = difflib.get_close_matches(name, list(known), 1)
        hint = f"did you mean '{close[0]}'?" if close else f"there are {', '.join(known)}"
        raise ValueError(f"there is no {what} '{name}'; {hint}")


# name of a control -> what it is drawn towards, and its own settings
CONTROLS: dict[str, dict[str, Any]] = {
    "shuffled": {"targets": "shuffled"},
    "centre": {"targets": "centre"},
    "uniform": {"targets": "uniform"},
    "distillation": {"targets": "true_pairs", "training": {"lambda_attention": 0.0}},
}


def with_controls(settings: dict[str, Any], names: tuple[str, ...]) -> dict[str, Any]:
    """The settings of an experiment with controls added, each as the first tuned model but for what makes it a control.

    It starts from the same weights and has the model's own training settings. A control that the experiment has
    already (same targets, same weight of the attention term), whatever its name, is not added again. Raises ValueError
    for an unknown control, if no model is tuned, or if another model has the control's name.
    """
    weight = settings.get("training", {}).get("lambda_attention", Training().lambda_attention)

    def drawn(model: dict[str, Any]) -> tuple[str, float]:
        """Towards what and how strongly; without an attention term the targets do not matter."""
        own = model.get("training", {}).get("lambda_attention", weight)
        return (model.get("targets", "true_pairs") if own else "", own)

    learning = [m for m in settings["models"].values() if m.get("train") is True]
    if not learning:
        raise ValueError("controls need an experiment in which a model is tuned")
    tuned = next((m for m in learning if drawn(m)[0] == "true_pairs"), learning[0])
    added = dict(settings["models"])
    for name in names:
        _known(name, CONTROLS, "control")
        training = {**tuned.get("training", {}), **CONTROLS[name].get("training", {})}
        own = {"attention": tuned["attention"]} if tuned.get("attention") else {}
        control = {"weights": tuned["weights"], "train": True, **own, **CONTROLS[name], "training": training}
        if drawn(control) in [drawn(model) for model in learning]:
            continue
        if f"control_{name}" in added:
            raise ValueError(f"the experiment has another model 'control_{name}'; rename that")
        added[f"control_{name}"] = control
    return {**settings, "models": added}
