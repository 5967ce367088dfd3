"""Attention methods beside the rollout: against full matrices, loops and numbers worked by hand."""

import pytest
import torch
from transformers import Dinov2WithRegistersConfig, Dinov2WithRegistersModel, ViTConfig, ViTForImageClassification

from gazetune import Run
from gazetune.attention import METHODS
from gazetune.attention.cls_attention import cls_attention
from gazetune.attention.gradcam import gradcam
from gazetune.attention.gradient_rollout import gradient_rollout
from gazetune.attention.gradients import class_gradients, score_of
from gazetune.attention.mean_attention import mean_attention
from gazetune.attention.relevance import relevance
from gazetune.backbones import Output, load_backbone
from gazetune.backbones.vit import HALF, VisionTransformer
from gazetune.data.osie import load_osie
from gazetune.maps import upsampled
from gazetune.metrics.saliency import kl
from worlds import run_small

SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64, "patch_size": 8}
GRADIENT = [relevance, gradient_rollout]
OF_GRADIENTS = [*GRADIENT, gradcam]


def double(model, size=32):
    return VisionTransformer(model.double(), *HALF, (size, size), name=type(model).__name__)


@pytest.fixture(scope="module")
def vit():
    """Random weights, large enough that heads differ and the norms have scales of their own."""
    torch.manual_seed(3)
    model = ViTForImageClassification(ViTConfig(**SMALL, image_size=32, num_labels=5))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    return double(model)


@pytest.fixture(scope="module")
def headless():
    torch.manual_seed(4)
    model = Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**SMALL, image_size=32, num_register_tokens=4))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    return double(model)


def images(n=2, size=32, seed=1):
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(seed))


def by_hand():
    """Two tokens ([CLS] and one patch), one head, two layers, and a score linear in the attention: gradients known."""
    first = torch.tensor([[[[0.6, 0.4], [0.3, 0.7]]]], dtype=torch.float64, requires_grad=True)
    last = torch.tensor([[[[0.5, 0.5], [0.2, 0.8]]]], dtype=torch.float64, requires_grad=True)
    # d score / d first = [[1, -1], [2, 1]], d score / d last = [[0, 2], [0, 0]]
    score = first[0, 0, 0, 0] - first[0, 0, 0, 1] + 2 * first[0, 0, 1, 0] + first[0, 0, 1, 1] + 2 * last[0, 0, 0, 1]
    return Output(score.view(1, 1), torch.zeros(1, 1, dtype=torch.float64), (first, last), prefix=1, grid=(1, 1))


def test_maps_of_two_tokens_worked_by_hand():
    output = by_hand()
    # weighted first: [[.6, 0], [.6, .7]], last: [[0, 1], [0, 0]]; [CLS]: [1, 1] (I + first)
    assert relevance(output).item() == pytest.approx(1.7)
    # rows to sum 1: last [[.5, .5], [0, 1]], first [[1, 0], [.6/2.3, 1.7/2.3]]
    assert gradient_rollout(output).item() == pytest.approx(0.5 * 1.7 / 2.3)
    heads_averaged = Output(
        output.logits, output.feature, tuple(a.mean(1) for a in output.attention), output.prefix, output.grid
    )
    assert cls_attention(heads_averaged).item() == pytest.approx(0.5)
    assert mean_attention(heads_averaged).item() == pytest.approx(0.45)


def test_relevance_clips_each_head_and_gradient_rollout_their_mean():
    attention = torch.full((1, 2, 2, 2), 0.5, dtype=torch.float64, requires_grad=True)
    score = attention[0, 0, 0, 1] - attention[0, 1, 0, 1]  # the heads pull in opposite directions
    output = Output(score.view(1, 1), torch.zeros(1, 1, dtype=torch.float64), (attention,), prefix=1, grid=(1, 1))
    assert relevance(output).item() == pytest.approx(0.25)
    assert gradient_rollout(output).item() == 0


def linear_output(attention, slopes, prefix=1, grid=(2, 3)):
    """An output whose score has these slopes with respect to the attention of every layer."""
    layers = tuple(a.clone().requires_grad_() for a in attention)
    score = sum((layer * slope).sum((1, 2, 3)) for layer, slope in zip(layers, slopes, strict=True))
    return Output(score[:, None], torch.zeros(len(score), 1, dtype=torch.float64), layers, prefix, grid)


