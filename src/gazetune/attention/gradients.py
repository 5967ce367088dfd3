"""Gradients of a score with respect to what lies inside of a model: what gradient methods are made of."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from gazetune.backbones.protocol import Output
from gazetune.errors import InputError


def score_of(output: Output, classes: Int[Tensor, " batch"] | None = None) -> Float[Tensor, " batch"]:
    """What is explained of each image: the logit, before the softmax, of its class, by default the model's prediction.

    A model without class scores (`classes` then says nothing): <h, h0> / <h0, h0>, h the feature ([CLS] before the
    final norm, or the pooled vector) and h0 its own value, held constant. It is 1 for every image, and its gradient
    says what the feature is made of. The inner product of a representation with itself, one factor held, is what Crabbe
    & van der Schaar (2022, "Label-free explainability for unsupervised models", ICML) explain; the constant below only
    sets the scale, on which relevance and gradient rollout depend. Not the cosine: it is at its maximum there, so its
    gradient is 0. Not the vector after the final norm: a LayerNorm holds its length, so only the norm's learnt
    scale would keep the gradient from 0.

    Raises InputError for a class that the model does not have.
    """
    logits = output.logits
    if logits is None:
        held = output.feature.detach()
        return (output.feature * held).sum(dim=1) / held.square().sum(dim=1)
    chosen = logits.argmax(1) if classes is None else classes.to(logits.device)
    wrong = chosen[(chosen < 0) | (chosen >= logits.shape[1])]
    if len(wrong):
        raise InputError(f"The model has {logits.shape[1]} classes; there is no class {int(wrong[0])} to explain.")
    return logits.gather(1, chosen[:, None])[:, 0]


def class_gradients(output: Output, inside: Sequence[Tensor], classes: Int[Tensor, " batch"] | None) -> list[Tensor]:
    """d score / d x for each x in `inside`, each of the shape of x; image by image, for no image sees another.

    The score is that of `score_of`. In training (grad mode on) the gradients have a graph themselves, so that a loss on
    them reaches the weights; in evaluation (`torch.no_grad`) they are plain numbers, and only the forward pass must
    have been made with a graph.

    Raises:
        InputError: a class that the model does not have, or no gradient reaches `inside`.
    """
    training = torch.is_grad_enabled()
    with torch.enable_grad():
        score = score_of(output, classes).sum()
    if not score.requires_grad or not all(x.requires_grad for x in inside):
        raise InputError("No graph leads from the score to the activations: make the forward pass with one.")
    return list(torch.autograd.grad(score, tuple(inside), create_graph=training, retain_graph=True))
