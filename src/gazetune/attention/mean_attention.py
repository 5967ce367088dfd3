"""Where the [CLS] token looks on average over the layers."""

import torch
from jaxtyping import Float
from torch import Tensor

from gazetune.attention.rollout import first_row
from gazetune.backbones.protocol import Output


def mean_attention(output: Output) -> Float[Tensor, "batch grid_height grid_width"]:
    """The mean over layers of the [CLS] row averaged over heads, at the patches; differentiable.

    Unlike the rollout it does not follow attention from layer to layer: a patch that reaches [CLS] by way of another
    token does not count.
    """
    row = torch.stack([first_row([layer], output.readout) for layer in output.attention]).mean(dim=0)
    return row[:, output.prefix :].unflatten(1, output.grid)