@pytest.mark.parametrize("method", GRADIENT)
def test_heads_have_no_order_and_patches_keep_theirs(method):
    drawn = torch.Generator().manual_seed(7)
    attention = torch.rand(3, 2, 4, 7, 7, generator=drawn, dtype=torch.float64).softmax(-1)
    slopes = torch.randn(3, 2, 4, 7, 7, generator=drawn, dtype=torch.float64)
    found = method(linear_output(attention, slopes))
    heads = torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(method(linear_output(attention[:, :, heads], slopes[:, :, heads])), found)
    order = torch.tensor([0, 3, 1, 6, 2, 5, 4])  # [CLS] first
    moved = [x[..., order, :][..., order] for x in (attention, slopes)]
    expected = found.flatten(1)[:, order[1:] - 1].view(found.shape)
    torch.testing.assert_close(method(linear_output(*moved)), expected)


def full_matrices(backbone, photos, name, target):
    """Each image alone, its gradients by hooks in a plain backward pass, full matrices from first to last layer."""
    maps = []
    for photo, wanted in zip(photos, target, strict=True):
        output = backbone(photo[None], attention="heads")
        for layer in output.attention:
            layer.retain_grad()
        if output.logits is None:
            h = output.feature[0]
            (h @ h.detach() / (h.detach() @ h.detach())).backward()
        else:
            output.logits[0, wanted].backward()
        product = torch.eye(output.attention[0].shape[-1], dtype=output.attention[0].dtype)
        for layer in output.attention:
            heads = (layer.grad * layer)[0].detach()
            if name == "relevance":
                weighted = sum(torch.where(h > 0, h, 0.0) for h in heads) / len(heads)
                product = product + weighted @ product
            else:
                weighted = torch.relu(sum(heads) / len(heads))
                mixed = (weighted + torch.eye(len(weighted), dtype=weighted.dtype)) / 2
                product = torch.diag(1 / mixed.sum(1)) @ mixed @ product
        maps.append(product[0, output.prefix :].view(output.grid))
    return torch.stack(maps)


@pytest.mark.parametrize("method", GRADIENT)
def test_gradient_methods_equal_full_matrices(vit, headless, method):
    for backbone in (vit, headless):
        photos, target = images(3), torch.tensor([4, 0, 2])
        found = method(backbone(photos, attention="heads"), target)
        expected = full_matrices(backbone, photos, method.__name__, target.tolist())
        assert found.shape == (3, 4, 4) and found.std() > 1e-6
        torch.testing.assert_close(found.detach(), expected, atol=1e-12, rtol=1e-9)


def test_gradcam_worked_by_hand():
    # two channels of 1x2; score = 3 a11 + a12 - 2 a21: mean gradients 2 and -1; maps (1, 4) and (3, 1)
    maps = torch.tensor([[[[1.0, 4.0]], [[3.0, 1.0]]]], requires_grad=True)
    score = 3 * maps[0, 0, 0, 0] + maps[0, 0, 0, 1] - 2 * maps[0, 1, 0, 0]
    output = Output(score.view(1, 1), torch.zeros(1, 1), (), prefix=0, grid=(1, 2), activations=maps)
    assert gradcam(output).tolist() == [[[0.0, 7.0]]]  # 2 - 3 < 0, 8 - 1


@pytest.mark.parametrize("with_head", [True, False])
def test_gradcam_of_a_transformer_equals_hooks_on_an_untouched_model(vit, headless, with_head):
    """The norm before the last attention hooked from outside: its output's gradient, tokens as maps by loops."""
    backbone, photo = (vit if with_head else headless), images(1)
    found = gradcam(backbone(photo))[0].detach()
    block = backbone._blocks[-1]
    norm = block.layernorm_before if with_head else block.norm1
    seen = []
    handle = norm.register_forward_hook(lambda *a: seen.append(a[2]))  # after the model's own hook: what is read on
    output = backbone(photo)
    handle.remove()
    (change,) = torch.autograd.grad(score_of(output).sum(), seen)
    tokens, slopes = seen[0][0, output.prefix :], change[0, output.prefix :]
    weights = slopes.mean(0)
    expected = torch.tensor([max(0.0, (weights * token).sum().item()) for token in tokens]).view(4, 4)
    assert expected.std() > 0
    torch.testing.assert_close(found, expected.double(), atol=1e-6, rtol=1e-5)


def test_the_patches_that_leave_the_last_block_have_no_gradient(vit):
    """Why Grad-CAM of a [CLS] model cannot be read there."""
    output = vit(images())
    (change,) = torch.autograd.grad(score_of(output).sum(), output.tokens)
    assert change[:, 0].abs().sum() > 0 and not change[:, 1:].any()


def test_showing_the_patches_does_not_change_the_model():
    torch.manual_seed(0)
    model = ViTForImageClassification(ViTConfig(**SMALL, image_size=32, num_labels=5)).eval()
    with torch.no_grad():
        before = model((images().float() - 127.5) / 127.5).logits
        output = VisionTransformer(model, *HALF, (32, 32), name="same")(images(), attention="cls")
    assert torch.equal(output.logits, before)
    assert output.activations.shape == (2, 32, 4, 4)


