"""The attention functions that let a transformer report where it looks, with the graph attached.

transformers' own fused attention returns no probabilities. These are registered with its AttentionInterface and
return them in float32 (float64 in a float64 model): averaged over heads, which is a twelfth of the per-head maps of
ViT-B; of every head; or one row of every head, beside the fused attention: the [CLS] row, or the mean of the patches'
rows for models that are not read at [CLS].
"""

from collections.abc import Callable
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from transformers import AttentionInterface
from transformers.masking_utils import AttentionMaskInterface, eager_mask

from gazetune.backbones.head_mean import HeadMean

HEAD_MEAN, READ = "gazetune_head_mean", "gazetune_read"
EACH_HEAD, CLS_ROWS = "gazetune_each_head", "gazetune_cls_rows"

Queries = Float[Tensor, "batch heads tokens dim"]
Asking = Float[Tensor, "batch heads rows dim"]
Mixed = Float[Tensor, "batch tokens heads dim"]
Rows = Float[Tensor, "batch heads rows tokens"]


def head_mean_attention(
    module: nn.Module,
    query: Queries,
    key: Queries,
    value: Queries,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: object,
) -> tuple[Mixed, Float[Tensor, "batch tokens tokens"]]:
    """Scaled dot-product attention that also returns its probabilities, averaged over heads."""
    mixed, probabilities = each_head_attention(module, query, key, value, attention_mask, scaling, dropout)
    return mixed, probabilities.mean(dim=1)


def read_attention(
    module: nn.Module,
    query: Asking,
    key: Float[Tensor, "batch _ _ dim"],
    value: Float[Tensor, "batch _ _ dim"],
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: object,
) -> tuple[Float[Tensor, "batch rows heads dim"], Float[Tensor, "batch rows tokens"]]:
    """As `head_mean_attention`, faster, also for a block that sees one token; it has no second derivatives."""
    key, value = apart(key, query), apart(value, query)
    if attention_mask is not None or (module.training and dropout):
        return head_mean_attention(module, query, key, value, attention_mask, scaling, dropout)
    # rotary positions leave queries and keys in float32 under autocast, whose products would be in bf16
    query, key = query.to(value.dtype), key.to(value.dtype)
    return HeadMean.apply(query, key, value, query.shape[-1] ** -0.5 if scaling is None else scaling)


def apart(states: Float[Tensor, "batch _ _ dim"], query: Asking) -> Queries:
    """Keys or values with heads and tokens in dimensions of their own (see last_block.cls_row_only)."""
    if states.shape[1] == query.shape[1]:
        return states
    return states.reshape(len(states), -1, query.shape[1], states.shape[-1]).transpose(1, 2)


def each_head_attention(
    module: nn.Module,
    query: Queries,
    key: Queries,
    value: Queries,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: object,
) -> tuple[Mixed, Rows]:
    """Scaled dot-product attention that also returns the probabilities of every head."""
    probabilities = _probabilities(query, key, attention_mask, scaling)
    mixed = nn.functional.dropout(probabilities.to(value.dtype), p=dropout, training=module.training) @ value
    return mixed.transpose(1, 2).contiguous(), probabilities


def cls_rows_attention(
    module: nn.Module,
    query: Queries,
    key: Queries,
    value: Queries,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **_: object,
) -> tuple[Mixed, Float[Tensor, "batch heads tokens"]]:
    """torch's fused attention, and the probabilities of the [CLS] token's row alone, of every head."""
    mixed = nn.functional.scaled_dot_product_attention(
        query, key, value, attention_mask, dropout if module.training else 0.0, scale=scaling
    )
    mask = None if attention_mask is None else attention_mask[..., :1, :]
    return mixed.transpose(1, 2).contiguous(), _probabilities(query[:, :, :1], key, mask, scaling)[:, :, 0]


def patch_rows_attention(
    module: nn.Module,
    query: Queries,
    key: Queries,
    value: Queries,
    attention_mask: Tensor | None,
    scaling: float | None = None,
    dropout: float = 0.0,
    prefix: int = 0,
    **_: object,
) -> tuple[Mixed, Float[Tensor, "batch heads tokens"]]:
    """torch's fused attention, and the mean of the patches' rows of the probabilities, of every head.

    prefix: how many tokens stand before the patches.
    """
    mixed = nn.functional.scaled_dot_product_attention(
        query, key, value, attention_mask, dropout if module.training else 0.0, scale=scaling
    )
    mask = attention_mask
    if mask is not None and mask.shape[-2] > 1:  # else one row for all
        mask = mask[..., prefix:, :]
    return mixed.transpose(1, 2).contiguous(), _probabilities(query[:, :, prefix:], key, mask, scaling).mean(dim=2)


def patch_rows(prefix: int) -> str:
    """The name of `patch_rows_attention` in transformers, for models with so many tokens before the patches."""
    name = f"gazetune_patch_rows_after_{prefix}"
    _register(name, partial(patch_rows_attention, prefix=prefix))
    return name


def _probabilities(
    query: Float[Tensor, "batch heads rows dim"], key: Queries, attention_mask: Tensor | None, scaling: float | None
) -> Rows:
    scores = query @ key.transpose(2, 3) * (query.shape[-1] ** -0.5 if scaling is None else scaling)
    if attention_mask is not None:
        scores = scores + attention_mask
    exact = torch.float64 if scores.dtype == torch.float64 else torch.float32
    return torch.softmax(scores, dim=-1, dtype=exact)


def _register(name: str, function: Callable[..., tuple[Tensor, Tensor]]) -> None:
    AttentionInterface.register(name, function)
    AttentionMaskInterface.register(name, eager_mask)  # without it transformers drops a mask of padding, without a word


_register(HEAD_MEAN, head_mean_attention)
_register(READ, read_attention)
_register(EACH_HEAD, each_head_attention)
_register(CLS_ROWS, cls_rows_attention)
