"""The experiment that a command line means."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from gazetune.backbones import absolute
from gazetune.comparison import model_table
from gazetune.data import READERS
from gazetune.data.splits import TESTED
from gazetune.documents import read_yaml
from gazetune.errors import InputError
from gazetune.experiment import Experiment, with_controls
from gazetune.figures.palette import PALETTES
from gazetune.loading import (
    load_experiment,
    other_source,
    parse,
)
from gazetune.parity.settings import Classification
from gazetune.run import CONFIG, Run
from gazetune.training.loop import resolved_precision


def resolved(name: str, output: Path | None, resume: bool, settings: Sequence[str]) -> tuple[Experiment, Path | None]:
    """The experiment by name or file; or, for a run directory, the one it was made with."""
    run = Run(name)
    if not run.file(CONFIG).is_file():
        return load_experiment(name, tuple(settings)), output
    if not resume:
        raise InputError(f"'{name}' is a run. Go on with it: gazetune run {name} --resume")
    return load_experiment(str(run.file(CONFIG)), tuple(settings)), output or run.path


def of_run(run: Run) -> Experiment:
    """The experiment that a run was made with. Raises InputError if it is no run."""
    if not run.file(CONFIG).is_file():
        raise InputError(f"'{run.path}' is not a run: it has no {CONFIG}. Make one with gazetune run.")
    return parse(read_yaml(run.file(CONFIG)), str(run.file(CONFIG)))


def of_models(models: Sequence[str], sets: Mapping[str, Classification]) -> Experiment:
    """An experiment in which models only classify; the first is the reference."""
    table = model_table(models)
    parity = {name: settings.model_dump(mode="json") for name, settings in sets.items()}
    return parse({"name": "parity", "models": table, "reference": next(iter(table)), "parity": parity}, "parity")


def grouped(experiment: Experiment, by: Sequence[str]) -> Experiment:
    """The experiment with other columns to compare by, where there are any."""
    if not by:
        return experiment
    return experiment.model_copy(update={"data": experiment.study.model_copy(update={"by": tuple(by)})})


def with_options(
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
        _place(settings, experiment, text)
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


def _place(settings: dict[str, Any], experiment: Experiment, text: str) -> None:
    """Put one --data [NAME=]PATH where it belongs: the study, labelled images, or another data set to score on."""
    given, found, path = text.partition("=")
    own = experiment.data.kind if experiment.data is not None else None
    name = given if found else own
    place = str(Path(path if found else text).expanduser().absolute())
    if own is not None and name == own:
        settings["data"]["path"] = place
    elif name in experiment.parity:
        settings["parity"][name]["path"] = place if Path(place).exists() else path
    elif name in experiment.score_on:
        settings["score_on"][name]["path"] = place
    elif name is not None and name.partition(":")[0] in READERS:
        other, source = other_source(text)
        settings["score_on"][other] = source.model_dump(exclude_none=True)
    else:
        known = ", ".join([*([own] if own else []), *experiment.parity, *experiment.score_on])
        raise InputError(
            f"The experiment '{experiment.name}' has no data set '{name or text}', it uses {known}. Another data set "
            f"to score on is READER[:NAME]=PATH, with a reader of {', '.join(READERS)}."
        )


def with_protocol(experiment: Experiment, protocol: str | None) -> Experiment:
    """The experiment with another rule of what early stopping looks at. Raises InputError for an unknown one."""
    if protocol is None:
        return experiment
    if protocol != "paper":
        raise InputError(f"--protocol can be 'paper': stop early on a tenth of the test images; got '{protocol}'.")
    data = experiment.study
    split = data.split.model_copy(update={"stop_on": TESTED})
    return experiment.model_copy(update={"data": data.model_copy(update={"split": split})})


def with_methods(experiment: Experiment, attention: str | None, steps: int | None, precision: str | None) -> Experiment:
    """The experiment with other attention methods to score by, where they are named."""
    settings = experiment.model_dump(exclude_none=True)
    settings["methods"] = settings["methods"] if attention is None else [m.strip() for m in attention.split(",")]
    settings["faithfulness"] |= {} if steps is None else {"steps": steps}
    settings["faithfulness"] |= {} if precision is None else {"precision": precision}
    return parse(settings, "--attention")


def with_palette(experiment: Experiment, palette: str | None) -> Experiment:
    """The experiment with other colours for its figures, where they are named. Raises InputError for unknown ones."""
    if palette is None:
        return experiment
    for name in PALETTES:
        if palette == name:
            return experiment.model_copy(update={"palette": name})
    raise InputError(f"--palette can be {' or '.join(PALETTES)}; got '{palette}'.")
