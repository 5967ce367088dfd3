"""Where the [CLS] token looks in the last layer, the plainest reading of a vision transformer."""

from jaxtyping import Float
from torch import Tensor

from gazetune.backbones.protocol import Output


def cls_attention(output: Output) -> Float[Tensor, "batch grid_height grid_width"]:
    """The last layer's [CLS] row, averaged over heads, at the patches; differentiable.

    As Caron et al. (2021, DINO, ICCV) show it, but averaged over heads. Not divided by what goes to the prefix tokens.
    """
    row = output.attention[-1][:, 0]
    return row[:, output.prefix :].reshape(len(row), *output.grid)
