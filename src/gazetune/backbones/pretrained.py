"""Loading a vision transformer from the hub or a folder: which part of it, its input size, its normalisation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
import transformers
from transformers import AutoModel

from gazetune.backbones.families import FAMILIES, TOWERS, family_of, pair
from gazetune.backbones.foreign import levels_of, processor_of, sides_of
from gazetune.backbones.source import NEEDED, config_of, mistyped, quiet
from gazetune.backbones.vit import VisionTransformer
from gazetune.documents import short
from gazetune.errors import InputError

INPUT_SIZE = 224  # the paper's, where neither the processor nor a table of positions says otherwise


def load_vit(source: str, image_size: int | tuple[int, int] | None = None) -> VisionTransformer:
    """A vision transformer by hub name or local folder; weights from safetensors only, widened to float32.

    Args:
        source: hub name (`google/vit-base-patch16-224`) or a folder with config.json and model.safetensors.
        image_size: side of the input in pixels, or its (height, width), in whole patches; where None the processor's
            own, else the one that the positions were trained at (224 for DINOv2 and DINOv3).

    Raises:
        InputError: nothing usable there, no safetensors, or not a plain vision transformer.
    """
    config = config_of(source)
    path = str(Path(source).expanduser()) if source.startswith("~") else source
    try:
        with quiet():
            named, own = _tower(config)
            model, report = named.from_pretrained(
                path,
                config=own,
                dtype=torch.float32,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
            )
    except Exception as reason:  # for a damaged file the libraries raise errors of a dozen kinds
        raise InputError(
            f"No usable weights at '{source}': {short((str(reason) or repr(reason)).splitlines()[0], 300)}"
            f"{mistyped(source)} {NEEDED}"
        ) from reason
    family = family_of(model, source)
    # a pooler that is not used: checkpoints of self-supervised models come without
    missing = [key for key in report["missing_keys"] if family.pooled or "pooler." not in key]
    missing += [str(key) for key in report["mismatched_keys"]]
    if missing:
        raise InputError(f"The weights at '{source}' lack {len(missing)} tensors of {type(model).__name__}.")
    processor = processor_of(path)
    mean, std = levels_of(processor, FAMILIES[config.model_type].normalisation, source)
    size = _input_size(image_size, processor, getattr(own, "vision_config", own))
    return VisionTransformer(model, mean, std, size, name=source)


def _input_size(wanted: int | Sequence[int] | None, processor: dict[str, Any], config: Any) -> tuple[int, int]:
    """The input in pixels, (height, width), in whole patches. Raises InputError if the wanted one is not in such."""
    patch = pair(config.patch_size)
    if wanted is not None:
        asked = pair(wanted)
        near = tuple(max(side // p, 1) * p for side, p in zip(asked, patch, strict=True))
        if near != asked:
            raise InputError(
                f"An input of {asked[0]}x{asked[1]} (height x width) is not whole patches of {patch[0]}x{patch[1]} "
                f"pixels. Set image_size to [{near[0]}, {near[1]}], in the YAML or by --set 'image_size=[{near[0]}, "
                f"{near[1]}]'."
            )
        return asked
    positions = FAMILIES[config.model_type].positions
    if positions == "patches":
        own: int | Sequence[int] = int(config.num_patches**0.5) * patch[0]
    else:
        own = INPUT_SIZE if positions == "free" else config.image_size
    size = processor.get("crop_size") or processor.get("size") or own
    if isinstance(size, dict):
        size = (size.get("height"), size.get("width")) if "height" in size else own
    height, width = sides_of(size)  # what does not fill a patch is never seen: SigLIP's 384 with patches of 14 are 378
    if height < patch[0] or width < patch[1]:
        raise InputError(f"An input of {height}x{width} has no room for a patch of {patch[0]}x{patch[1]} pixels.")
    return (height // patch[0] * patch[0], width // patch[1] * patch[1])


def _tower(config: Any) -> tuple[Any, Any]:
    """The transformers class that a checkpoint is read into, and its configuration."""
    architecture = (config.architectures or [config.model_type])[0]
    named: Any = getattr(transformers, TOWERS.get(architecture, architecture), AutoModel)
    if architecture not in TOWERS or config.model_type == named.config_class.model_type:
        return named, config
    if hasattr(config, "vision_config"):
        seeing = config.vision_config
        if hasattr(config, "projection_dim"):  # CLIP: said twice, and only the outer one counts
            seeing.projection_dim = config.projection_dim
        return named, seeing
    shared = named.config_class().to_dict().keys() - {"model_type", "architectures"}
    return named, named.config_class(**{k: v for k, v in config.to_dict().items() if k in shared})
