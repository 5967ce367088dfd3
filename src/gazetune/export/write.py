"""A folder to share, or a repository on the hub: weights, model card, and on request ONNX or the keys one came with."""

import json
import os
import re
import shutil
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from jaxtyping import UInt8
from safetensors.torch import save_file
from torch import Tensor

from gazetune.backbones import Backbone, is_state_dict, load_backbone, state_dict_files, weights_hash
from gazetune.backbones.state_dict import is_timm, write_back
from gazetune.backbones.timm_names import call
from gazetune.code import code_named
from gazetune.data.decoded import batch_of
from gazetune.documents import read_json
from gazetune.errors import InputError
from gazetune.experiment import Entry, Experiment
from gazetune.export.answering import Checked, write_onnx
from gazetune.export.card import Facts, model_card
from gazetune.export.hub import RECORD, upload
from gazetune.export.lineage import start_of
from gazetune.export.loading_code import plain_code, timm_code, transformers_code
from gazetune.export.moved import Moved, how_far
from gazetune.files import move, not_written, sha256_file
from gazetune.prepared import load_prepared
from gazetune.progress import say
from gazetune.run import PROVENANCE, SUMMARY, Run

FORMATS = ("huggingface", "timm", "state_dict")
HUB = "hub:"
PHOTOS = 4  # of the run, that the ONNX file is checked on


def export_model(
    run: Run, experiment: Experiment, model: str, to: str, form: str = "huggingface", onnx: bool = False
) -> str:
    """Write a tuned model of a run to a folder or, where the user names one (`hub:OWNER/NAME`), to the hub.

    Args:
        run, experiment: the run and its settings. model: by name, or by key such as `tuned-s42`.
        to: a folder; one that holds something other than an export is refused. Or hub:OWNER/NAME: made private if new.
        form: one of FORMATS; `timm` and `state_dict` write the keys of the file that the model began from.
        onnx: also write model.onnx, checked against PyTorch.

    Returns what was written, in words.

    Raises:
        InputError: no such model or format, a folder that is not an export, a start without such keys.
        GazetuneError: the disk is full, the hub refuses, or the ONNX file is not what PyTorch gives.
    """
    if form not in FORMATS:
        raise InputError(f"There is no format '{form}'; there is {', '.join(FORMATS)}.")
    if onnx and form != "huggingface":
        raise InputError("--onnx goes with the Hugging Face folder; leave --format out, or export twice.")
    hub = to.removeprefix(HUB) if to.startswith(HUB) else None
    if hub is not None and not re.fullmatch(r"[\w.-]+/[\w.-]+", hub):
        raise InputError(f"'{to}' names no place on the hub. Needed: hub:OWNER/NAME.")
    checkpoint = run.checkpoint(model)
    key = checkpoint.parent.name
    entry = next((e for e in experiment.entries() if e.key == key), None)
    if entry is None:
        raise InputError(f"'{key}' has a checkpoint but is no longer a model of the run's config.yaml.")
    if code_named(entry.model.start) is not None:
        raise InputError(
            f"'{key}' is a model of your own code ({Path(entry.model.start.partition(':')[0]).name}), whose layout "
            f"only that code knows: its checkpoint, '{checkpoint}', holds what its own save() wrote; copy that folder "
            f"and load it with the same function. Exported are models that began from a Hugging Face name or folder, "
            f"from timm, or from a state_dict."
        )
    run.verify(f"train/{key}")
    target = Path(to).expanduser()
    if hub is None:
        _refuse_other(target)
        return _into(target, lambda folder: _fill(folder, run, experiment, entry, checkpoint, form, onnx))
    with tempfile.TemporaryDirectory() as folder:
        said = _fill(Path(folder), run, experiment, entry, checkpoint, form, onnx)
        return f"{upload(Path(folder), hub)} {said}"


def _fill(folder: Path, run: Run, experiment: Experiment, entry: Entry, checkpoint: Path, form: str, onnx: bool) -> str:
    """Everything into an empty folder; returns what was checked, in words."""
    weights = entry.model.start
    tuned = load_backbone(str(checkpoint), experiment.image_size)
    start, unmoved = _start(run, experiment, entry)
    checked = None
    if form == "huggingface":
        shutil.copytree(checkpoint, folder, dirs_exist_ok=True, copy_function=shutil.copyfile)
        said, library = "plain transformers loads it", "transformers"
    else:
        if start is None:
            raise InputError(f"--format {form} needs the start weights, whose keys it writes: {unmoved}")
        said, library = _keys_as_they_came(folder, weights, checkpoint, start, tuned, form)
    if onnx:
        checked = write_onnx(
            folder, tuned, experiment.map_size, _photos(run, experiment, tuned), experiment.method_of(entry.model)
        )
        said += f"; model.onnx: {checked.sentence()}"
    moved = None if start is None else how_far(start.model, tuned.model, tuned.learnable())
    facts = _facts(run, experiment, entry, tuned, moved, unmoved, checked, library, weights)
    (folder / "README.md").write_text(model_card(facts), encoding="utf-8")
    files = {p.name: sha256_file(p) for p in sorted(folder.iterdir()) if p.is_file()}
    record = {"gazetune_export": version("gazetune"), "model": entry.key, "format": form, "files": files}
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    return said


def _start(run: Run, experiment: Experiment, entry: Entry) -> tuple[Backbone | None, str]:
    """The weights that a training began from; None, with the reason, where they are gone or are others now."""
    weights = entry.model.start
    try:
        if weights_hash(weights) != run.stages()[f"train/{entry.key}"]["inputs"]["weights"]:
            return None, "the start weights are not those that the training began from (their sha256 differs)."
        return load_backbone(weights, experiment.image_size), ""
    except InputError:
        return None, "the start weights are no longer where the training found them."


