"""What methods made of gradients explain, and that a loss on any method's map reaches the weights."""

import pytest
import torch

from gazetune.attention import METHODS
from gazetune.attention.gradcam import gradcam
from gazetune.attention.gradient_rollout import gradient_rollout
from gazetune.attention.gradients import class_gradients, score_of
from gazetune.attention.relevance import relevance
from gazetune.backbones import load_backbone
from gazetune.maps import upsampled
from gazetune.metrics.saliency import kl
from random_models import noise, random_dinov2, random_vit

OF_GRADIENTS = [relevance, gradient_rollout, gradcam]


@pytest.fixture(scope="module")
def vit():
    return random_vit()


@pytest.fixture(scope="module")
def headless():
    return random_dinov2()


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_gives_a_map_in_training_and_in_evaluation(name):
    backbone, method = load_backbone("tiny"), METHODS[name]
    photos = noise(2, backbone.image_size[0])
    in_training = method.of(method.forward(backbone, photos), None)
    in_training.square().sum().backward()
    assert sum(float(p.grad.abs().sum()) for p in backbone.learnable().values() if p.grad is not None) > 0
    with torch.no_grad():
        plain = method.of(method.forward(backbone, photos), None)
    assert not plain.requires_grad and plain.shape == (2, *backbone.grid) and plain.std() > 0
    torch.testing.assert_close(plain, in_training.detach(), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("method", OF_GRADIENTS)
def test_the_target_is_the_highest_logit_unless_named(vit, method):
    output = vit(noise(), attention="heads")
    top = output.logits.argmax(1)
    assert torch.equal(method(output), method(output, top))
    assert not torch.allclose(method(output), method(output, (top + 1) % 5))


class Reading(torch.nn.Module):
    def __init__(self, backbone, read):
        super().__init__()
        self.model, self.read = backbone.model, read

    def forward(self, photo):
        return self.read(photo)


@pytest.mark.parametrize("method", OF_GRADIENTS)
def test_training_on_a_gradient_map_passes_gradcheck(vit, method):
    name = next(n for n in vit.learnable() if n.endswith("v_proj.bias"))
    module = Reading(vit, lambda photo: method(vit(photo, attention="heads"), torch.tensor([1])))

    def maps(bias):
        return torch.func.functional_call(module, {f"model.{name}": bias}, (noise(1),))

    bias = vit.learnable()[name].detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(maps, (bias,), eps=1e-6, atol=1e-6, rtol=1e-4, fast_mode=True)


@pytest.mark.parametrize("name", list(METHODS))
def test_a_loss_on_the_map_falls_in_training(name):
    backbone, method = load_backbone("tiny"), METHODS[name]
    backbone.model.requires_grad_(False)
    for parameter in backbone.learnable().values():
        parameter.requires_grad_(True)
    photos = noise(4, backbone.image_size[0])
    with torch.no_grad():
        classes = backbone(photos).logits.argmax(1)  # held, as the teacher's are
    place = torch.arange(backbone.image_size[0])
    blob = torch.exp(-((place - 20.0) ** 2) / 200)
    target = (blob[:, None] * blob).expand(4, -1, -1)
    optimiser = torch.optim.AdamW(backbone.learnable().values(), lr=2e-4)
    losses = []
    for _ in range(8):
        grids = method.of(method.forward(backbone, photos), classes)
        loss = kl(upsampled(grids, backbone.image_size[0]), target).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.99 * losses[0]


def test_the_score_of_a_model_without_a_head(headless):
    output = headless(noise())
    score = score_of(output)
    assert score.tolist() == pytest.approx([1, 1])
    (change,) = torch.autograd.grad(score.sum(), output.feature)
    h = output.feature.detach()
    torch.testing.assert_close(change, h / h.square().sum(1, keepdim=True))


def test_neither_the_cosine_nor_a_plain_layer_norm_would_have_a_gradient(headless):
    output = headless(noise(), attention="heads")
    feature, normed = output.feature, torch.nn.functional.layer_norm(output.feature, (32,), eps=0)
    cosine = torch.nn.functional.cosine_similarity(feature, feature.detach())
    sizes = [
        torch.autograd.grad(score.sum(), output.attention[-1], retain_graph=True)[0].abs().max().item()
        for score in (score_of(output), cosine, (normed * normed.detach()).sum(1) / 32)
    ]
    assert sizes[0] > 1e-4 and max(sizes[1:]) < 1e-10 * sizes[0]


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_captured_heads_are_the_ones_that_are_multiplied(dtype):
    """Also where `.to(bfloat16)` stands between: a change of the captured tensor changes the logits as predicted."""
    backbone = load_backbone("tiny")
    photos = noise(2, backbone.image_size[0])
    with torch.autocast("cpu", dtype, enabled=dtype != torch.float32):
        output = backbone(photos, attention="heads")
    assert all(layer.dtype == torch.float32 for layer in output.attention)
    found = class_gradients(output, output.attention, None)
    assert all(change.abs().sum() > 0 for change in found)
    whole = backbone(photos, attention="heads")
    exact = class_gradients(whole, whole.attention, output.logits.argmax(1))
    for ours, theirs in zip(found, exact, strict=True):  # bf16: 8 bits of mantissa
        assert torch.nn.functional.cosine_similarity(ours.flatten(), theirs.flatten(), dim=0) > 0.99


def test_the_gradient_of_the_attention_agrees_with_finite_differences(vit, monkeypatch):
    """Moves one probability of the second layer on its way to the product."""
    from gazetune.backbones import capture

    photo, exact, step = noise(1), capture._probabilities, 1e-6
    output = vit(photo, attention="heads")
    target = output.logits.argmax(1)
    found = class_gradients(output, output.attention, target)[1]
    calls = []

    def moved(amount):
        calls.clear()

        def function(*given):
            calls.append(1)
            probabilities = exact(*given)
            if len(calls) != 2:
                return probabilities
            change = torch.zeros_like(probabilities)
            change[0, 1, 3, 5] = amount
            return probabilities + change

        monkeypatch.setattr(capture, "_probabilities", function)
        with torch.no_grad():
            return vit(photo, attention="heads").logits[0, target.item()]

    slope = (moved(step) - moved(-step)) / (2 * step)
    assert found[0, 1, 3, 5].item() == pytest.approx(slope.item(), rel=1e-6)
