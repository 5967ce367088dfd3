"""The objective: keep what the model knows, move where it looks."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import kl_div, log_softmax, mse_loss

from gazetune.maps import is_constant, upsampled
from gazetune.metrics.saliency import kl


@dataclass(frozen=True)
class Loss:
    """loss = distillation + lambda * attention + what else is held on to, each a mean over the batch.

    beyond: the other terms by name (logits, tokens, l2), each with its weight.
    """

    distillation: Float[Tensor, ""]
    attention: Float[Tensor, ""]
    weight: float
    beyond: Mapping[str, tuple[float, Float[Tensor, ""]]] = field(default_factory=dict)

    @property
    def total(self) -> Float[Tensor, ""]:
        """The value that is minimised."""
        total = self.distillation + self.weight * self.attention
        for weight, value in self.beyond.values():
            total = total + weight * value
        return total

    def terms(self) -> dict[str, float]:
        """`loss` and, without their weights, `distillation`, `attention` and the others: what is logged."""
        named = {"loss": self.total, "distillation": self.distillation, "attention": self.attention}
        named |= {name: value for name, (_, value) in self.beyond.items()}
        return {name: value.item() for name, value in named.items()}


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


def logits_divergence(
    student: Float[Tensor, "batch classes"], teacher: Float[Tensor, "batch classes"]
) -> Float[Tensor, ""]:
    """KL(teacher || student) of the two models' class probabilities in nats, mean over the batch.

    The distillation of Hinton, Vinyals & Dean (2015) at temperature 1, where its factor of the squared temperature is
    1; Li & Hoiem (2016, Learning without Forgetting) hold on to old classes with the same term at temperature 2.
    """
    return kl_div(log_softmax(student, 1), log_softmax(teacher, 1), reduction="batchmean", log_target=True)


def tokens_error(
    student: Float[Tensor, "batch tokens dim"], teacher: Float[Tensor, "batch tokens dim"], prefix: int
) -> Float[Tensor, ""]:
    """Mean squared error of the patch tokens (without the prefix), over batch, patches and dimensions.

    The hint of FitNets (Romero et al., 2015) on the last block, with no regressor since both have one width.
    """
    return mse_loss(student[:, prefix:], teacher[:, prefix:])


def weights_distance(weights: Mapping[str, Tensor], start: Mapping[str, Tensor]) -> Float[Tensor, ""]:
    """Half the sum of squared differences from the start weights: L2-SP of Li, Grandvalet & Davoine (2018).

    Its weight lambda_l2 is their alpha. A sum: a mean over millions of weights would need weights of a million.
    """
    return torch.stack([(value - start[name]).square().sum() for name, value in weights.items()]).sum() / 2


def maps_of(grids: Float[Tensor, "batch grid_height grid_width"], size: int) -> Float[Tensor, "batch size size"]:
    """`upsampled`, but 0 for a constant map, which the epsilon of the KL divergence makes uniform, instead of NaN."""
    varied = ~is_constant(grids.detach())
    if bool(varied.all()):
        return upsampled(grids, size)
    maps = grids.new_zeros(len(grids), size, size)
    maps[varied] = upsampled(grids[varied], size)
    return maps
