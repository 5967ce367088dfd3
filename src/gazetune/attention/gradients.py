"""Gradients of class scores with respect to what lies inside of a model: what gradient methods are made of."""

from collections.abc import Sequence

import torch
from jaxtyping import Int
from torch import Tensor

from gazetune.backbones.protocol import Output
from gazetune.errors import InputError


def class_gradients(output: Output, inside: Sequence[Tensor], classes: Int[Tensor, " batch"] | None) -> list[Tensor]:
    """d score / d x for each x in `inside`, each of the shape of x; image by image, for no image sees another.

    The score is the logit, before the softmax, of the image's class: of `classes`, or of the model's own prediction.
    In training (grad mode on) the gradients have a graph themselves, so that a loss on them reaches the weights; in
    evaluation (`torch.no_grad`) they are plain numbers, and only the forward pass must have been made with a graph.

    Raises:
        InputError: the model has no class scores, a class that it does not have, or no gradient reaches `inside`.
    """
    logits = output.logits
    if logits is None:
        raise InputError("A method made of gradients of a class score needs a model with a classification head.")
    chosen = logits.argmax(1) if classes is None else classes.to(logits.device)
    wrong = chosen[(chosen < 0) | (chosen >= logits.shape[1])]
    if len(wrong):
        raise InputError(f"The model has {logits.shape[1]} classes; there is no class {int(wrong[0])} to explain.")
    training = torch.is_grad_enabled()
    with torch.enable_grad():
        score = logits.gather(1, chosen[:, None]).sum()
    if not score.requires_grad or not all(x.requires_grad for x in inside):
        raise InputError("No graph leads from the class scores to the activations: make the forward pass with one.")
    return list(torch.autograd.grad(score, tuple(inside), create_graph=training, retain_graph=True))
