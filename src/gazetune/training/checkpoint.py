"""Where a training leaves its state, its best weights and its log in the run directory."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

from torch import Tensor

from gazetune.backbones import Backbone
from gazetune.documents import short
from gazetune.errors import InputError
from gazetune.files import sha256_file
from gazetune.progress import say
from gazetune.run import Run
from gazetune.training.state import Keeper, State


def resume_file(key: str) -> str:
    """The state that a training goes on from: one safetensors file with JSON in its header."""
    return f"checkpoints/{key}/resume.safetensors"


def keeper(run: Run, key: str, student: Backbone, inputs: str) -> Keeper:
    """The functions by which a training of the model `key` keeps what it has.

    `inputs` is a fingerprint of everything the training depends on: a state of other inputs, or a damaged one, is
    named and not used. Lines of the log that the state does not know of are taken out, for they will be written again.
    """
    name = resume_file(key)

    def save_state(state: State, tensors: dict[str, Tensor]) -> None:
        run.keep_log()
        run.write_tensors(name, tensors, state=asdict(state), inputs=inputs)

    def load_state() -> tuple[State, dict[str, Tensor]] | None:
        found = _found(run, name, inputs)
        run.rewind_log(lambda line: line.get("model") != key or _is_done(found[0] if found else None, line))
        return found

    def log(entry: dict[str, float | int | str]) -> None:
        run.log({"model": key, **entry})

    return Keeper(save_state, load_state, lambda: _save_best(run, key, student), log)


def _is_done(state: State | None, line: dict[str, Any]) -> bool:
    """Whether a line of the log tells of something that is behind this state.

    An evaluation is logged after the state of its own step was saved, and is done only once a state says so.
    """
    if state is None:
        return False
    step = line.get("step")
    if not isinstance(step, int):
        return True  # a damaged line: left as it is
    return str(step) in state.evaluated if line.get("split") == "validation" else step <= state.step


def _save_best(run: Run, key: str, student: Backbone) -> dict[str, str]:
    written = run.write_folder(f"checkpoints/{key}/best", student.save)
    return {name: sha256_file(run.file(name)) for name in written}


def _found(run: Run, name: str, inputs: str) -> tuple[State, dict[str, Tensor]] | None:
    if not run.file(name).is_file():
        return None
    try:
        about, tensors = run.about(name), run.tensors(name)
    except InputError as reason:
        say(f"warning: {reason} It is not used; the training starts anew.")
        return None
    if about.get("inputs") != inputs:
        say(f"'{run.file(name)}' belongs to other settings or data and is not used; the training starts anew.")
        return None
    try:
        state = State(**about["state"])
        whole = str(state.step) not in state.evaluated or damaged_best(run, state) is None
    except (KeyError, TypeError, AttributeError) as reason:
        say(f"warning: '{run.file(name)}' is damaged ({short(reason)}) and is not used; the training starts anew.")
        return None
    if not whole:
        say(f"warning: '{damaged_best(run, state)}' is damaged; it is not used, and the training starts anew.")
        return None
    say(f"going on from step {state.step}")
    return state, tensors


def damaged_best(run: Run, state: State) -> Path | None:
    """The first file of the best weights that is no longer what this state kept; None where all are.

    A stop may strike while they are written, after the state was: then they are those of an evaluation that is done
    again. So this tells damage only where the step of the state has been evaluated, or at the end.
    """
    for name, sha256 in state.best_files.items():
        if not run.file(name).is_file() or sha256_file(run.file(name)) != sha256:
            return run.file(name)
    return None
