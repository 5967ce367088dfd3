"""What the names of timm's plain vision transformers say: width, depth, heads; and which names timm has."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gazetune.errors import InputError

# the names that are read: their heads, epsilon and activation are those of the paper's ViT, DeiT and DINOv2
NAME = re.compile(
    r"((?:vit|deit)_(tiny|small|base|large|huge)(?:_distilled)?_patch(\d+)(?:_reg4)?(?:_dinov2)?)(?:_(\d+))?"
)


@dataclass(frozen=True)
class Size:
    """Of the tokens, the stack of blocks, and how many heads share a token."""

    width: int
    depth: int
    heads: int


# timm 1.0.31, models/vision_transformer.py and deit.py
SIZES = {
    "tiny": Size(192, 12, 3),
    "small": Size(384, 12, 6),
    "base": Size(768, 12, 12),
    "large": Size(1024, 24, 16),
    "huge": Size(1280, 32, 16),
}
KNOWN = (
    *(f"vit_{size}_patch{patch}_{side}" for size, patch, sides in (
        ("tiny", 16, (224, 384)), ("small", 32, (224, 384)), ("small", 16, (224, 384)), ("small", 8, (224,)),
        ("base", 32, (224, 384)), ("base", 16, (224, 384)), ("base", 8, (224,)), ("large", 32, (224, 384)),
        ("large", 16, (224, 384)), ("large", 14, (224,)), ("huge", 14, (224,)),
    ) for side in sides),
    *(f"vit_{size}_patch14_{kind}dinov2" for size in ("small", "base", "large") for kind in ("", "reg4_")),
    *(f"deit_{size}_{kind}patch16_224" for size in ("tiny", "small", "base") for kind in ("", "distilled_")),
    "deit_base_patch16_384", "deit_base_distilled_patch16_384",
)  # fmt: skip
DINO_SIDE = 518  # of the input that timm's DINOv2 are made for


def require_read(architecture: str, source: str) -> None:
    """Raises InputError for the name of an architecture that is not read."""
    if not NAME.fullmatch(architecture):
        raise InputError(
            f"'{source}' is of the architecture '{architecture}', which is not read. Known are timm's vit_*, deit_* "
            f"and *_dinov2 such as vit_base_patch16_224; the name comes from config.json or the name of the file."
        )


def heads_of(architecture: str, arguments: Mapping[str, Any], tensors: Mapping[str, Tensor], source: str) -> int:
    """The number of heads, which no tensor shows: of `model_args`, else of the size in the name.

    Raises:
        InputError: the tensors are not as wide as the name or `model_args` says, or the heads do not share that width
            evenly: with other heads every map would be another.
    """
    size, width = _size(architecture), tensors["patch_embed.proj.weight"].shape[0]
    heads, wide = arguments.get("num_heads"), arguments.get("embed_dim", size.width)
    if width != wide and (heads is None or "embed_dim" in arguments):
        says = "config.json (model_args)" if "embed_dim" in arguments else f"the name '{architecture}'"
        raise InputError(
            f"'{source}' is another model than it is called: {says} says {wide} wide and {heads or size.heads} heads, "
            f"its tensors are {width} wide. How many heads these have shows nowhere in them. Give the right "
            f'architecture, or "model_args": {{"embed_dim": {width}, "num_heads": N}} in the config.json beside the '
            f"file."
        )
    if width % (heads or size.heads):
        raise InputError(
            f"'{source}' is {width} wide, which {heads or size.heads} heads cannot share evenly; num_heads in the "
            f"model_args of its config.json must divide it."
        )
    return int(heads or size.heads)


def call(
    architecture: str, arguments: Mapping[str, Any], config: Any, classes: int
) -> tuple[str, dict[str, Any]] | None:
    """The name and arguments by which timm makes a model of this shape; None where it has no such name.

    Args:
        architecture: as the file is called. arguments: `model_args` of its config.json.
        config: transformers' configuration of the model. classes: of its head, 0 without one.
    """
    found = NAME.fullmatch(architecture)
    if found is None:
        return None
    name = architecture
    if name not in KNOWN:  # the same at another input size
        name = next((known for known in KNOWN if (m := NAME.fullmatch(known)) and m[1] == found[1]), "")
    known = NAME.fullmatch(name)
    if known is None:
        return None
    size = _size(name)
    own = {
        "img_size": (config.image_size, int(known[4] or DINO_SIDE)),
        "patch_size": (config.patch_size, int(known[3])),
        "embed_dim": (config.hidden_size, size.width),
        "depth": (config.num_hidden_layers, size.depth),
        "num_heads": (config.num_attention_heads, size.heads),
    }
    differ = {key: there for key, (there, usual) in own.items() if there != usual}
    return name, {"num_classes": classes, **arguments, **differ}


def _size(architecture: str) -> Size:
    return SIZES[architecture.split("_")[1]]
