"""Where the [CLS] token looks in the last layer, the plainest reading of a vision transformer."""

from jaxtyping import Float
from torch import Tensor

from gazetune.attention.rollout import first_row
from gazetune.backbones.protocol import Output


def cls_attention(output: Output) -> Float[Tensor, "batch grid_height grid_width"]:
    """The last layer's [CLS] row, averaged over heads, at the patches; differentiable.

    Of a model that is not read at [CLS], the last layer's rows weighted as its read-out weighs them. As Caron et al.
    (2021, DINO, ICCV) show it, but averaged over heads. Not divided by what goes to the prefix tokens.
    """
    row = first_row(output.attention[-1:], output.readout)
    return row[:, output.prefix :].unflatten(1, output.grid)
