"""Models: images in; logits, feature and attention out."""

import difflib
from pathlib import Path

from transformers.utils.hub import cached_file

from gazetune.backbones.protocol import Backbone, Output
from gazetune.backbones.state_dict import TIMM, is_state_dict, load_state_dict, state_dict_files
from gazetune.backbones.vit import load_vit
from gazetune.errors import InputError
from gazetune.files import sha256_files

__all__ = [
    "Backbone",
    "Output",
    "absolute",
    "is_state_dict",
    "load_backbone",
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
            f"There are no weights '{weights}'. Needed: a folder, a hub name (OWNER/NAME), a "
            f"state_dict (FILE.safetensors or timm:NAME) or `tiny`.{hint}"
        )
    return str(BUNDLED.get(weights, weights))


def absolute(weights: str) -> str:
    """The same weights however the working directory changes: a path that exists becomes absolute, a name stays."""
    path = Path(weights.removeprefix(TIMM)).expanduser()
    kind = TIMM if weights.startswith(TIMM) else ""
    return f"{kind}{path.absolute()}" if path.exists() else weights


def load_backbone(weights: str | Path, image_size: int | None = None) -> Backbone:
    """A pretrained model by hub name, by local folder, from a state_dict, or `tiny`, in float32 and eval mode.

    Raises InputError if nothing usable lies there.
    """
    if is_state_dict(str(weights)):
        return load_state_dict(str(weights), image_size, load_vit)
    return load_vit(resolve_weights(str(weights)), image_size)


def weights_hash(weights: str | Path) -> str:
    """One sha256 over the configuration and the weights that a name stands for, without loading them.

    Raises InputError if they are not there.
    """
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
