"""Small transformers with random weights in float64, for tests of attention methods."""

import torch
from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel, ViTConfig, ViTForImageClassification

from gazetune.backbones.vit import HALF, VisionTransformer

SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64, "patch_size": 8}


def random_vit():
    """A ViT with a head; weights large enough that heads differ and the norms have scales of their own."""
    return _drawn(ViTForImageClassification(ViTConfig(**SMALL, image_size=32, num_labels=5)), seed=3)


def random_dinov2():
    """A DINOv2 with four registers and no head."""
    model = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**SMALL, image_size=32, num_register_tokens=4))
    return _drawn(model, seed=4)


def _drawn(model, seed):
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    return VisionTransformer(model.double(), *HALF, (32, 32), name=type(model).__name__)


def noise(n=2, size=32, seed=1):
    """Photos of noise."""
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))
