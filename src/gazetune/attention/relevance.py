"""Relevance of each patch for a score, through all layers (Chefer, Gur & Wolf, 2021)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gazetune.attention.gradients import class_gradients
from gazetune.attention.rollout import first_row
from gazetune.backbones.protocol import Output


def relevance(
    output: Output, classes: Int[Tensor, " batch"] | None = None
) -> Float[Tensor, "batch grid_height grid_width"]:
    """The [CLS] row of R, at the patches: R = I, then R + A R from first to last layer, A = E_heads((dA * A)+).

    dA is the gradient of the target's score with respect to the attention A of each head, * is elementwise, + sets
    negative numbers to 0. Chefer, Gur & Wolf (2021), "Generic attention-model explainability for interpreting bi-modal
    and encoder-decoder transformers", ICCV, the rule for self-attention alone. R is the product of all I + A, so its
    [CLS] row is carried from the last layer back.

    `output` keeps the attention of every head. Differentiable, by second derivatives.
    """
    mixed = []
    for change, layer in zip(class_gradients(output, output.attention, classes), output.attention, strict=True):
        weighted = (change * layer).clamp(min=0).mean(dim=1)
        mixed.append(weighted + torch.eye(weighted.shape[-1], dtype=weighted.dtype, device=weighted.device))
    row = first_row(mixed, output.readout)
    return row[:, output.prefix :].unflatten(1, output.grid)
