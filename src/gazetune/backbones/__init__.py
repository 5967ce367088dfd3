"""Models: images in; logits, feature and attention out."""

import difflib
from dataclasses import replace
from pathlib import Path

import torch
from transformers.utils.hub import cached_file

from gazetune.backbones.own import load_own, own_hash
from gazetune.backbones.pretrained import load_vit
from gazetune.backbones.protocol import Backbone, Given, Kept, Output
from gazetune.backbones.resnet import CNNS, load_cnn
from gazetune.backbones.source import TIMM, config_of, hub_name, is_fetched, mistyped, offline
from gazetune.backbones.state_dict import is_state_dict, load_state_dict, refuse_by_name, state_dict_files
from gazetune.code import code_named, whole
from gazetune.documents import short
from gazetune.errors import InputError
from gazetune.files import sha256_files

__all__ = [
    "Backbone",
    "Given",
    "Kept",
    "Output",
    "absolute",
    "black",
    "checkpoint_of",
    "hub_name",
    "is_fetched",
    "is_state_dict",
    "load_backbone",
    "mistyped",
    "offline",
    "refuse_by_name",
    "resolve_weights",
    "state_dict_files",
    "weights_hash",
]

# a name of its own -> the folder or hub name it stands for
BUNDLED = {"tiny": Path(__file__).parent / "tiny_weights"}


def resolve_weights(weights: str) -> str:
    """The folder or hub name behind what a user wrote: `tiny` is the small ViT that ships with the package.

    `timm:...` and FILE.safetensors stay as they are (see state_dict). Raises InputError for what can be none of these,
    without asking the hub.
    """
    if is_state_dict(weights):
        return weights
    if weights not in BUNDLED and "/" not in weights and not Path(weights).expanduser().exists():
        close = difflib.get_close_matches(weights, BUNDLED, 1)
        hint = f" Did you mean '{close[0]}'?" if close else ""
        raise InputError(
            f"There are no weights '{weights}'. Needed: a folder, a hub name (OWNER/NAME), a state_dict "
            f"(FILE.safetensors or timm:NAME), `tiny`, or code of your own (FILE.py:FUNCTION).{hint}"
        )
    return str(BUNDLED.get(weights, weights))


def absolute(weights: str) -> str:
    """The same weights however the working directory changes: paths that exist become absolute, a name stays."""
    if code_named(weights) is not None:
        return whole(weights)
    path = Path(weights.removeprefix(TIMM)).expanduser()
    kind = TIMM if weights.startswith(TIMM) else ""
    return f"{kind}{path.absolute()}" if path.exists() else weights


def load_backbone(
    weights: str | Path, image_size: int | tuple[int, int] | None = None, allow_code: bool | None = None
) -> Backbone:
    """A pretrained model by hub name, by local folder, from a state_dict, or `tiny`; or a user's own code.

    In float32 and eval mode.

    Args:
        weights: besides names and folders, `FILE.py:FUNCTION` or `module:FUNCTION`, with `@FOLDER` for what its own
            `save` wrote.
        image_size: side of the input in pixels, or (height, width); the model's own where None.
        allow_code: whether code may run; where None, if the command was given --allow-code.

    Raises:
        InputError: nothing usable lies there, or it is code that was not allowed.
    """
    if is_state_dict(str(weights)):
        return load_state_dict(str(weights), image_size, load_vit)
    code = code_named(str(weights))
    if code is not None:
        return load_own(code, image_size, allow_code)
    source = resolve_weights(str(weights))
    return load_cnn(source, image_size) if config_of(source).model_type in CNNS else load_vit(source, image_size)


def black(backbone: Backbone) -> Output:
    """What a model makes of one black image: whether it works, and what it gives. Raises InputError if it does not."""
    device = next(backbone.model.parameters()).device
    try:
        with torch.no_grad():
            return backbone(torch.zeros(1, 3, *backbone.image_size, dtype=torch.uint8, device=device))
    except (RuntimeError, ValueError, TypeError, IndexError) as reason:
        height, width = backbone.image_size
        raise InputError(
            f"The model '{getattr(backbone, 'name', type(backbone).__name__)}' fails on an image of {width}x{height} "
            f"({short(reason, 200)}). Its configuration does not fit its weights, or the device has no room for it."
        ) from reason


def checkpoint_of(start: str, folder: Path) -> str:
    """The weights in a folder that a model which started from `start` was saved to: a user's own code loads its own."""
    code = code_named(start)
    return str(folder) if code is None else str(replace(code, folder=str(folder)))


def weights_hash(weights: str | Path) -> str:
    """One sha256 over the configuration and the weights that a name stands for, without loading them.

    Of a user's own code: over its file and the tensors of the model that it builds. Raises InputError if they are not
    there, or if it is code that was not allowed.
    """
    code = code_named(str(weights))
    if code is not None:
        return own_hash(code)
    source = resolve_weights(str(weights))
    if is_state_dict(source):
        return sha256_files([p for p in state_dict_files(source) if p is not None])
    folder = Path(source).expanduser()
    if folder.is_dir():
        files = sorted(p for p in folder.iterdir() if p.suffix in (".json", ".safetensors"))
    else:
        names = ("config.json", "model.safetensors", "model.safetensors.index.json")
        try:
            found = [cached_file(source, n, _raise_exceptions_for_missing_entries=False) for n in names]
        except OSError as reason:
            raise InputError(f"No usable weights at '{weights}': {str(reason).splitlines()[0]}") from reason
        files = [Path(p) for p in found if p]
    return sha256_files(files)