@pytest.mark.parametrize("name", list(METHODS))
def test_every_method_gives_a_map_in_training_and_in_evaluation(name):
    backbone, method = load_backbone("tiny"), METHODS[name]
    photos = images(2, backbone.image_size[0])
    in_training = method.of(method.forward(backbone, photos), None)
    in_training.square().sum().backward()
    assert sum(float(p.grad.abs().sum()) for p in backbone.learnable().values() if p.grad is not None) > 0
    with torch.no_grad():
        plain = method.of(method.forward(backbone, photos), None)
    assert not plain.requires_grad and plain.shape == (2, *backbone.grid) and plain.std() > 0
    torch.testing.assert_close(plain, in_training.detach(), atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("method", OF_GRADIENTS)
def test_the_target_is_the_highest_logit_unless_named(vit, method):
    output = vit(images(), attention="heads")
    top = output.logits.argmax(1)
    assert torch.equal(method(output), method(output, top))
    assert not torch.allclose(method(output), method(output, (top + 1) % 5))


def test_plain_attention_is_the_mean_of_transformers_own(vit):
    photos = images()
    with torch.no_grad():
        ours = vit(photos)
        vit.model.set_attn_implementation("eager")
        eager = vit.model((photos.double() - 127.5) / 127.5, output_attentions=True).attentions
        vit.model.set_attn_implementation("gazetune_head_mean")
    rows = [layer.mean(1)[:, 0, 1:].view(2, 4, 4) for layer in eager]
    torch.testing.assert_close(cls_attention(ours), rows[-1], atol=1e-7, rtol=0)
    torch.testing.assert_close(mean_attention(ours), sum(rows) / 3, atol=1e-7, rtol=0)


def test_an_image_does_not_see_its_batch(vit):
    photos = images(4)
    together = relevance(vit(photos, attention="heads"))
    alone = torch.cat([relevance(vit(p[None], attention="heads")) for p in photos])
    torch.testing.assert_close(together, alone, atol=1e-12, rtol=1e-9)


def test_registers_are_dropped_at_the_read_out(headless):
    output = headless(images(), attention="heads")
    assert output.prefix == 5 and relevance(output).shape == (2, 4, 4)


def test_the_score_of_a_model_without_a_head(headless):
    output = headless(images())
    score = score_of(output)
    assert score.tolist() == pytest.approx([1, 1])
    (change,) = torch.autograd.grad(score.sum(), output.feature)
    h = output.feature.detach()
    torch.testing.assert_close(change, h / h.square().sum(1, keepdim=True))


def test_neither_the_cosine_nor_a_plain_layer_norm_would_have_a_gradient(headless):
    output = headless(images(), attention="heads")
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
    photos = images(2, backbone.image_size[0])
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

    photo, exact, step = images(1), capture._probabilities, 1e-6
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
        return torch.func.functional_call(module, {f"model.{name}": bias}, (images(1),))

    bias = vit.learnable()[name].detach().clone().requires_grad_()
    assert torch.autograd.gradcheck(maps, (bias,), eps=1e-6, atol=1e-6, rtol=1e-4, fast_mode=True)


@pytest.mark.slow
def test_relevance_of_dinov2_on_a_photo_equals_full_matrices(dinov2_folder, osie_folder):
    backbone = load_backbone(dinov2_folder)
    photo = load_osie(osie_folder).pixels(0, backbone.image_size)
    photos = torch.tensor(photo).permute(2, 0, 1)[None]
    found = relevance(backbone(photos, attention="heads")).detach()
    expected = full_matrices(backbone, photos, "relevance", [None])
    assert found.std() > 1e-4
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("name", list(METHODS))
def test_a_loss_on_the_map_falls_in_training(name):
    backbone, method = load_backbone("tiny"), METHODS[name]
    backbone.model.requires_grad_(False)
    for parameter in backbone.learnable().values():
        parameter.requires_grad_(True)
    photos = images(4, backbone.image_size[0])
    target = torch.zeros(4, *backbone.image_size)
    target[:, 30:40, 5:15] = 1
    optimiser = torch.optim.AdamW(backbone.learnable().values(), lr=2e-4)
    losses = []
    for _ in range(8):
        grids = method.of(method.forward(backbone, photos), None)
        loss = kl(upsampled(grids, backbone.image_size[0]), target).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(loss.item())
    assert losses[-1] < 0.99 * losses[0]


@pytest.mark.slow
def test_a_run_trains_on_grad_cam(monkeypatch, study):
    settings = ("--set", "attention=gradcam", "--set", "training.epochs=6", "--set", "heads=false")
    assert run_small(monkeypatch, study, *settings) == 0
    losses = [x["attention"] for x in Run(study / "run").log_lines() if x["split"] == "validation"]
    assert min(losses) < losses[0]
