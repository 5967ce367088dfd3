"""Grad-CAM of transformers: where the patches are read, and that reading them leaves the model as it is."""

import pytest
import torch
from transformers import ViTConfig, ViTForImageClassification

from gazetune import Run
from gazetune.attention.gradcam import gradcam
from gazetune.attention.gradients import score_of
from gazetune.backbones import Output
from gazetune.backbones.vit import HALF, VisionTransformer
from random_models import SMALL, noise, random_dinov2, random_vit
from worlds import run_small


@pytest.fixture(scope="module")
def vit():
    return random_vit()


@pytest.fixture(scope="module")
def headless():
    return random_dinov2()


def test_gradcam_worked_by_hand():
    # two channels of 1x2; score = 3 a11 + a12 - 2 a21: mean gradients 2 and -1; maps (1, 4) and (3, 1)
    maps = torch.tensor([[[[1.0, 4.0]], [[3.0, 1.0]]]], requires_grad=True)
    score = 3 * maps[0, 0, 0, 0] + maps[0, 0, 0, 1] - 2 * maps[0, 1, 0, 0]
    output = Output(score.view(1, 1), torch.zeros(1, 1), (), prefix=0, grid=(1, 2), activations=maps)
    assert gradcam(output).tolist() == [[[0.0, 7.0]]]  # 2 - 3 < 0, 8 - 1


@pytest.mark.parametrize("with_head", [True, False])
def test_gradcam_of_a_transformer_equals_hooks_on_an_untouched_model(vit, headless, with_head):
    """The norm before the last attention hooked from outside: its output's gradient, tokens as maps by loops."""
    backbone, photo = (vit if with_head else headless), noise(1)
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
    output = vit(noise())
    (change,) = torch.autograd.grad(score_of(output).sum(), output.tokens)
    assert change[:, 0].abs().sum() > 0 and not change[:, 1:].any()


def test_showing_the_patches_does_not_change_the_model():
    torch.manual_seed(0)
    model = ViTForImageClassification(ViTConfig(**SMALL, image_size=32, num_labels=5)).eval()
    with torch.no_grad():
        before = model((noise().float() - 127.5) / 127.5).logits
        output = VisionTransformer(model, *HALF, (32, 32), name="same")(noise(), attention="cls")
    assert torch.equal(output.logits, before)
    assert output.activations.shape == (2, 32, 4, 4)


@pytest.mark.slow
def test_a_run_trains_on_grad_cam(monkeypatch, study):
    settings = ("--set", "attention=gradcam", "--set", "training.epochs=6", "--set", "heads=false")
    assert run_small(monkeypatch, study, *settings) == 0
    losses = [x["attention"] for x in Run(study / "run").log_lines() if x["split"] == "validation"]
    assert min(losses) < losses[0]
