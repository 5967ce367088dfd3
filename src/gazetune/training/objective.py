"""The objective: keep what the model knows, move where it looks."""

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import mse_loss

from gazetune.maps import is_constant, upsampled
from gazetune.metrics.saliency import kl


@dataclass(frozen=True)
class Loss:
    """loss = distillation + lambda * attention, each a mean over the batch."""

    distillation: Float[Tensor, ""]
    attention: Float[Tensor, ""]
    weight: float

    @property
    def total(self) -> Float[Tensor, ""]:
        """The value that is minimised."""
        return self.distillation + self.weight * self.attention


def objective(
    feature: Float[Tensor, "batch dim"],
    teacher: Float[Tensor, "batch dim"],
    grids: Float[Tensor, "batch grid_height grid_width"],
    targets: Float[Tensor, "batch height width"],
    weight: float,
) -> Loss:
    """The paper's composite loss for one batch.

    Distillation: mean squared error between the student's and the teacher's [CLS] state (batch and dimensions).
    Attention: KL(human || rollout) in nats, summed over the pixels of the 224x224 maps, mean over the batch. Averaged
    over pixels as well it would be 50,176 times smaller, and early stopping would end at once. A constant map, such as
    a Grad-CAM where nothing speaks for the class, counts as the uniform distribution and has no gradient.
    """
    attention = kl(maps_of(grids, targets.shape[-1]), targets).mean()
    return Loss(mse_loss(feature, teacher), attention, weight)


def maps_of(grids: Float[Tensor, "batch grid_height grid_width"], size: int) -> Float[Tensor, "batch size size"]:
    """`upsampled`, but 0 for a constant map, which the epsilon of the KL divergence makes uniform, instead of NaN."""
    varied = ~is_constant(grids.detach())
    if bool(varied.all()):
        return upsampled(grids, size)
    maps = grids.new_zeros(len(grids), size, size)
    maps[varied] = upsampled(grids[varied], size)
    return maps
