"""A state_dict as an engineer keeps it: one safetensors file, in timm's or in transformers' keys, read and written."""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from huggingface_hub.errors import HFValidationError
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from transformers.utils.hub import cached_file

from gazetune.backbones.families import pair
from gazetune.backbones.foreign import refuse_giants
from gazetune.backbones.protocol import Backbone
from gazetune.backbones.source import TIMM, hub_name, mistyped
from gazetune.backbones.timm import DISTILLED_BARE, VIT_BARE, config_of, family_of, from_timm, to_timm
from gazetune.backbones.timm_names import NAME, require_read
from gazetune.backbones.vit import VisionTransformer
from gazetune.documents import read_json, short
from gazetune.errors import InputError

PICKLES = (".pth", ".pt", ".bin", ".ckpt", ".pkl", ".tar")
WRAPPED = ("module.", "_orig_mod.", "model.")  # what DataParallel, torch.compile and training frameworks put in front


def is_state_dict(weights: str) -> bool:
    """Whether a name means a state_dict: `timm:...`, or a file. Raises InputError for a pickle."""
    if Path(weights.removeprefix(TIMM)).suffix in PICKLES:
        raise InputError(
            f"'{weights}' is a pickle, which can run any code when it is read, so it is not. Convert it once, if you "
            f"trust it:\npython -c \"import torch; from safetensors.torch import save_file; d = torch.load('FILE', "
            f"map_location='cpu', weights_only=True); d = d.get('state_dict', d.get('model', d)); "
            f"save_file({{k: v.clone().contiguous() for k, v in d.items()}}, 'FILE.safetensors')\""
        )
    return weights.startswith(TIMM) or weights.endswith(".safetensors")


def state_dict_files(weights: str) -> tuple[Path, Path | None]:
    """The safetensors file behind a name, and the config.json beside it where there is one.

    `timm:NAME` is the model of that name in timm's place on the hub, `timm:FOLDER` a folder as timm saves it. Raises
    InputError if there is none.
    """
    place = Path(weights.removeprefix(TIMM)).expanduser()
    if place.suffix == ".safetensors" and place.is_file():
        config = place.with_name("config.json")
        return place, config if config.is_file() else None
    if weights.startswith(TIMM) and place.is_dir():
        missing = [name for name in ("config.json", "model.safetensors") if not (place / name).is_file()]
        if not missing:
            return place / "model.safetensors", place / "config.json"
        raise InputError(
            f"'{place}' is not a folder of timm's: there is no {' and no '.join(missing)}. Needed are both."
        )
    name = weights.removeprefix(TIMM)
    if not weights.startswith(TIMM) or name.endswith(".safetensors") or name.startswith(("/", ".", "~")):
        raise InputError(f"There is no '{place}'. Needed: a safetensors file with the state_dict of a model.")
    hub = hub_name(weights) or name
    refuse_by_name(weights)  # before the hub is asked for it
    try:
        found = [cached_file(hub, file) for file in ("model.safetensors", "config.json")]
    except (OSError, HFValidationError) as reason:
        raise InputError(
            f"No usable weights at '{weights}' (hub: {hub}): {str(reason).splitlines()[0]}{mistyped(weights)}"
        ) from reason
    return Path(str(found[0])), Path(str(found[1]))


def refuse_by_name(weights: str) -> None:
    """Raises InputError for a model of timm's place on the hub whose name is of an architecture that is not read."""
    hub = hub_name(weights) or ""
    if weights.startswith(TIMM) and hub.startswith("timm/"):
        require_read(hub.partition("/")[2].partition(".")[0], weights)


def is_timm(weights: str) -> bool:
    """Whether a state_dict is in timm's keys: by `timm:`, by its config.json, or by the file's name."""
    file, config = state_dict_files(weights)
    about = _read(config)
    named = "model_type" not in about and NAME.fullmatch(_name(file, about).partition(".")[0])
    return weights.startswith(TIMM) or "architecture" in about or bool(named)


Size = int | tuple[int, int] | None  # of the input: a side, (height, width), or the model's own


def load_state_dict(weights: str, image_size: Size, load: Callable[[str, Size], Backbone]) -> Backbone:
    """A model from its state_dict, in float32.

    load: makes a model of a folder in transformers' layout. Raises InputError if the architecture is not known, or if
    the tensors do not fit it.
    """
    file, config = state_dict_files(weights)
    if is_timm(weights):
        return _load_timm(weights, file, _read(config), image_size)
    if config is None:
        raise InputError(
            f"'{file}' is a state_dict without its architecture. Put the config.json of the model beside it (timm's or "
            f"transformers'), or name the file as timm names the architecture, such as "
            f"deit_small_patch16_224.fb_in1k.safetensors."
        )
    with tempfile.TemporaryDirectory() as folder:  # the layout that transformers wants, without a copy of the weights
        (Path(folder) / "model.safetensors").symlink_to(file.resolve())
        for name in (config.name, "preprocessor_config.json"):
            if config.with_name(name).is_file():
                shutil.copy(config.with_name(name), folder)
        if _open(file)[1]:
            (Path(folder) / "model.safetensors").unlink()
            save_file(_open(file)[0], Path(folder) / "model.safetensors", metadata={"format": "pt"})
        try:
            return load(folder, image_size)
        except InputError as reason:
            raise InputError(str(reason).replace(folder, str(file))) from reason


