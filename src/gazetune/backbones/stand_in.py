"""Models of the shape of published ones, with random numbers in them: their time can be told without the weights."""

from typing import Any

from transformers import (
    PreTrainedModel,
    ResNetConfig,
    ResNetForImageClassification,
    ViTConfig,
    ViTForImageClassification,
)

from gazetune.backbones.families import HALF, IMAGENET, pair
from gazetune.backbones.protocol import Backbone
from gazetune.backbones.resnet import ConvolutionalNetwork
from gazetune.backbones.vit import VisionTransformer

CLASSES: dict[str, Any] = {"num_labels": 1000}  # of ImageNet; all else is transformers' default


def stand_in(name: str, image_size: int | tuple[int, int] | None = None) -> Backbone | None:
    """A model shaped like the weights of this hub name; None for one whose shape is not known here."""
    size = pair(image_size or 224)
    if name == "google/vit-base-patch16-224":
        vit: PreTrainedModel = ViTForImageClassification(ViTConfig(**CLASSES))
        return VisionTransformer(vit, *HALF, size, name=name)
    if name == "microsoft/resnet-50":
        resnet: PreTrainedModel = ResNetForImageClassification(ResNetConfig(**CLASSES))
        return ConvolutionalNetwork(resnet, *IMAGENET, size, name=name)
    return None
