"""The last block of a transformer for its [CLS] row alone: where only that row is read, nothing depends on the others.

Keys and values are those of every token; query, output projection and MLP are computed for one token instead of
hundreds, a fifteenth of the whole of a ViT-B less, forward and backward.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from jaxtyping import Float
from torch import Tensor, nn


def keys_and_values(block: nn.Module) -> list[nn.Module]:
    """The two projections of a block, where it has one of each by transformers' names; else empty."""
    found = [m for name, m in block.named_modules() if name.rpartition(".")[2] in ("k_proj", "v_proj")]
    return found if len(found) == 2 else []


@contextmanager
def cls_row_only(block: nn.Module, norm: nn.Module) -> Iterator[None]:
    """Within this, the block takes all tokens and hands on the first of them.

    norm: the block's norm before its attention. The keys and values then reach the attention function with tokens and
    heads in one dimension, [batch, tokens x heads, 1, dim], because the block sees one token (`capture.apart`).
    """
    seen: dict[str, Float[Tensor, "batch tokens dim"]] = {}

    def shorten(_module: nn.Module, given: tuple[Any, ...], named: dict[str, Any]) -> tuple[tuple[Any, ...], Any]:
        tokens = given[0] if given else named["hidden_states"]
        seen["whole"] = norm.forward(tokens)
        first = tokens[:, :1]
        return ((first, *given[1:]), named) if given else (given, named | {"hidden_states": first})

    def lengthen(_module: nn.Module, _given: tuple[Any, ...]) -> tuple[Tensor]:
        return (seen["whole"],)

    hooks = [block.register_forward_pre_hook(shorten, with_kwargs=True)]
    hooks += [projection.register_forward_pre_hook(lengthen) for projection in keys_and_values(block)]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
