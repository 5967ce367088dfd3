"""Grad-CAM: the maps inside of a model that speak for a class (Selvaraju et al., 2017, ICCV)."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gazetune.attention.gradients import class_gradients
from gazetune.backbones.protocol import Output
from gazetune.errors import InputError


def gradcam(
    output: Output, classes: Int[Tensor, " batch"] | None = None
) -> Float[Tensor, "batch grid_height grid_width"]:
    """ReLU of the sum of `output.activations` over channels, each weighted by the mean of the score's gradient over it.

    Of a transformer the activations are the patch tokens that the last block's attention reads, each channel a map: the
    patches that leave the last block no longer reach [CLS], so the gradient with respect to them is 0 (pytorch-grad-cam
    advises the same place). Differentiable, by second derivatives; in float32 at least. 0 everywhere where nothing
    speaks for the class: a constant map, which `maps.upsampled` makes NaN of and tables count.

    Raises InputError for a model that shows no activations.
    """
    if output.activations is None:
        raise InputError("Grad-CAM needs a model that shows its activations.")
    (change,) = class_gradients(output, [output.activations], classes)
    exact = torch.promote_types(change.dtype, torch.float32)
    weights = change.mean(dim=(2, 3), keepdim=True, dtype=exact)
    return (weights * output.activations).sum(dim=1).relu()
