"""What a name of weights means before they are loaded: a folder here, or one on the hub, and its configuration."""

import difflib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub
import transformers
from huggingface_hub import try_to_load_from_cache
from transformers import AutoConfig

from gazetune.backbones.foreign import refuse_giants
from gazetune.documents import read_json, short
from gazetune.errors import InputError

TIMM = "timm:"
HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")
NEEDED = (
    "Needed: a vision transformer, ResNet or ConvNeXt of Hugging Face's transformers, with config.json and "
    "model.safetensors."
)


def hub_name(weights: str) -> str | None:
    """The repository on the hub that a name stands for; None for a file or folder, or what can be neither."""
    name = weights.removeprefix(TIMM)
    if Path(name).expanduser().exists() or name.endswith(".safetensors"):
        return None
    if weights.startswith(TIMM) and "/" not in name:
        name = f"timm/{name}"
    return name if HUB_NAME.fullmatch(name) and not name.startswith((".", "~")) else None


def is_fetched(name: str) -> bool:
    """Whether a repository of the hub lies on this machine, configuration and weights."""
    weights = ("model.safetensors", "model.safetensors.index.json")
    there = [isinstance(try_to_load_from_cache(name, file), str) for file in ("config.json", *weights)]
    return there[0] and any(there[1:])


@contextmanager
def offline() -> Iterator[None]:
    """Ask no hub for a while: what lies on this machine is taken as it is, anything else is not there."""
    before = huggingface_hub.constants.HF_HUB_OFFLINE
    huggingface_hub.constants.HF_HUB_OFFLINE = True
    try:
        yield
    finally:
        huggingface_hub.constants.HF_HUB_OFFLINE = before


def mistyped(weights: str) -> str:
    """A sentence for a name that reads like one of the hub but begins with a folder that is here; else empty."""
    place = Path(weights.removeprefix(TIMM)).expanduser()
    if place.exists() or not place.parent.is_dir() or place.parent == Path():
        return ""
    close = difflib.get_close_matches(place.name, [p.name for p in place.parent.iterdir()], 1)
    kind = TIMM if weights.startswith(TIMM) else ""
    hint = f"; did you mean '{kind}{place.parent / close[0]}'?" if close else ""
    return f" There is a folder '{place.parent}' here, but no '{place.name}' in it{hint or '.'}"


@contextmanager
def quiet() -> Iterator[None]:
    """Without transformers' list of the tensors that were not needed, such as all of a text model."""
    before = transformers.utils.logging.get_verbosity()
    transformers.utils.logging.set_verbosity_error()
    try:
        yield
    finally:
        transformers.utils.logging.set_verbosity(before)


def config_of(source: str) -> Any:
    """transformers' configuration at a hub name or in a folder.

    Raises:
        InputError: there is none, or none that transformers reads; one of timm's is told how to be named.
    """
    path = Path(source).expanduser()
    looks_local = source.startswith((".", "/", "~")) or source.count("/") > 1
    if looks_local and not path.is_dir():
        raise InputError(
            f"The weights folder '{source}' does not exist. Give a folder or a Hugging Face name.{mistyped(source)}"
        )
    if path.is_dir():
        _refuse_others(path, source)
    try:
        with quiet():
            config = AutoConfig.from_pretrained(path.as_posix(), trust_remote_code=False)
    except Exception as reason:  # also ImportError: a configuration may name a package that is not here
        first = str(reason).strip().splitlines() or [type(reason).__name__]
        raise InputError(
            f"No usable weights at '{source}': {short(first[0], 300)}{mistyped(source)} {NEEDED}"
        ) from reason
    refuse_giants(config.to_dict())
    return config


def _refuse_others(folder: Path, source: str) -> None:
    """Raises InputError for a folder without a configuration, or with timm's."""
    file = folder / "config.json"
    if not file.is_file():
        raise InputError(f"No usable weights at '{source}': there is no config.json. {NEEDED}")
    about = read_json(file)
    if "architecture" in about and "model_type" not in about:
        raise InputError(
            f"'{source}' is a folder as timm saves it (its config.json says architecture "
            f"{short(about['architecture'])}). Name it {TIMM}{source}"
        )
