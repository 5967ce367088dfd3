"""The attention function that lets a transformer report where it looks, with the graph attached.

transformers' own fused attention returns no probabilities. This one is registered with its AttentionInterface and
returns them averaged over heads, in float32 (float64 in a float64 model): a twelfth of the per-head maps of ViT-B.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AttentionInterface

HEAD_MEAN = "gazetune_head_mean"


def head_mean_attention(
    module: nn.Module,
    query: Float[Tensor, "batch heads tokens dim"],
    key: Float[Tensor, "batch heads tokens dim"],
    value: Float[Tensor, "batch heads tokens dim"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: object,
) -> tuple[Float[Tensor, "batch tokens heads dim"], Float[Tensor, "batch tokens tokens"]]:
    """Scaled dot-product attention that also returns its probabilities, averaged over heads."""
    scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if attention_mask is not None:
        scores = scores + attention_mask
    exact = torch.float64 if scores.dtype == torch.float64 else torch.float32
    probabilities = torch.softmax(scores, dim=-1, dtype=exact)
    mixed = nn.functional.dropout(probabilities.to(value.dtype), p=dropout, training=module.training) @ value
    return mixed.transpose(1, 2).contiguous(), probabilities.mean(dim=1)


AttentionInterface.register(HEAD_MEAN, head_mean_attention)
