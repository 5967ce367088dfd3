"""An experiment in which no model trains: any models and ready-made maps, against the same observers."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gazetune.backbones import checkpoint_of
from gazetune.code import code_named, whole
from gazetune.data.splits import Given
from gazetune.errors import InputError
from gazetune.experiment import Experiment
from gazetune.loading import load_data, load_experiment, name_and_path, trained_on
from gazetune.run import CONFIG, Run


def comparison(
    models: Sequence[str], maps: Sequence[str], data: str | None, images: Path | None, fixations: Path | None
) -> dict[str, Any]:
    """The settings of a comparison: every image is a test image, the first model is the reference.

    Args:
        models: hub names, folders, or checkpoints of a run (RUN/checkpoints/NAME); [NAME=]WEIGHTS.
        maps: folders of PNG or NPY maps, [NAME=]FOLDER.
        data: READER=PATH; or images and fixations: a folder of photos and a CSV.

    Raises:
        InputError: no model, or not one source of data, or a name for it, or a checkpoint that is not there.
    """
    if not models and not maps:
        raise InputError("Nothing to compare: give --model WEIGHTS or --maps FOLDER, each as often as you like.")
    if (data is None) == (fixations is None):
        raise InputError("The observers are missing: give --images DIR --fixations CSV, or --data READER=PATH.")
    table: dict[str, dict[str, str]] = {}
    given: dict[str, str] = {}
    for text in (*models, *maps):
        name, source = _named(text, given)
        given[name] = text
        is_model = len(given) <= len(models)
        table[name] = {"weights": _weights(source)} if is_model else {"maps": str(Path(source).expanduser().absolute())}
    for name, label in _labels(given).items():
        table[name]["label"] = label
    if data is not None:
        kind, path = name_and_path(data)
        if ":" in kind:
            raise InputError(
                f"A comparison has one data set, which takes no name: --data {kind.partition(':')[0]}={path}; got "
                f"'{data}'."
            )
        source_of_data: dict[str, Any] = {"kind": kind, "path": str(Path(path).expanduser().absolute())}
    else:
        source_of_data = {"kind": "table", "path": str(Path(str(fixations)).expanduser().absolute())}
    if images is not None:
        source_of_data["images"] = str(images.expanduser().absolute())
    source_of_data["split"] = {"rule": "all_test"}
    return {"name": "compare", "data": source_of_data, "models": table, "reference": next(iter(table))}


def _named(text: str, taken: dict[str, Any]) -> tuple[str, str]:
    """A name for table rows and files, and where the model lies."""
    given, found, source = text.partition("=")
    if not found:
        source, given = text, _short(text)
    name = re.sub(r"\W+", "_", given, flags=re.ASCII).strip("_") or "model"
    number = 2
    while (unique := name if number == 2 and name not in taken else f"{name}_{number}") in taken:
        number += 1
    return unique, source


def _labels(given: dict[str, str]) -> dict[str, str]:
    """What each model is called, by row: as the user says; else the last part of where it lies.

    Models that would be called the same have the part before it, too (the run of a checkpoint, the owner of a hub's
    model), or else the name of their row.
    """
    sources = {name: text for name, text in given.items() if "=" not in text}
    labels = {name: text.partition("=")[0] if "=" in text else _short(text) for name, text in given.items()}
    for unlike in ({name: _short(text, 2) for name, text in sources.items()}, {name: name for name in given}):
        found = Counter(labels.values())
        labels |= {name: label for name, label in unlike.items() if found[labels[name]] > 1}
    return labels


def _short(source: str, depth: int = 1) -> str:
    """What a model is called if nobody says: the last parts of its name that say something."""
    parts = [part for part in Path(source).parts if part not in ("best", "checkpoints", "/", ".", "..")]
    return "/".join(parts[-depth:]) or source


def _weights(source: str) -> str:
    """The folder of a model; for RUN/checkpoints/NAME, the best weights there, with the code that loads them."""
    path = Path(source).expanduser()
    if path.parent.name == "checkpoints" and (path.parents[1] / CONFIG).is_file():
        folder = Run(path.parents[1]).checkpoint(path.name).absolute()
        trained = load_experiment(str(path.parents[1] / CONFIG)).entries()
        start = next((entry.model.weights for entry in trained if entry.key == path.name), None)
        return checkpoint_of(start or "", folder)
    return str(path.absolute()) if path.is_dir() else whole(source)


def without_training_images(experiment: Experiment, held_out: bool) -> Experiment:
    """The comparison on images that no compared model was trained on, as far as their runs tell.

    Raises InputError if there are such images and nobody said `held_out`, or if the data cannot be read.
    """
    seen: dict[str, tuple[str, set[str]]] = {}
    for name, model in experiment.models.items():
        run = _run_of(model.weights)
        used = set(trained_on(run, experiment.data.kind)) if run is not None else set()
        seen |= {str(run.path): (name, used)} if run is not None and used else {}
    if not seen:
        return experiment
    compared = set(load_data(experiment.data, experiment.skip_bad).ids)
    runs = {path: (name, len(used & compared)) for path, (name, used) in seen.items() if used & compared}
    if not runs:
        return experiment
    if not held_out:
        name, n = next(iter(runs.values()))
        raise InputError(
            f"'{name}' was trained or chosen on {n} of the {len(compared)} images (as their names are). Compare on the "
            f"others with --held-out; or, if these are other images, or all are wanted, say --all-images."
        )
    data = experiment.data.model_copy(update={"held_out": tuple(runs), "split": Given(rule="given")})
    return experiment.model_copy(update={"data": data})


def _run_of(weights: str | None) -> Run | None:
    """The run that a checkpoint lies in: RUN of RUN/checkpoints/NAME/best; None for other weights."""
    code = code_named(weights or "")
    folder = Path((code.folder if code else weights) or "")
    if folder.name != "best" or folder.parent.parent.name != "checkpoints":
        return None
    path = folder.parents[2]
    return Run(path) if (path / CONFIG).is_file() else None