def _load_timm(weights: str, file: Path, about: Mapping[str, Any], image_size: Size) -> VisionTransformer:
    tensors, _ = _open(file)
    family = family_of(tensors, weights)
    try:
        config, (mean, std) = config_of(tensors, family, about, _name(file, about), weights)
    except InputError:
        raise
    except Exception as reason:  # settings of kinds that no configuration has, tensors of shapes that no model has
        raise InputError(f"config.json and tensors of '{weights}' make no model ({short(reason, 200)}).") from reason
    own = config.image_size if isinstance(config.image_size, tuple | list) else (config.image_size, config.image_size)
    try:
        model, report = getattr(transformers, family.model).from_pretrained(
            None,
            config=config,
            state_dict=from_timm(tensors, family, weights),
            dtype=torch.float32,
            output_loading_info=True,
            **({"add_pooling_layer": False} if family in (VIT_BARE, DISTILLED_BARE) else {}),
        )
    except Exception as reason:  # transformers raises errors of a dozen kinds
        said = (str(reason).strip() or repr(reason)).splitlines()[0]
        raise InputError(f"The tensors of '{weights}' do not fit: {short(said, 300)}") from reason
    wrong = [*report["unexpected_keys"], *report["missing_keys"]]
    if wrong or report["mismatched_keys"]:
        raise InputError(f"'{weights}' is no whole {family.model}: {sorted(wrong)[:3] or report['mismatched_keys']}")
    side = pair(image_size) if image_size else (int(own[0]), int(own[1]))
    return VisionTransformer(model, mean, std, side, name=weights)


def write_back(weights: str, checkpoint: Path, start: nn.Module, tuned: nn.Module) -> tuple[dict[str, Tensor], int]:
    """A tuned model under the keys of the state_dict that it came from, and how many tensors are not as they were.

    What did not change keeps its bits and its dtype, also what the model does not use. What learnt is in float32, as
    it was trained: in half precision a small step would be lost.

    Args:
        weights: what the model was started from. checkpoint: the tuned model's Hugging Face folder.
        start, tuned: both models, which tell whether everything that learnt has been written.

    Raises:
        InputError: the start is gone, or something that learnt has no place among its keys.
    """
    before, prefix = _open(state_dict_files(weights)[0])
    now = load_file(checkpoint / "model.safetensors")
    if is_timm(weights):
        now = to_timm(now, before, weights)
    elif not before.keys() & now.keys():  # as transformers calls them in memory
        now = {key: value.detach() for key, value in tuned.state_dict().items()}
    moved = {k: now[k].float() for k in before if k in now and not torch.equal(before[k].float(), now[k].float())}
    written = sum(int((before[key].float() != value).sum()) for key, value in moved.items())
    others = dict(tuned.named_parameters())
    learnt = sum(int((p != others[n]).sum()) for n, p in start.named_parameters() if "pooler." not in n)  # never used
    if written != learnt:
        raise InputError(
            f"{learnt:,} parameters learnt, but under the keys of '{weights}' {written:,} would have changed; nothing "
            f"is written. Export the Hugging Face folder instead (without --format)."
        )
    return {prefix + key: moved[key].contiguous() if key in moved else before[key] for key in before}, len(moved)


def _open(file: Path) -> tuple[dict[str, Tensor], str]:
    """The tensors of a file without what stands in front of every key, and what that was."""
    try:
        with safe_open(file, "pt") as opened:
            tensors = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118
    except (SafetensorError, OSError, ValueError, TypeError, KeyError, RuntimeError) as reason:
        raise InputError(f"'{file}' cannot be read as safetensors ({short(reason)}).") from None
    prefix = ""
    while tensors and (front := next((w for w in WRAPPED if all(k.startswith(prefix + w) for k in tensors)), "")):
        prefix += front
    return {key.removeprefix(prefix): value for key, value in tensors.items()}, prefix


def _read(config: Path | None) -> dict[str, Any]:
    about = {} if config is None else read_json(config)
    refuse_giants(about)
    for part in ("pretrained_cfg", "model_args"):
        if not isinstance(about.get(part, {}), dict):
            raise InputError(f"'{config}': '{part}' must hold settings, got {short(about[part])}.")
    return about


def _name(file: Path, about: Mapping[str, Any]) -> str:
    """timm's name of the architecture, with its tag where it is known; the file's name where nothing else says."""
    given, tag = about.get("architecture"), about.get("pretrained_cfg", about).get("tag", "")
    if not isinstance(given, str | None) or not isinstance(tag, str | None):
        raise InputError(f"'{file}': architecture and tag of its config.json are names; got {short((given, tag))}.")
    return file.stem if not given else f"{given}.{tag}" if tag else str(given)
