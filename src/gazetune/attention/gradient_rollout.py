"""Attention rollout with each head's attention weighted by its gradient."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gazetune.attention.gradients import class_gradients
from gazetune.attention.rollout import first_row
from gazetune.backbones.protocol import Output


def gradient_rollout(
    output: Output, classes: Int[Tensor, " batch"] | None = None
) -> Float[Tensor, "batch grid_height grid_width"]:
    """The rollout of E_heads(dA * A)+ in place of the attention, at the patches.

    Gildenblat (2020), "Exploring explainability for vision transformers", and its package vit-explain: the mean over
    heads first, negative numbers then to 0, plus the identity, rows to sum 1, multiplied. Nothing else is set to 0
    (vit-explain drops the lowest 90 % by default).

    `output` keeps the attention of every head. Differentiable, by second derivatives.
    """
    mixed = []
    for change, layer in zip(class_gradients(output, output.attention, classes), output.attention, strict=True):
        weighted = (change * layer).mean(dim=1).clamp(min=0)
        both = weighted + torch.eye(weighted.shape[-1], dtype=weighted.dtype, device=weighted.device)
        mixed.append(both / both.sum(dim=-1, keepdim=True))
    row = first_row(mixed, output.readout)
    return row[:, output.prefix :].unflatten(1, output.grid)
