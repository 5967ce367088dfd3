import pytest
import torch
from transformers import (
    DeiTConfig,
    DeiTForImageClassificationWithTeacher,
    Dinov2Config,
    Dinov2Model,
    Dinov2WithRegistersConfig,
    Dinov2WithRegistersModel,
    ViTConfig,
    ViTForImageClassification,
)

from gazetune.attention.rollout import cls_row, rollout
from gazetune.backbones import Output, load_backbone
from gazetune.backbones.vit import HALF, VisionTransformer
from gazetune.errors import InputError

SMALL = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64, "patch_size": 8}


def wrapped(model, size=32):
    return VisionTransformer(model, *HALF, (size, size), name=type(model).__name__)


def images(n=2, size=32):
    return torch.randint(0, 256, (n, 3, size, size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def full_product(layers):
    """Attention rollout as written in the paper: full matrices, renormalised, first to last layer."""
    product = torch.eye(layers[0].shape[-1], dtype=layers[0].dtype)
    for attention in layers:
        mixed = attention + torch.eye(attention.shape[-1], dtype=attention.dtype)
        product = mixed / mixed.sum(-1, keepdim=True) @ product
    return product[:, 0]


@pytest.fixture(scope="module")
def vit_b16():
    torch.manual_seed(0)
    return wrapped(ViTForImageClassification(ViTConfig(num_labels=1000)), 224)


def test_cls_row_equals_the_full_product_on_vit_b16(vit_b16):
    with torch.no_grad():
        output = vit_b16(images(2, 224))
    assert len(output.attention) == 12
    assert output.attention[0].dtype == torch.float32
    torch.testing.assert_close(cls_row(output.attention), full_product(output.attention), atol=1e-6, rtol=0)


def test_a_third_of_vit_b16_learns(vit_b16):
    assert sum(p.numel() for p in vit_b16.learnable().values()) == 28_348_416
    assert sum(p.numel() for p in vit_b16.model.parameters()) == 86_567_656
    assert all(".q_proj." in n or ".k_proj." in n or ".v_proj." in n or ".o_proj." in n for n in vit_b16.learnable())


def test_captured_maps_equal_transformers_eager_attention():
    torch.manual_seed(0)
    model = ViTForImageClassification(ViTConfig(**SMALL, image_size=32, num_labels=5)).eval()
    model.set_attn_implementation("eager")
    pixels = (images().float() - 127.5) / 127.5
    with torch.no_grad():
        eager = model(pixels, output_attentions=True, output_hidden_states=True)
        ours = wrapped(model)(images())
    for mine, theirs in zip(ours.attention, eager.attentions, strict=True):
        torch.testing.assert_close(mine, theirs.mean(1), atol=1e-6, rtol=0)
    torch.testing.assert_close(ours.logits, eager.logits, atol=1e-5, rtol=0)
    torch.testing.assert_close(ours.feature, eager.hidden_states[-1][:, 0], atol=1e-5, rtol=0)


def test_gradient_of_the_rollout_passes_gradcheck_on_the_tiny_model():
    backbone = load_backbone("tiny")
    backbone.model.double()
    learn = backbone.learnable()
    photo = torch.randint(
        0, 256, (1, 3, *backbone.image_size), dtype=torch.uint8, generator=torch.Generator().manual_seed(2)
    )
    # one bias of an early and one of a late layer: 64 numbers each, moved by finite differences
    early, late = (
        [n for n in learn if n.endswith("q_proj.bias")][1],
        [n for n in learn if n.endswith("v_proj.bias")][-2],
    )

    def read(first, second):
        def forward(x):
            return rollout(backbone(x))

        module = Wrapper(backbone, forward)
        return torch.func.functional_call(module, {f"model.{early}": first, f"model.{late}": second}, (photo,))

    inputs = tuple(learn[n].detach().clone().requires_grad_() for n in (early, late))
    assert torch.autograd.gradcheck(read, inputs, eps=1e-6, atol=1e-8, fast_mode=True)


class Wrapper(torch.nn.Module):
    def __init__(self, backbone, forward):
        super().__init__()
        self.model = backbone.model
        self.read = forward

    def forward(self, x):
        return self.read(x)


@pytest.mark.parametrize(
    ("model", "prefix"),
    [
        (lambda: ViTForImageClassification(ViTConfig(**SMALL, image_size=32, num_labels=3)), 1),
        (lambda: DeiTForImageClassificationWithTeacher(DeiTConfig(**SMALL, image_size=32, num_labels=3)), 2),
        (lambda: Dinov2Model(Dinov2Config(**SMALL, image_size=48)), 1),
        (lambda: Dinov2WithRegistersModel(Dinov2WithRegistersConfig(**SMALL, image_size=48, num_register_tokens=4)), 5),
        (
            lambda: ViTForImageClassification(ViTConfig(**SMALL, image_size=64, num_labels=3)),
            1,
        ),  # positions interpolated
    ],
)
def test_families_give_maps_and_gradients(model, prefix):
    torch.manual_seed(0)
    backbone = wrapped(model())
    output = backbone(images())
    assert output.prefix == prefix
    assert output.feature.shape == (2, 32)
    assert output.tokens.shape == (2, output.attention[0].shape[-1], 32)
    assert torch.equal(output.tokens[:, 0], output.feature)
    for layer in output.attention:
        torch.testing.assert_close(layer.sum(-1), torch.ones(2, 16 + prefix), atol=1e-5, rtol=0)
    maps = rollout(output)
    assert maps.shape == (2, 4, 4)
    learn = backbone.learnable()
    assert len(learn) == 3 * 4 * 2  # weights and biases of four projections in three blocks
    maps.square().sum().backward()
    first_query = next(p for n, p in learn.items() if "weight" in n)
    assert first_query.grad is not None and first_query.grad.abs().sum() > 0


def test_fewer_maps_than_layers_is_refused():
    torch.manual_seed(0)
    backbone = wrapped(ViTForImageClassification(ViTConfig(**SMALL, image_size=32, num_labels=3)))
    backbone.model.set_attn_implementation("sdpa")  # fused: returns no maps
    with pytest.raises(InputError, match="3 layers but 0 attention maps"):
        backbone(images())


def test_uniform_attention_rolls_out_uniformly():
    uniform = torch.full((1, 5, 5), 0.2)
    output = Output(None, torch.zeros(1, 1), (uniform,) * 4, prefix=1, grid=(2, 2))
    found = rollout(output)
    assert found.flatten().tolist() == pytest.approx([(1 - 0.5**4) / 5] * 4)