def _keys_as_they_came(
    folder: Path, weights: str, checkpoint: Path, start: Backbone, tuned: Backbone, form: str
) -> tuple[str, str]:
    """The state_dict under the keys that it came with, and its config.json; what it is, and the card's library."""
    if not is_state_dict(weights):
        raise InputError(
            f"--format {form} writes the keys of the file that a model began from; this one began from '{weights}', a "
            f"Hugging Face model. Leave --format out: model.safetensors in the folder has the keys it came with."
        )
    if form == "timm" and not is_timm(weights):
        raise InputError(f"'{weights}' is not in timm's keys; --format state_dict writes the keys it has.")
    file, config = state_dict_files(weights)
    tensors, moved = write_back(weights, checkpoint, start.model, tuned.model)
    save_file(tensors, folder / file.name, metadata={"format": "pt"})
    if config is not None:
        shutil.copyfile(config, folder / "config.json")
    kept = len(tensors) - moved
    return (
        f"{len(tensors)} tensors as in '{file.name}', {kept} of them bit for bit",
        "timm" if form == "timm" else "pytorch",
    )


def _photos(run: Run, experiment: Experiment, backbone: Backbone) -> UInt8[Tensor, "image 3 height width"] | None:
    """A few test images of the run at the model's input size; None, said aloud, where the run has none left."""
    try:
        data = load_prepared(run, experiment.study.kind, [backbone.image_size])
        return batch_of(data.pixels(backbone.image_size), data.rows("test")[:PHOTOS], torch.device("cpu"))
    except (InputError, OSError):
        say("The run no longer holds its photos (cache/), so model.onnx is checked on noise alone.")
        return None


def _facts(
    run: Run, experiment: Experiment, entry: Entry, tuned: Backbone, moved: Moved | None, unmoved: str,
    onnx: Checked | None, library: str, weights: str,
) -> Facts:  # fmt: skip
    summary, unscored = _summary(run, entry.key)
    with torch.no_grad():
        output = tuned(torch.zeros(1, 3, *tuned.image_size, dtype=torch.uint8))
    headed = output.logits is not None
    if library == "transformers":
        code = transformers_code(tuned, output, experiment.method_of(entry.model), experiment.map_size)
        loading = ("With plain transformers, without gazetune. The code runs as it stands in this folder:", code)
    else:
        file, config = state_dict_files(weights)
        about = {} if config is None else read_json(config)
        classes = 0 if output.logits is None else output.logits.shape[1]
        name = about.get("architecture") or file.stem.partition(".")[0]
        made = call(name, about.get("model_args", {}), tuned.model.config, classes) if library == "timm" else None
        code = timm_code(file.name, made) if made else plain_code(file.name)
        loading = (f"`{file.name}` has the keys and shapes of the file that the model began from:", code)
    return Facts(
        experiment=experiment,
        entry=entry,
        provenance=run.json(PROVENANCE),
        state=run.json(f"checkpoints/{entry.key}/training.json"),
        start=start_of(weights),
        summary=summary,
        unscored=unscored,
        moved=moved,
        unmoved=unmoved,
        architecture=type(tuned.model).__name__,
        preprocessing="RGB, squashed to {1}x{0} (bicubic), ".format(*tuned.image_size) + tuned.normalisation(),
        loading=loading,
        headed=headed,
        onnx=onnx,
        library=library,
    )


def _summary(run: Run, key: str) -> tuple[dict[str, Any] | None, str]:
    """The run's summary if it is of these very weights; else None, and why."""
    stages = run.stages()
    if "tables" not in stages:
        return None, "the run has not been scored."
    scored = stages["tables"]["inputs"].get("training", {})
    if any(scored.get(file) != sha256 for file, sha256 in stages[f"train/{key}"]["outputs"].items()):
        return None, "the run was scored with other weights of this model; score it again (gazetune score)."
    try:
        run.verify("tables")
    except InputError as reason:
        return None, f"{str(reason).split(';')[0]}."
    return run.json(SUMMARY), ""


def _refuse_other(target: Path) -> None:
    if target.exists() and not target.is_dir():
        raise InputError(f"'{target}' is a file. Name a folder to export to.")
    if target.is_dir() and any(target.iterdir()) and not _is_export(target):
        raise InputError(
            f"'{target}' is not empty and is no export of gazetune's; nothing is overwritten. Name another folder."
        )


def _is_export(folder: Path) -> bool:
    try:
        record = read_json(folder / RECORD)
        return "gazetune_export" in record and isinstance(record.get("files"), dict | list)
    except InputError:
        return False


def _into(target: Path, fill: Callable[[Path], str]) -> str:
    """Fill a folder beside, then move its files in; what an export before had there and this one has not is removed."""
    beside = target.absolute().with_name(f".{target.absolute().name}.part")
    shutil.rmtree(beside, ignore_errors=True)
    try:
        beside.mkdir(parents=True)
        said = fill(beside)
        before = read_json(target / RECORD)["files"] if _is_export(target) else {}
        target.mkdir(parents=True, exist_ok=True)
        for name in before:
            (target / Path(name).name).unlink(missing_ok=True)
        for path in sorted(beside.iterdir(), key=lambda p: p.name == RECORD):  # the record last: then it is whole
            with path.open("rb") as opened:
                os.fsync(opened.fileno())
            move(path, target / path.name)
    except OSError as reason:
        if reason.errno is None:  # no word of the system's
            raise
        raise not_written(target, reason) from reason
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    names = ", ".join(sorted(p.name for p in target.iterdir()))
    return f"'{target}': {names}; {said}."
