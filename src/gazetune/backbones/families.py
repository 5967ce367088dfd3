"""The families of vision transformers that can be read, one row each: which tokens they have, which row is read."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, UInt8
from torch import Tensor
from transformers import PreTrainedModel

from gazetune.errors import InputError

# where the map of an image is read: the [CLS] row; the mean of the patches' rows; the row of the pooling head's query
Reading = Literal["cls", "mean", "pooling head"]
# how positions get into the model: a table of one size that must be told to stretch; tables that stretch by
# themselves; positions made for any size (or a table stretched in training); patches handed over with their places
Positions = Literal["told", "stretches", "free", "patches"]
Normalisation = tuple[tuple[float, float, float], tuple[float, float, float]]

IMAGENET: Normalisation = ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
HALF: Normalisation = ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
OPENAI: Normalisation = ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))


@dataclass(frozen=True)
class Family:
    """How the vision transformers of one `model_type` are read.

    models: the transformers classes it may be; others of the family have no class scores (masked image modelling).
    prefix: the tokens before the patches, in order; `registers` stands for as many as the configuration says.
    normalisation: mean and SD where a folder has no preprocessor_config.json: those the family was trained with.
    positions: see `Positions`.
    reads: the reading of the map and of what distillation holds on to, each with the setting of the configuration
    that asks for it (None: always); the first that is asked for holds. It is what the model's own head reads.
    pooled: whether transformers' `pooler_output` is what a classification head would sit on.
    processor: the transformers image processor that does what this package does to an image.
    """

    models: tuple[str, ...]
    prefix: tuple[str, ...]
    normalisation: Normalisation
    positions: Positions
    reads: tuple[tuple[Reading, str | None], ...] = (("cls", None),)
    pooled: bool = False
    processor: str = "ViTImageProcessor"

    def reading(self, config: Any) -> Reading:
        """The reading that this configuration asks for."""
        return next(reading for reading, setting in self.reads if setting is None or getattr(config, setting, True))

    def prefix_length(self, config: Any) -> int:
        """How many tokens stand before the patches."""
        return sum(config.num_register_tokens if token == "registers" else 1 for token in self.prefix)


MEAN: tuple[tuple[Reading, str | None], ...] = (("mean", None),)
POOLING_HEAD: tuple[tuple[Reading, str | None], ...] = (("pooling head", "vision_use_head"), ("mean", None))
MEAN_POOLING: tuple[tuple[Reading, str | None], ...] = (("mean", "use_mean_pooling"), ("cls", None))
DEIT = ("DeiTForImageClassificationWithTeacher", "DeiTForImageClassification", "DeiTModel")
CLIP = ("CLIPVisionModelWithProjection", "CLIPVisionModel")

# model_type of transformers -> how it is read; docs/models.md has the same table in words
FAMILIES: Mapping[str, Family] = {
    "vit": Family(("ViTForImageClassification", "ViTModel"), ("[CLS]",), HALF, "told"),
    "vit_mae": Family((), ("[CLS]",), IMAGENET, "told"),  # taken as a ViTModel, see TOWERS
    "vit_msn": Family(("ViTMSNForImageClassification", "ViTMSNModel"), ("[CLS]",), IMAGENET, "told"),
    "deit": Family(DEIT, ("[CLS]", "distillation"), IMAGENET, "told", processor="DeiTImageProcessor"),
    "beit": Family(("BeitForImageClassification", "BeitModel"), ("[CLS]",), HALF, "stretches", MEAN_POOLING, True),
    "dinov2": Family(("Dinov2ForImageClassification", "Dinov2Model"), ("[CLS]",), IMAGENET, "free"),
    "dinov2_with_registers": Family(
        ("Dinov2WithRegistersForImageClassification", "Dinov2WithRegistersModel"),
        ("[CLS]", "registers"),
        IMAGENET,
        "free",
    ),
    "dinov3_vit": Family(("DINOv3ViTModel",), ("[CLS]", "registers"), IMAGENET, "free"),
    "clip_vision_model": Family(CLIP, ("[CLS]",), OPENAI, "told", pooled=True),
    "clip": Family(("CLIPForImageClassification",), ("[CLS]",), OPENAI, "told", MEAN),
    "siglip_vision_model": Family(("SiglipVisionModel",), (), HALF, "told", POOLING_HEAD, True),
    "siglip": Family(("SiglipForImageClassification",), (), HALF, "told", MEAN),
    "siglip2_vision_model": Family(
        ("Siglip2VisionModel",), (), HALF, "patches", POOLING_HEAD, True, processor="Siglip2ImageProcessor"
    ),
    "siglip2": Family(("Siglip2ForImageClassification",), (), HALF, "patches", MEAN, processor="Siglip2ImageProcessor"),
}

# the models of which nothing after the last block reads a token but [CLS], with blocks that `last_block` can shorten:
# a norm before the attention, no positions in it
CLS_ALONE = frozenset(
    {
        *("ViTForImageClassification", "ViTModel", "ViTMSNForImageClassification", "ViTMSNModel", "DeiTModel"),
        *("DeiTForImageClassification", "Dinov2Model", "Dinov2WithRegistersModel", *CLIP),
    }
)

# architecture of a checkpoint (or its model_type, where it names none) -> the part of it that sees
TOWERS: Mapping[str, str] = {
    **dict.fromkeys(("CLIPModel", "clip"), "CLIPVisionModelWithProjection"),
    **dict.fromkeys(("SiglipModel", "siglip"), "SiglipVisionModel"),
    **dict.fromkeys(("Siglip2Model", "siglip2"), "Siglip2VisionModel"),
    # without the decoder and without masking; both name their tensors alike
    **dict.fromkeys(("ViTMAEForPreTraining", "ViTMAEModel", "vit_mae"), "ViTModel"),
    "ViTForMaskedImageModeling": "ViTModel",
    "DeiTForMaskedImageModeling": "DeiTModel",
}

# what a map is read from, in words, where it is not the [CLS] row
WORDS: Mapping[Reading, str] = {
    "mean": "attention read as the mean of the patches' rows",
    "pooling head": "attention read by the query of the pooling head",
}


def pair(size: int | Sequence[int]) -> tuple[int, int]:
    """A size as transformers may write it, as (height, width)."""
    return (size, size) if isinstance(size, int) else (size[0], size[1])


def family_of(model: Any, name: str) -> Family:
    """How a transformers model is read. Raises InputError for one whose layout of tokens is not known."""
    family, kind = FAMILIES.get(model.config.model_type), type(model).__name__
    if family is None:
        raise InputError(
            f"'{name}' ({kind}) is not a plain vision transformer whose tokens are known here, so a map of it could "
            f"be wrong. There are {', '.join(FAMILIES)}; of CNNs ResNet and ConvNeXt."
        )
    if kind not in family.models:
        raise InputError(
            f"'{name}' is a {kind}, which neither classifies images nor describes them as a whole. Needed: "
            f"{', '.join(family.models)}."
        )
    return family


def normalised(
    images: UInt8[Tensor, "batch 3 height width"], mean: Sequence[float], std: Sequence[float], like: Tensor
) -> Float[Tensor, "batch 3 height width"]:
    """Levels 0..255 less the mean over the SD (both of intensities 0..1), on the device and of the type of `like`."""
    centre = torch.tensor(mean, device=like.device).view(3, 1, 1) * 255
    spread = torch.tensor(std, device=like.device).view(3, 1, 1) * 255
    return ((images.to(like.device).float() - centre) / spread).to(like.dtype)


def class_names(model: PreTrainedModel) -> tuple[str, ...]:
    """The names of the logits, in order; empty where they are transformers' placeholders."""
    names = getattr(model.config, "id2label", None) or {}
    ordered = tuple(str(names[i]) for i in sorted(names))
    return () if all(name == f"LABEL_{i}" for i, name in enumerate(ordered)) else ordered  # transformers' placeholders
