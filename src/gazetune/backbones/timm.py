"""ViT, DeiT and DINOv2 in timm's keys, read and written back without timm, which needs torchvision.

timm (Wightman, 2019) and transformers name the same tensors differently, and timm keeps query, key and value in one.
Nothing else differs: the translation moves numbers and computes none. What a file's tensors do not show (number of
heads, normalisation of the images) comes from timm's config.json, or else from the name of the architecture.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from torch import Tensor
from transformers import PretrainedConfig

from gazetune.backbones.foreign import levels_of
from gazetune.backbones.timm_names import heads_of, require_read
from gazetune.backbones.vit import HALF, IMAGENET
from gazetune.errors import InputError

EPSILON = 1e-6  # of every LayerNorm of these architectures in timm
ARGUMENTS = {"img_size", "patch_size", "embed_dim", "depth", "mlp_ratio", "qkv_bias", "init_values", "reg_tokens"}
ARGUMENTS |= {"num_heads", "num_classes", "no_embed_class", "distilled", "dynamic_img_size", "in_chans"}
# mean and SD of the images by the tag after the architecture's name; DeiT and DINOv2 need no tag (timm's default_cfgs)
TAGS = {"orig": HALF, "augreg": HALF, "sam": HALF, "fb": IMAGENET, "dino": IMAGENET, "mae": IMAGENET}
TAGS |= {"lvd142m": IMAGENET}

TOP = {
    "cls_token": "embeddings.cls_token",
    "dist_token": "embeddings.distillation_token",
    "reg_token": "embeddings.register_tokens",
    "pos_embed": "embeddings.position_embeddings",
    "patch_embed.proj": "embeddings.patch_embeddings.projection",
    "norm": "layernorm",
}
ATTENTION = {"attn.proj": "attention.output.dense"}
VIT = ATTENTION | {"norm1": "layernorm_before", "norm2": "layernorm_after"}
VIT |= {"mlp.fc1": "intermediate.dense", "mlp.fc2": "output.dense"}
DINO = ATTENTION | {name: name for name in ("norm1", "norm2", "mlp.fc1", "mlp.fc2")}
DINO |= {"ls1.gamma": "layer_scale1.lambda1", "ls2.gamma": "layer_scale2.lambda1"}
QKV = ("query", "key", "value")


@dataclass(frozen=True)
class Family:
    """Which of transformers' models a set of timm tensors is, and what its keys begin with."""

    model: str
    prefix: str
    blocks: Mapping[str, str]
    heads: Mapping[str, str]


VIT_HEAD = Family("ViTForImageClassification", "vit.", VIT, {"head": "classifier"})
VIT_BARE = Family("ViTModel", "", VIT, {})
DISTILLED = Family(
    "DeiTForImageClassificationWithTeacher", "deit.", VIT,
    {"head": "cls_classifier", "head_dist": "distillation_classifier"},
)  # fmt: skip
DISTILLED_BARE = Family("DeiTModel", "", VIT, {})
DINOV2 = Family("Dinov2Model", "", DINO, {})
REGISTERS = Family("Dinov2WithRegistersModel", "", DINO, {})


def family_of(keys: Iterable[str], source: str) -> Family:
    """The family that these keys belong to. Raises InputError for a head that transformers' DINOv2 does not have."""
    there = set(keys)
    headed = "head.weight" in there
    if "blocks.0.ls1.gamma" in there:
        if headed:
            raise InputError(f"'{source}' has LayerScale and a head (DeiT III, or a tuned DINOv2), which is not read.")
        return REGISTERS if "reg_token" in there else DINOV2
    if "dist_token" in there:
        return DISTILLED if headed else DISTILLED_BARE
    return VIT_HEAD if headed else VIT_BARE


