"""Attention methods: an `Output` in, a map on the patch grid out, differentiable where the method is."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from gazetune.attention.cls_attention import cls_attention
from gazetune.attention.gradcam import gradcam
from gazetune.attention.gradient_rollout import gradient_rollout
from gazetune.attention.mean_attention import mean_attention
from gazetune.attention.relevance import relevance
from gazetune.attention.rollout import rollout
from gazetune.backbones import Backbone, Given, Kept, Output
from gazetune.errors import InputError

Grid = Float[Tensor, "batch grid_height grid_width"]


@dataclass(frozen=True)
class Method:
    """How a map is made of a forward pass, with what others need to know to use and to show it.

    of: takes the output and the class that each image is explained for (None: the model's own prediction, or a method
    that needs no class) and returns the map on the patch grid.
    needs: the field of `Output` that it reads. keeps: what the backbone is asked to keep of its attention.
    gradient: whether it is made of gradients of a score (`gradients.score_of`). The forward pass then has a graph even
    in evaluation, and `of` builds a second one where the caller's grad mode is on, so that a loss on the map reaches
    the weights (`gradients.class_gradients` does both).
    """

    of: Callable[[Output, Int[Tensor, " batch"] | None], Grid]
    needs: Given
    keeps: Kept = "mean"
    gradient: bool = False
    label: str = ""

    def forward(self, backbone: Backbone, images: UInt8[Tensor, "batch 3 height width"]) -> Output:
        """A forward pass that keeps what the method reads, with a graph where it needs one."""
        with torch.set_grad_enabled(self.gradient or torch.is_grad_enabled()):
            return backbone(images, self.keeps)


METHODS: dict[str, Method] = {
    "rollout": Method(lambda output, _: rollout(output), "attention", "read", label="Attention rollout"),
    "cls_attention": Method(lambda output, _: cls_attention(output), "attention", "read", label="Last layer"),
    "mean_attention": Method(lambda output, _: mean_attention(output), "attention", "read", label="Mean of layers"),
    "gradient_rollout": Method(gradient_rollout, "attention", keeps="heads", gradient=True, label="Gradient rollout"),
    "relevance": Method(relevance, "attention", keeps="heads", gradient=True, label="Relevance"),
    "gradcam": Method(gradcam, "activations", gradient=True, label="Grad-CAM"),
}


def fitting(backbone: Backbone) -> list[str]:
    """The names of the methods that a model gives what they need."""
    return [name for name, method in METHODS.items() if method.needs in backbone.gives]


def require_fit(name: str, backbone: Backbone, model: str) -> None:
    """Raises InputError, naming the methods that fit, if the method cannot explain this model, called `model`."""
    method, given = METHODS[name], " and ".join(sorted(backbone.gives)) or "nothing that a method could read"
    others = fitting(backbone)
    cure = (
        f"Give this model attention: {' or '.join(others)} in the YAML, or --set attention={others[0]}."
        if others
        else "No method fits this model."
    )
    if method.needs not in backbone.gives:
        raise InputError(f"The attention method '{name}' needs {method.needs}, but '{model}' gives {given}. {cure}")
