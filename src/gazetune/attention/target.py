"""What a gradient-based map explains: the score of a class or, without a head, how much of the representation is kept."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gazetune.backbones.protocol import Output


def target_score(output: Output, target: Int[Tensor, " batch"] | None = None) -> Float[Tensor, " batch"]:
    """One number an image, to be differentiated: the logit of the target class, by default of the highest.

    A model without logits: <h, h0> / <h0, h0>, h the feature ([CLS] before the final norm, or the pooled vector) and h0
    its own value, held constant. That is 1 for every image; its gradient says what the feature is made of. The
    inner product of a representation with itself is the score of Crabbe & van der Schaar (2022, "Label-free
    explainability for unsupervised models", ICML); the constant below only sets its scale, on which relevance
    and gradient rollout depend. Not the cosine: it is at its maximum there and its gradient is 0. Not the representation
    after the final norm: a LayerNorm keeps its length, so the gradient would be 0 but for the norm's learnt scale.
    """
    if output.logits is None:
        held = output.feature.detach()
        return (output.feature * held).sum(dim=1) / held.square().sum(dim=1)
    chosen = output.logits.argmax(dim=1) if target is None else target
    return output.logits.gather(1, chosen[:, None])[:, 0]


def gradients_of_attention(
    output: Output, target: Int[Tensor, " batch"] | None = None
) -> tuple[Float[Tensor, "batch heads tokens tokens"], ...]:
    """The gradient of each image's score with respect to the attention of every head, layer by layer.

    Images of a batch do not see one another, so the gradient of the sum of their scores is that of each.
    """
    total = target_score(output, target).sum()
    return torch.autograd.grad(total, output.attention, create_graph=True)