def names(keys: Iterable[str], family: Family, source: str) -> dict[str, tuple[str, ...]]:
    """Each of timm's keys with the key, or for query, key and value the three, that transformers' files have for it.

    Raises InputError naming the keys that are of no ViT, DeiT or DINOv2: what they do would be left out.
    """
    found: dict[str, tuple[str, ...]] = {}
    unknown = []
    for key in keys:
        stem, _, kind = key.rpartition(".")
        block, _, part = stem.removeprefix("blocks.").partition(".")
        inside = f"{family.prefix}encoder.layer.{block}."
        if key in TOP:
            found[key] = (family.prefix + TOP[key],)
        elif stem in TOP:
            found[key] = (f"{family.prefix}{TOP[stem]}.{kind}",)
        elif stem in family.heads:
            found[key] = (f"{family.heads[stem]}.{kind}",)
        elif stem.startswith("blocks.") and part == "attn.qkv":
            found[key] = tuple(f"{inside}attention.attention.{name}.{kind}" for name in QKV)
        elif stem.startswith("blocks.") and part in family.blocks:
            found[key] = (f"{inside}{family.blocks[part]}.{kind}",)
        elif stem.startswith("blocks.") and f"{part}.{kind}" in family.blocks:
            found[key] = (f"{inside}{family.blocks[f'{part}.{kind}']}",)
        else:
            unknown.append(key)
    if unknown:
        raise InputError(
            f"'{source}' has tensors that are of no plain ViT, DeiT or DINOv2 in timm's keys: {', '.join(unknown[:4])}"
            f"{' ...' if len(unknown) > 4 else ''}. Needed: one of these, with [CLS] token and position table."
        )
    return found


def from_timm(tensors: Mapping[str, Tensor], family: Family, source: str) -> dict[str, Tensor]:
    """timm's tensors under transformers' keys."""
    translated: dict[str, Tensor] = {}
    for key, theirs in names(tensors, family, source).items():
        parts = tensors[key].chunk(len(theirs))
        translated |= {name: part.contiguous() for name, part in zip(theirs, parts, strict=True)}
    table = f"{family.prefix}{TOP['pos_embed']}"
    if family is REGISTERS and table in translated:  # timm gives [CLS] no position of its own, transformers adds one: 0
        nothing = translated[table].new_zeros(1, 1, translated[table].shape[-1])
        translated[table] = torch.cat([nothing, translated[table]], dim=1)
    if family in (DINOV2, REGISTERS):  # of masked training; nothing is masked here
        translated["embeddings.mask_token"] = torch.zeros(1, translated["embeddings.cls_token"].shape[-1])
    return translated


def to_timm(theirs: Mapping[str, Tensor], keys: Iterable[str], source: str) -> dict[str, Tensor]:
    """transformers' tensors under these of timm's keys: the way back of `from_timm`.

    Raises InputError if a tensor is missing.
    """
    keys = list(keys)
    family = family_of(keys, source)
    back = {}
    for key, parts in names(keys, family, source).items():
        missing = [name for name in parts if name not in theirs]
        if missing:
            raise InputError(f"The checkpoint has no '{missing[0]}', which '{key}' of '{source}' is made of.")
        back[key] = torch.cat([theirs[name] for name in parts]) if len(parts) > 1 else theirs[parts[0]]
    if family is REGISTERS:
        back["pos_embed"] = back["pos_embed"][:, 1:]
    return back


