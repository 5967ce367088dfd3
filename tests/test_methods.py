"""Attention methods beside the rollout: against full matrices, loops and numbers worked by hand."""

import pytest
import torch

from gazetune.attention.cls_attention import cls_attention
from gazetune.attention.gradient_rollout import gradient_rollout
from gazetune.attention.mean_attention import mean_attention
from gazetune.attention.relevance import relevance
from gazetune.backbones import Output, load_backbone
from gazetune.data.osie import load_osie
from random_models import noise, random_dinov2, random_vit

GRADIENT = [relevance, gradient_rollout]


@pytest.fixture(scope="module")
def vit():
    return random_vit()


@pytest.fixture(scope="module")
def headless():
    return random_dinov2()


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
        photos, target = noise(3), torch.tensor([4, 0, 2])
        found = method(backbone(photos, attention="heads"), target)
        expected = full_matrices(backbone, photos, method.__name__, target.tolist())
        assert found.shape == (3, 4, 4) and found.std() > 1e-6
        torch.testing.assert_close(found.detach(), expected, atol=1e-12, rtol=1e-9)


def test_plain_attention_is_the_mean_of_transformers_own(vit):
    photos = noise()
    with torch.no_grad():
        ours = vit(photos)
        vit.model.set_attn_implementation("eager")
        eager = vit.model((photos.double() - 127.5) / 127.5, output_attentions=True).attentions
        vit.model.set_attn_implementation("gazetune_head_mean")
    rows = [layer.mean(1)[:, 0, 1:].view(2, 4, 4) for layer in eager]
    torch.testing.assert_close(cls_attention(ours), rows[-1], atol=1e-7, rtol=0)
    torch.testing.assert_close(mean_attention(ours), sum(rows) / 3, atol=1e-7, rtol=0)


def test_an_image_does_not_see_its_batch(vit):
    photos = noise(4)
    together = relevance(vit(photos, attention="heads"))
    alone = torch.cat([relevance(vit(p[None], attention="heads")) for p in photos])
    torch.testing.assert_close(together, alone, atol=1e-12, rtol=1e-9)


def test_registers_are_dropped_at_the_read_out(headless):
    output = headless(noise(), attention="heads")
    assert output.prefix == 5 and relevance(output).shape == (2, 4, 4)


@pytest.mark.slow
def test_relevance_of_dinov2_on_a_photo_equals_full_matrices(dinov2_folder, osie_folder):
    backbone = load_backbone(dinov2_folder)
    photo = load_osie(osie_folder).pixels(0, backbone.image_size)
    photos = torch.tensor(photo).permute(2, 0, 1)[None]
    found = relevance(backbone(photos, attention="heads")).detach()
    expected = full_matrices(backbone, photos, "relevance", [None])
    assert found.std() > 1e-4
    torch.testing.assert_close(found, expected, atol=1e-6, rtol=1e-3)
