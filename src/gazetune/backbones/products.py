"""Linear layers in float32 on AMD's processors with AVX-512, by oneDNN instead of MKL.

torch multiplies float32 matrices on x86 with MKL, which uses AVX-512 on Intel's processors alone. oneDNN, which torch
ships and uses for bf16 and for convolutions, uses it wherever it is: for the products of ViT-B/16 on a core of an AMD
EPYC (Zen 5) 200 to 210 instead of 97 GFLOP/s. Both are float32 throughout; sums differ in their order alone.
"""

from functools import cache
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

NARROWEST = 256  # smaller products take no time worth another order of sums, least of all in the tiny model


def speed_up(model: nn.Module) -> None:
    """Let the linear layers of a model compute by oneDNN where that is faster; weights and names stay as they are."""
    if not onednn_is_faster():
        return
    for module in model.modules():
        if type(module) is nn.Linear and min(module.in_features, module.out_features) >= NARROWEST:
            module.__class__ = Linear


class Linear(nn.Linear):
    """torch's linear layer, by oneDNN in float32 on a CPU."""

    def forward(self, given: Float[Tensor, "*rows inputs"]) -> Float[Tensor, "*rows outputs"]:
        """given times the transposed weight, plus the bias."""
        exported = torch.jit.is_tracing() or torch.compiler.is_compiling()  # the operation has no name elsewhere
        plain = given.dtype == self.weight.dtype == torch.float32 and given.device.type == "cpu" and given.numel() > 0
        if exported or not plain or torch.is_autocast_enabled("cpu"):
            return super().forward(given)
        product = Product.apply(given.reshape(-1, self.in_features), self.weight, self.bias)
        return product.reshape(*given.shape[:-1], self.out_features)


class Product(torch.autograd.Function):
    """given times the transposed weight, plus a bias or None; its gradients are such products again."""

    @staticmethod
    def forward(
        ctx: Any,
        given: Float[Tensor, "rows inputs"],
        weight: Float[Tensor, "outputs inputs"],
        bias: Float[Tensor, " outputs"] | None,
    ) -> Float[Tensor, "rows outputs"]:
        """The product, by the operation that torch.compile itself uses for linear layers on a CPU."""
        ctx.save_for_backward(given, weight)
        return torch.ops.mkldnn._linear_pointwise(given, weight, bias, "none", [], "")

    @staticmethod
    def backward(ctx: Any, outer: Float[Tensor, "rows outputs"]) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        """Gradients by what was given, the weight and the bias, each only where it is needed."""
        given, weight = ctx.saved_tensors
        by_given, by_weight, by_bias = ctx.needs_input_grad
        return (
            Product.apply(outer, weight.T, None) if by_given else None,
            Product.apply(outer.T, given.T, None) if by_weight else None,
            outer.sum(0) if by_bias else None,
        )


@cache
def onednn_is_faster() -> bool:
    """Whether this is an AMD processor with AVX-512 and torch has oneDNN: a rule, since a race may end so or so."""
    processor = torch.cpu.get_capabilities()
    wide = processor.get("avx512_f", False) and str(processor.get("cpu_name", "")).startswith("AMD")
    return wide and torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")
