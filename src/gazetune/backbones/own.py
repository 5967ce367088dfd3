"""Weights that are a user's own code: a function that builds a `Backbone`, or loads what that one's `save` wrote."""

import hashlib
from pathlib import Path
from typing import get_type_hints

from gazetune.backbones.protocol import Backbone
from gazetune.code import Code, run_code
from gazetune.errors import InputError
from gazetune.files import sha256_files
from gazetune.run import digest

_HASHES: dict[tuple[str, ...], str] = {}  # of what has been built in this process


def load_own(code: Code, image_size: int | None = None, allowed: bool | None = None) -> Backbone:
    """What the function returns for the checkpoint folder, or for None where none is named; in eval mode.

    Raises:
        InputError: the code is not allowed, the folder does not exist, the function fails or returns no `Backbone`, or
            it has another input size than is asked for.
    """
    build, _ = run_code(code, "model", allowed)
    if not callable(build):
        raise InputError(f"'{code.place}' has no function called '{code.name}' (see docs/extending.md).")
    if code.folder is not None and not Path(code.folder).expanduser().is_dir():
        raise InputError(f"The checkpoint folder '{code.folder}' of '{code.place}:{code.name}' does not exist.")
    try:
        backbone = build(None if code.folder is None else Path(code.folder).expanduser())
    except Exception as reason:  # whatever a user's own code raises
        raise InputError(f"'{code}' could not build its model: {type(reason).__name__}: {reason}") from reason
    missing = [name for name in _needed() if not hasattr(backbone, name)]
    if missing or not isinstance(backbone, Backbone):
        raise InputError(
            f"'{code}' returned a {type(backbone).__name__}, which is no gazetune Backbone: it has no "
            f"{', '.join(missing)} (see docs/extending.md)."
        )
    if image_size is not None and tuple(backbone.image_size) != (image_size, image_size):
        height, width = backbone.image_size
        raise InputError(f"'{code}' takes images of {width}x{height}; image_size: {image_size} cannot change that.")
    backbone.model.eval()
    return backbone


def own_hash(code: Code) -> str:
    """One sha256 over the code's file and the tensors of the model that it builds. Raises InputError as `load_own`."""
    _, of_file = run_code(code, "model")
    folder = Path(code.folder).expanduser() if code.folder else None
    files = sorted(p for p in folder.iterdir() if p.is_file()) if folder is not None and folder.is_dir() else []
    key = (str(code), of_file, sha256_files(files))
    if key not in _HASHES:  # a model is built to see its tensors, which is not done for each stage again
        tensors = digest(load_own(code).model.state_dict())
        _HASHES[key] = hashlib.sha256(f"{of_file} {tensors}".encode()).hexdigest()
    return _HASHES[key]


def _needed() -> list[str]:
    members = (name for name in vars(Backbone) if not name.startswith("_"))
    return sorted({*get_type_hints(Backbone), *members, "__call__"})
