"""Linear layers by oneDNN: torch's own are the reference."""

import copy

import pytest
import torch
from torch import nn

from gazetune.backbones import products
from gazetune.backbones.products import Linear, Product, speed_up

NEEDS = pytest.mark.skipif(
    not hasattr(torch.ops.mkldnn, "_linear_pointwise") or not torch.backends.mkldnn.is_available(),
    reason="this torch has no oneDNN",
)


def layer(bias=True):
    torch.manual_seed(0)
    plain = nn.Linear(40, 24, bias=bias)
    fast = copy.deepcopy(plain)
    fast.__class__ = Linear
    return plain, fast


def close(ours, theirs, least=1e-6):
    assert (ours - theirs).abs().max() <= least * theirs.abs().max()


@NEEDS
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("shape", [(7, 40), (2, 5, 40), (40,)])
def test_values_and_first_and_second_derivatives_are_torchs(bias, shape):
    found = []
    for linear in layer(bias):
        given = torch.linspace(-1, 1, torch.Size(shape).numel()).reshape(shape).requires_grad_()
        out = linear(given)
        first = torch.autograd.grad(out.square().sum(), [given, *linear.parameters()], create_graph=True)
        total = sum(gradient.square().sum() for gradient in first)
        found.append([out, *first, *torch.autograd.grad(total, [given, *linear.parameters()])])
    for theirs, ours in zip(*found, strict=True):
        assert ours.shape == theirs.shape
        close(ours, theirs)


@NEEDS
def test_a_product_worked_by_hand():
    given, weight = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0], [5.0, 6.0], [0.0, 1.0]])
    assert Product.apply(given, weight, torch.tensor([0.5, 0.0, -2.0])).tolist() == [[11.5, 17.0, 0.0]]
    turned = Product.apply(given.T, weight[:, :1], None)  # not contiguous, as in the gradient by a weight
    assert turned.tolist() == [[3.0, 5.0, 0.0], [6.0, 10.0, 0.0]]


@NEEDS
def test_what_is_frozen_gets_no_gradient():
    _, fast = layer()
    fast.weight.requires_grad_(False)
    given = torch.ones(3, 40, requires_grad=True)
    fast(given).sum().backward()
    assert fast.weight.grad is None
    assert fast.bias.grad.tolist() == [3.0] * 24
    close(given.grad, fast.weight.sum(0).expand(3, 40))


def test_other_precisions_and_autocast_are_torchs_bit_for_bit():
    plain, fast = layer()
    given = torch.linspace(-1, 1, 200).reshape(5, 40)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(fast(given), plain(given))
    assert torch.equal(fast.double()(given.double()), plain.double()(given.double()))
    assert fast(given.double()[:0]).shape == (0, 24)


@pytest.mark.parametrize("faster", [True, False])
def test_layers_change_where_it_is_faster_and_keep_their_names(faster, monkeypatch):
    monkeypatch.setattr(products, "onednn_is_faster", lambda: faster)
    model = nn.Sequential(nn.Linear(256, 300), nn.ReLU(), nn.Sequential(nn.Linear(300, 256), nn.Linear(256, 2)))
    before = {name: value.clone() for name, value in model.state_dict().items()}
    speed_up(model)
    assert [type(m) is Linear for m in model.modules() if isinstance(m, nn.Linear)] == [faster, faster, False]
    assert before.keys() == model.state_dict().keys()
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert type(copy.deepcopy(model)[0]) is type(model[0])
