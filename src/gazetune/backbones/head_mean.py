"""Attention and its probabilities averaged over heads, with the gradient written out: what a training step reads.

autograd's own passes over the probabilities once more for the scaling, and twice for the mean over heads: for ViT-B/16
and 8 images 15 MB each time. On a CPU one image after the other is computed, whose probabilities (1.9 MB) stay in the
cache between the passes.
"""

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.autograd.function import once_differentiable

Asking = Float[Tensor, "batch heads rows dim"]
Asked = Float[Tensor, "batch heads tokens dim"]


class HeadMean(torch.autograd.Function):
    """Scaled dot-product attention with the mean of its probabilities; first derivatives only."""

    @staticmethod
    def forward(
        ctx: Any, query: Asking, key: Asked, value: Asked, scaling: float
    ) -> tuple[Float[Tensor, "batch rows heads dim"], Float[Tensor, "batch rows tokens"]]:
        """Mixed values [batch, rows, heads, dim] and the mean over heads [batch, rows, tokens]."""
        exact = torch.float64 if query.dtype == torch.float64 else torch.float32
        batch, heads, rows, _ = query.shape
        tokens, dim = value.shape[2:]
        pieces, learns = _pieces(query), any(ctx.needs_input_grad)
        held = batch if learns else batch // len(pieces)  # without a graph each piece takes the place of the last
        probabilities = query.new_empty(held, heads, rows, tokens, dtype=exact)
        mixed, mean = value.new_empty(batch, rows, heads, dim), probabilities.new_empty(batch, rows, tokens)
        for some in pieces:
            here = probabilities[some] if learns else probabilities
            scores = (query[some] * scaling) @ key[some].transpose(2, 3)
            torch._softmax(scores.to(exact), -1, False, out=here)
            torch.mean(here, 1, out=mean[some])
            mixed[some] = (here.to(value.dtype) @ value[some]).transpose(1, 2)
        if learns:
            ctx.save_for_backward(query, key, value, probabilities)
            ctx.scaling = scaling
        return mixed, mean

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, by_mixed: Tensor, by_mean: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        """Gradients by query, key and value, each as the projections before them want it: heads side by side."""
        query, key, value, probabilities = ctx.saved_tensors
        kind, heads = query.dtype, query.shape[1]
        by_query, by_key, by_value = (torch.empty_like(t.transpose(1, 2), memory_format=torch.contiguous_format)
                                      for t in (query, key, value))  # fmt: skip
        for some in _pieces(query):
            outer = by_mixed[some].transpose(1, 2).contiguous()
            # products with the small factor first: the transposed probabilities are read at half the speed
            by_value[some] = (outer.transpose(2, 3) @ probabilities[some].to(kind)).permute(0, 3, 1, 2)
            inner = (outer @ value[some].transpose(2, 3)).to(probabilities.dtype)
            inner.add_(by_mean[some, None], alpha=1 / heads)
            by_scores = torch._softmax_backward_data(inner, probabilities[some], -1, probabilities.dtype).to(kind)
            by_query[some] = (by_scores @ key[some]).mul_(ctx.scaling).transpose(1, 2)
            by_key[some] = (query[some].transpose(2, 3) @ by_scores).mul_(ctx.scaling).permute(0, 3, 1, 2)
        return by_query.transpose(1, 2), by_key.transpose(1, 2), by_value.transpose(1, 2), None


def _pieces(query: Asking) -> list[slice]:
    """The images that are computed at once: one on a CPU, all elsewhere."""
    return [slice(i, i + 1) for i in range(len(query))] if query.device.type == "cpu" else [slice(None)]