def config_of(
    tensors: Mapping[str, Tensor], family: Family, about: Mapping[str, Any], name: str, source: str
) -> tuple[PretrainedConfig, tuple[tuple[float, ...], tuple[float, ...]]]:
    """transformers' configuration of these tensors, and mean and SD of the images.

    Args:
        tensors: in timm's keys. about: timm's config.json; empty where there is none.
        name: of the architecture, with or without its tag.

    Raises:
        InputError: an architecture or an argument that is not known, or tensors that do not fit it.
    """
    architecture, _, tag = name.partition(".")
    arguments = about.get("model_args", {})
    _check(architecture, arguments, about, source)
    needed = ("cls_token", "pos_embed", "patch_embed.proj.weight", "blocks.0.mlp.fc1.weight", "norm.weight")
    missing = [key for key in needed if key not in tensors]
    if missing:
        raise InputError(f"'{source}' lacks {missing[0]}: needed is a ViT, DeiT or DINOv2 in timm's keys.")
    patch = tensors["patch_embed.proj.weight"]
    shape: dict[str, Any] = {
        "hidden_size": patch.shape[0],
        "num_hidden_layers": 1 + max(int(key.split(".")[1]) for key in tensors if key.startswith("blocks.")),
        "num_attention_heads": heads_of(architecture, arguments, tensors, source),
        "patch_size": patch.shape[-1],
        "image_size": _side(tensors, family, about, patch.shape[-1], source),
        "layer_norm_eps": EPSILON,
        "qkv_bias": "blocks.0.attn.qkv.bias" in tensors,
    }
    width = tensors["blocks.0.mlp.fc1.weight"].shape[0]
    if family in (DINOV2, REGISTERS):
        shape |= {"mlp_ratio": width // patch.shape[0]}
        shape |= {"num_register_tokens": tensors["reg_token"].shape[1]} if family is REGISTERS else {}
    else:
        shape |= {"intermediate_size": width, "hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    if family.heads:
        shape |= {"num_labels": tensors["head.weight"].shape[0], **_labels(about, tensors["head.weight"].shape[0])}
    config = getattr(transformers, family.model).config_class(**shape, architectures=[family.model])
    return config, _normalisation(architecture, tag, about, source)


def _check(architecture: str, arguments: Mapping[str, Any], about: Mapping[str, Any], source: str) -> None:
    require_read(architecture, source)
    odd = sorted(set(arguments) - ARGUMENTS - {"global_pool"})
    if odd or arguments.get("global_pool", about.get("global_pool", "token")) not in ("token", ""):
        raise InputError(
            f"'{source}' was made with {', '.join(odd) or 'a global_pool other than token'}, which is not read: its "
            f"answers would differ."
        )


def _side(
    tensors: Mapping[str, Tensor], family: Family, about: Mapping[str, Any], patch: int, source: str
) -> int | tuple[int, int]:
    """The input size that the position table is made for: as config.json says, else a square."""
    prefix = 0 if family is REGISTERS else 2 if "dist_token" in tensors else 1
    places = tensors["pos_embed"].shape[1] - prefix
    given = about.get("model_args", {}).get("img_size") or _pretrained(about).get("input_size", [0])[1:]
    height, width = (given, given) if isinstance(given, int) else tuple(given) or (0, 0)
    if not given:
        height = width = round(places**0.5) * patch
    if (height // patch) * (width // patch) != places:
        raise InputError(
            f"The position table of '{source}' has {places} places, which do not fit an input of {width}x{height} in "
            f"patches of {patch}. Give the config.json with the right input size beside the file."
        )
    return height if height == width else (height, width)


def _pretrained(about: Mapping[str, Any]) -> Mapping[str, Any]:
    return about.get("pretrained_cfg", about)  # until 2023 timm wrote these fields at the top


def _labels(about: Mapping[str, Any], n: int) -> dict[str, Any]:
    """The names of the classes, where config.json has names of its own; synset ids are not names."""
    given = about.get("label_names") or _pretrained(about).get("label_names")
    if not isinstance(given, list) or len(given) != n or all(re.fullmatch(r"n\d{8}", str(x)) for x in given):
        return {}
    return {"id2label": dict(enumerate(map(str, given))), "label2id": {str(x): i for i, x in enumerate(given)}}


def _normalisation(
    architecture: str, tag: str, about: Mapping[str, Any], source: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    cfg = _pretrained(about)
    if "mean" in cfg and "std" in cfg:
        return levels_of({"image_mean": cfg["mean"], "image_std": cfg["std"]}, (IMAGENET[0], IMAGENET[1]), source)
    if architecture.startswith("deit") or "dinov2" in architecture:
        return IMAGENET
    for start, known in TAGS.items():
        if tag.startswith(start):
            return known
    raise InputError(
        f"The mean and SD that the images of '{source}' need are not known. Put timm's config.json beside the file, or "
        f"give the file timm's whole name with the tag, such as vit_base_patch16_224.augreg_in21k_ft_in1k.safetensors."
    )
