import pytest
import torch

from gazetune.attention import METHODS, Method, fitting, require_fit
from gazetune.attention.gradients import class_gradients
from gazetune.backbones import Output
from gazetune.errors import InputError
from worlds import small_vit


def squares(x, weights):
    """An output whose class scores are the weighted sums of squares of x, which stands for activations."""
    return Output(x.square().flatten(1) @ weights.T, x.flatten(1), (), prefix=0, grid=tuple(x.shape[2:]), activations=x)


def test_the_gradient_is_that_of_the_class_by_hand():
    x = torch.tensor([[[[1.0, 2.0]]], [[[3.0, -1.0]]]], requires_grad=True)  # two images, one channel, 1x2
    weights = torch.tensor([[1.0, 0.0], [0.5, 2.0], [0.0, -1.0]])
    output = squares(x, weights)  # image 1: 1, 8.5, -4; image 2: 9, 6.5, -1
    (own,) = class_gradients(output, [x], None)  # classes 1 and 0: 2 w x
    assert own.flatten(1).tolist() == [[1.0, 8.0], [6.0, 0.0]]
    (asked,) = class_gradients(output, [x], torch.tensor([2, 1]))
    assert asked.flatten(1).tolist() == [[0.0, -4.0], [3.0, -4.0]]


def test_a_loss_on_gradients_reaches_the_weights_in_training_and_makes_no_graph_in_evaluation():
    x = torch.ones(1, 1, 1, 2, requires_grad=True)
    weights = torch.tensor([[1.0, 3.0]], requires_grad=True)
    (gradient,) = class_gradients(squares(x, weights), [x], None)
    gradient.square().sum().backward()  # sum of (2 w x)^2: by w, 8 w x^2
    assert weights.grad.tolist() == [[8.0, 24.0]]
    output = squares(x, weights)
    with torch.no_grad():
        (plain,) = class_gradients(output, [x], None)
    assert not plain.requires_grad and torch.equal(plain, gradient)


def test_what_cannot_be_explained_is_refused():
    x = torch.ones(1, 1, 1, 2, requires_grad=True)
    output = squares(x, torch.ones(3, 2))
    with pytest.raises(InputError, match="3 classes; there is no class -1"):
        class_gradients(output, [x], torch.tensor([-1]))
    with pytest.raises(InputError, match="No graph leads"):
        class_gradients(squares(x.detach(), torch.ones(3, 2)), [x], None)


def test_a_method_of_gradients_has_a_graph_even_in_evaluation(monkeypatch):
    backbone, images = small_vit(), torch.zeros(1, 3, 32, 32, dtype=torch.uint8)
    of_gradients = Method(lambda output, _: output.attention[0], needs="attention", keeps="heads", gradient=True)
    with torch.no_grad():
        output = of_gradients.forward(backbone, images)
        assert output.logits.requires_grad and output.attention[0].ndim == 4
        assert not METHODS["rollout"].forward(backbone, images).logits.requires_grad


def test_a_method_that_does_not_fit_is_refused_with_those_that_do():
    backbone = small_vit()
    assert fitting(backbone) == list(METHODS)
    backbone._reads = None  # as where no norm stands before the attention
    require_fit("rollout", backbone, "mine")
    with pytest.raises(InputError, match=r"'gradcam' needs activations, but 'mine' gives attention\. .*: rollout or"):
        require_fit("gradcam", backbone, "mine")
