"""Every family of vision transformers, from a small random configuration: tokens, maps, gradients, files."""

import copy
import re
from dataclasses import replace

import numpy as np
import pytest
import torch
import transformers as hf
from transformers.models.siglip2.image_processing_pil_siglip2 import convert_image_to_patches

from gazetune import load_table
from gazetune.attention.extract import attention_maps
from gazetune.attention.rollout import carried_row, cls_row, rollout
from gazetune.backbones import Output, load_backbone
from gazetune.backbones.families import FAMILIES, HALF, normalised
from gazetune.backbones.head_mean import HeadMean
from gazetune.backbones.vit import VisionTransformer
from gazetune.errors import InputError
from gazetune.experiment import Experiment
from gazetune.maps import Human
from gazetune.metrics.heads import score_heads
from worlds import write_study

LAYERS, DIM = 2, 32
SHAPE = {"hidden_size": DIM, "num_hidden_layers": LAYERS, "num_attention_heads": 2, "intermediate_size": 48}
VISION = {**SHAPE, "image_size": 32, "patch_size": 8}
TEXT = {**SHAPE, "vocab_size": 50, "max_position_embeddings": 8, "bos_token_id": 0, "eos_token_id": 1}
BOTH = {"text_config": TEXT, "vision_config": VISION, "num_labels": 3}
FREE = {"vision_config": {**SHAPE, "patch_size": 8, "num_patches": 16}, "text_config": TEXT, "num_labels": 3}
BIAS = {**VISION, "num_labels": 3, "use_relative_position_bias": True}
SHARED = {**VISION, "use_shared_relative_position_bias": True, "use_absolute_position_embeddings": True}
DECODER = {"decoder_hidden_size": 16, "decoder_num_hidden_layers": 1, "decoder_num_attention_heads": 2}

# name -> (model, tokens before the patches, reading, biases a block has at its four projections)
CASES = {
    "vit": (lambda: hf.ViTForImageClassification(hf.ViTConfig(**VISION, num_labels=3)), 1, "cls", 4),
    "vit, msn": (lambda: hf.ViTMSNForImageClassification(hf.ViTMSNConfig(**VISION, num_labels=3)), 1, "cls", 4),
    "deit": (lambda: hf.DeiTForImageClassificationWithTeacher(hf.DeiTConfig(**VISION, num_labels=3)), 2, "cls", 4),
    "beit": (lambda: hf.BeitForImageClassification(hf.BeitConfig(**BIAS)), 1, "mean", 3),
    "beit, shared bias": (lambda: hf.BeitModel(hf.BeitConfig(**SHARED)), 1, "mean", 3),
    "beit, [CLS]": (lambda: hf.BeitModel(hf.BeitConfig(**BIAS, use_mean_pooling=False)), 1, "cls", 3),
    "dinov2": (lambda: hf.Dinov2Model(hf.Dinov2Config(**VISION)), 1, "cls", 4),
    "dinov2, registers": (
        lambda: hf.Dinov2WithRegistersModel(hf.Dinov2WithRegistersConfig(**VISION, num_register_tokens=4)), 5, "cls", 4,
    ),
    "dinov3": (lambda: hf.DINOv3ViTModel(hf.DINOv3ViTConfig(**VISION, num_register_tokens=4)), 5, "cls", 3),
    "clip": (lambda: hf.CLIPVisionModel(hf.CLIPVisionConfig(**VISION)), 1, "cls", 4),
    "clip, projection": (lambda: hf.CLIPVisionModelWithProjection(hf.CLIPVisionConfig(**VISION)), 1, "cls", 4),
    "clip, classes": (lambda: hf.CLIPForImageClassification(hf.CLIPConfig(**BOTH)), 1, "mean", 4),
    "siglip": (lambda: hf.SiglipVisionModel(hf.SiglipVisionConfig(**VISION)), 0, "pooling head", 4),
    "siglip, no head": (
        lambda: hf.SiglipVisionModel(hf.SiglipVisionConfig(**VISION, vision_use_head=False)), 0, "mean", 4,
    ),
    "siglip, classes": (lambda: hf.SiglipForImageClassification(hf.SiglipConfig(**BOTH)), 0, "mean", 4),
    "siglip2": (
        lambda: hf.Siglip2VisionModel(hf.Siglip2VisionConfig(**FREE["vision_config"])), 0, "pooling head", 4,
    ),
    "siglip2, classes": (lambda: hf.Siglip2ForImageClassification(hf.Siglip2Config(**FREE)), 0, "mean", 4),
}  # fmt: skip
FAMILY = pytest.mark.parametrize("name", CASES)
SIZES = pytest.mark.parametrize("size", [(32, 32), (24, 48)], ids=["square", "rectangle"])


def built(name):
    """The transformers model, every parameter of it random: as they come, biases of positions and [CLS] are zero."""
    torch.manual_seed(0)
    model = CASES[name][0]().eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.1)
    return model


def wrapped(model, size=(32, 32)):
    return VisionTransformer(model, *HALF, size, name="small")


def images(size=(32, 32), n=2):
    return torch.randint(0, 256, (n, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


def untouched(model, pixels, how="eager"):
    """What transformers itself makes of the images, pooled vector and attention included."""
    model = copy.deepcopy(model)
    model.set_attn_implementation(how)
    given = {"pixel_values": (pixels.float() - 127.5) / 127.5}
    if model.config.model_type.startswith("siglip2"):
        patches = [convert_image_to_patches(image.numpy(), 8) for image in given["pixel_values"]]
        grid = [side // 8 for side in pixels.shape[2:]]
        mask = torch.ones(len(pixels), grid[0] * grid[1], dtype=torch.int32)
        given = {
            "pixel_values": torch.tensor(np.stack(patches)),
            "pixel_attention_mask": mask,
            "spatial_shapes": torch.tensor([grid] * len(pixels)),
        }
    elif pixels.shape[2:] != (32, 32) and model.config.model_type.split("_")[0] in ("vit", "deit", "clip", "siglip"):
        given["interpolate_pos_encoding"] = True
    with torch.no_grad():
        return model(**given, output_attentions=how == "eager", output_hidden_states=True)


@FAMILY
@SIZES
def test_attention_and_outputs_are_those_of_transformers(name, size):
    model, pixels, (_, prefix, reading, _) = built(name), images(size), CASES[name]
    theirs, fused = untouched(model, pixels), untouched(model, pixels, "sdpa")
    backbone = wrapped(model, size)
    with torch.no_grad():
        ours, each, rows, none = (backbone(pixels, attention=kept) for kept in ("mean", "heads", "cls", "none"))
    assert none.attention == ()
    assert (ours.prefix, backbone.reading, ours.grid) == (prefix, reading, (size[0] // 8, size[1] // 8))
    for mean, heads, row, reference in zip(
        ours.attention, each.attention, rows.attention, theirs.attentions, strict=True
    ):
        torch.testing.assert_close(heads, reference, atol=1e-6, rtol=0)
        torch.testing.assert_close(mean, reference.mean(1), atol=1e-6, rtol=0)
        read = reference[:, :, 0] if reading == "cls" else reference[:, :, prefix:].mean(2)
        torch.testing.assert_close(row, read, atol=1e-6, rtol=0)
    for reference in (theirs, fused):
        hidden = reference.hidden_states[-1]
        feature = hidden[:, 0] if reading == "cls" else hidden[:, prefix:].mean(1)
        feature = reference.pooler_output if reading == "pooling head" else feature
        for output in (ours, each, rows, none):
            torch.testing.assert_close(output.feature, feature, atol=2e-5, rtol=1e-5)
            torch.testing.assert_close(output.tokens, hidden, atol=2e-5, rtol=1e-5)
            if "logits" in reference:
                torch.testing.assert_close(output.logits, reference.logits, atol=2e-5, rtol=1e-5)
                assert output.representation is None
            else:
                assert output.logits is None


@pytest.mark.parametrize(
    ("name", "read"),
    [
        ("beit, [CLS]", lambda out: out.last_hidden_state[:, 0]),
        ("beit, shared bias", lambda out: out.pooler_output),
        ("dinov2, registers", lambda out: out.last_hidden_state[:, 0]),
        ("dinov3", lambda out: out.last_hidden_state[:, 0]),
        ("clip", lambda out: out.pooler_output),
        ("siglip", lambda out: out.pooler_output),
        ("siglip, no head", lambda out: out.last_hidden_state.mean(1)),
    ],
)
def test_representation_is_what_a_head_would_sit_on(name, read):
    model = built(name)
    reference = read(untouched(model, images()))
    with torch.no_grad():
        torch.testing.assert_close(wrapped(model)(images()).representation, reference, atol=1e-5, rtol=1e-5)


def test_clip_with_a_projection_is_represented_before_it():
    model = built("clip, projection")
    reference = untouched(model, images()).image_embeds
    with torch.no_grad():
        found = model.visual_projection(wrapped(model)(images()).representation)
    torch.testing.assert_close(found, reference, atol=1e-5, rtol=1e-5)


@FAMILY
@SIZES
def test_maps_gradients_and_what_learns(name, size):
    _, prefix, reading, biases = CASES[name]
    backbone = wrapped(built(name), size)
    output = backbone(images(size))
    n = prefix + output.grid[0] * output.grid[1]
    for layer in output.attention:
        assert layer.dtype == torch.float32
        torch.testing.assert_close(layer.sum(-1), torch.ones(2, n), atol=1e-5, rtol=0)
    assert (output.readout is None) == (reading == "cls")
    if reading != "cls":
        torch.testing.assert_close(output.readout.sum(-1), torch.ones(2), atol=1e-5, rtol=0)
        assert not output.readout[:, :prefix].any()
    maps = rollout(output)
    assert maps.shape == (2, size[0] // 8, size[1] // 8) and maps.min() > 0
    learn = backbone.learnable()
    inside = re.compile(r"layers?\.\d+\.(attention|self_attn)\.")
    assert set(learn) == {n for n, _ in backbone.model.named_parameters() if inside.search(n)}
    assert sum(p.numel() for p in learn.values()) == LAYERS * (4 * DIM**2 + biases * DIM)
    maps.square().sum().backward()
    first = [p for n, p in learn.items() if re.search(r"layers?\.0\..*weight$", n)]
    assert len(first) == 4 and all(p.grad.abs().max() > 0 for p in first)


@FAMILY
def test_a_step_moves_the_attention_projections_alone(name):
    backbone = wrapped(built(name))
    before = {n: p.detach().clone() for n, p in backbone.model.named_parameters()}
    learn = backbone.learnable()
    optimiser = torch.optim.SGD(learn.values(), lr=1.0)
    output = backbone(images())
    (rollout(output).square().sum() + output.feature.square().mean()).backward()
    optimiser.step()
    moved = {n for n, p in backbone.model.named_parameters() if not torch.equal(p, before[n])}
    still = {
        n for n in learn if re.search("k(ey|_proj).bias$", n)
    }  # no gradient but rounding: it moves all scores of a row
    assert set(learn) - still <= moved <= set(learn)


@FAMILY
@SIZES
def test_saved_folder_is_the_same_model_to_plain_transformers(name, size, tmp_path):
    backbone = wrapped(built(name), size)
    with torch.no_grad():
        for parameter in backbone.learnable().values():
            parameter.add_(0.01)
        ours = backbone(images(size))
    backbone.save(tmp_path)
    named = getattr(hf, hf.AutoConfig.from_pretrained(tmp_path).architectures[0])
    theirs = untouched(named.from_pretrained(tmp_path).eval(), images(size))
    torch.testing.assert_close(ours.tokens, theirs.hidden_states[-1], atol=2e-5, rtol=1e-5)
    if ours.logits is not None:
        torch.testing.assert_close(ours.logits, theirs.logits, atol=2e-5, rtol=1e-5)
    again = load_backbone(tmp_path)
    assert (again.image_size, again.mean, again.reading) == (size, backbone.mean, backbone.reading)
    with torch.no_grad():
        output = again(images(size))
    assert torch.equal(rollout(output), rollout(ours)) and torch.equal(output.feature, ours.feature)


@pytest.mark.parametrize("name", ["vit", "deit", "beit", "clip", "siglip", "siglip2"])
@SIZES
def test_saved_folder_makes_the_same_pixels_with_plain_transformers(name, size, tmp_path):
    backbone, photo = wrapped(built(name), size), images(size, 1)
    backbone.save(tmp_path)
    try:
        processor = hf.AutoImageProcessor.from_pretrained(tmp_path)
    except ImportError:
        pytest.skip("this transformers makes no image processor without torchvision")
    made = processor(photo[0].permute(1, 2, 0).numpy(), return_tensors="pt")
    given = backbone._arguments(normalised(photo, backbone.mean, backbone.std, torch.zeros(1)))
    torch.testing.assert_close(made["pixel_values"], given["pixel_values"], atol=1e-5, rtol=0)


@FAMILY
def test_tokens_stand_row_by_row_after_the_prefix(name):
    backbone, changed = wrapped(built(name), (24, 48)), images((24, 48), 1)
    pixels = torch.cat([changed, changed])
    pixels[1, :, 8:16, 32:40] = 255 - pixels[1, :, 8:16, 32:40]  # row 1 and column 4 of 3x6 patches
    seen = []
    backbone._blocks[0].register_forward_pre_hook(
        lambda _module, inputs, given: seen.append(inputs[0] if inputs else given["hidden_states"]), with_kwargs=True
    )
    with torch.no_grad():
        backbone(pixels)
    differ = (seen[0][0] - seen[0][1]).abs().amax(-1).nonzero().flatten().tolist()
    assert differ == [CASES[name][1] + 1 * 6 + 4]


def test_every_family_of_the_table_is_tested():
    kinds = {built(name).config.model_type for name in CASES} | {"vit_mae"}  # below
    assert kinds == set(FAMILIES)
    for family in FAMILIES.values():
        assert all(issubclass(getattr(hf, model), hf.PreTrainedModel) for model in family.models)


@pytest.mark.parametrize("name", ["beit", "beit, shared bias"])
def test_the_bias_of_positions_is_in_the_maps(name):
    model = built(name)
    with_bias = wrapped(copy.deepcopy(model))(images())
    with torch.no_grad():
        for parameter in (p for n, p in model.named_parameters() if "relative_position_bias_table" in n):
            parameter.zero_()
    without = wrapped(model)(images())
    assert (with_bias.attention[0] - without.attention[0]).abs().max() > 1e-3


def test_padding_is_not_attended_to():
    model = built("siglip2")
    reference = copy.deepcopy(model)
    reference.set_attn_implementation("eager")
    backbone = wrapped(model)
    given = backbone._arguments(torch.rand(2, 3, 32, 32))
    given["pixel_attention_mask"][:, 12:] = 0
    given["spatial_shapes"] = torch.tensor([[3, 4], [3, 4]])
    with torch.no_grad():
        found = backbone.model(**given, output_attentions=True).attentions
        theirs = reference(**given, output_attentions=True).attentions
    assert found[0][..., 12:].max() == 0
    torch.testing.assert_close(found[1], theirs[1].mean(1), atol=1e-6, rtol=0)


# parts of larger models ----------------------------------------------------------------------------------------


def stored(folder, model):
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * 0.1)
    model.eval().save_pretrained(folder)
    return model


@pytest.mark.parametrize(
    ("whole", "kind"),
    [
        (lambda: hf.CLIPModel(hf.CLIPConfig(**BOTH, projection_dim=16)), "CLIPVisionModelWithProjection"),
        (lambda: hf.SiglipModel(hf.SiglipConfig(**BOTH)), "SiglipVisionModel"),
        (lambda: hf.Siglip2Model(hf.Siglip2Config(**FREE)), "Siglip2VisionModel"),
    ],
    ids=["clip", "siglip", "siglip2"],
)
def test_the_vision_tower_of_a_whole_model_is_taken(whole, kind, tmp_path):
    model = stored(tmp_path / "whole", whole())
    backbone = load_backbone(tmp_path / "whole")
    assert type(backbone.model).__name__ == kind and backbone.image_size == (32, 32)
    assert backbone.mean == FAMILIES[model.config.vision_config.model_type].normalisation[0]
    pixels = images()
    output = wrapped(backbone.model)(pixels)  # with the mean and SD of the reference
    reference = untouched(model.vision_model, pixels)
    torch.testing.assert_close(output.representation, reference.pooler_output, atol=1e-5, rtol=1e-5)
    backbone.save(tmp_path / "tower")
    plain = hf.AutoModel.from_pretrained(tmp_path / "tower").eval()
    tower = getattr(plain, "vision_model", plain)
    torch.testing.assert_close(untouched(tower, pixels).pooler_output, reference.pooler_output, atol=1e-6, rtol=0)
    if kind.startswith("CLIP"):
        again = load_backbone(tmp_path / "tower").model.visual_projection.weight
        assert torch.equal(again, model.visual_projection.weight)


def test_the_encoder_of_a_masked_autoencoder_is_taken_without_masking(tmp_path):
    config = hf.ViTMAEConfig(**VISION, **DECODER, decoder_intermediate_size=16, mask_ratio=0.0)
    model = stored(tmp_path / "mae", hf.ViTMAEForPreTraining(config))
    model.set_attn_implementation("eager")
    backbone = load_backbone(tmp_path / "mae")
    assert type(backbone.model).__name__ == "ViTModel" and backbone.mean == FAMILIES["vit_mae"].normalisation[0]
    pixels = images()
    with torch.no_grad():
        output = wrapped(backbone.model)(pixels)
        in_order = torch.arange(16.0).expand(2, 16)
        reference = model.vit((pixels.float() - 127.5) / 127.5, noise=in_order, output_attentions=True)
    torch.testing.assert_close(output.representation, reference.last_hidden_state[:, 0], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(output.attention[1], reference.attentions[1].mean(1), atol=1e-6, rtol=0)


# the read-out --------------------------------------------------------------------------------------------------


def test_the_carried_row_by_hand_and_against_the_full_product(generator):
    attention = torch.tensor([[[0.5, 0.5], [0.0, 1.0]]])
    first = torch.tensor([[1.0, 0.0]])
    torch.testing.assert_close(carried_row((attention,) * 2, first), torch.tensor([[0.5625, 0.4375]]))
    layers = tuple(torch.rand(2, 5, 5, dtype=torch.float64, generator=generator).softmax(-1) for _ in range(3))
    weights = torch.rand(2, 5, dtype=torch.float64, generator=generator)
    eye = torch.eye(5, dtype=torch.float64)
    product = (layers[2] + eye) / 2 @ (layers[1] + eye) / 2 @ (layers[0] + eye) / 2
    torch.testing.assert_close(carried_row(layers, weights), (weights[:, None] @ product)[:, 0])
    torch.testing.assert_close(carried_row(layers, eye[:1].expand(2, 5)), cls_row(layers))
    assert torch.equal(carried_row(layers), cls_row(layers))
    mean = Output(None, weights, layers, 1, (2, 2), readout=torch.tensor([[0, 0.25, 0.25, 0.25, 0.25]] * 2).double())
    torch.testing.assert_close(rollout(mean).flatten(1), product[:, 1:, 1:].mean(1))


@pytest.mark.parametrize("name", ["siglip", "siglip2"])
def test_the_pooling_heads_query_by_hand(name):
    model, pixels = built(name), images()
    normed, head = untouched(model, pixels).last_hidden_state, copy.deepcopy(model.head)
    weight, bias = head.attention.in_proj_weight, head.attention.in_proj_bias
    query = (head.probe[0] @ weight[:DIM].T + bias[:DIM]).view(1, 2, DIM // 2)
    key = (normed @ weight[DIM : 2 * DIM].T + bias[DIM : 2 * DIM]).view(2, 16, 2, DIM // 2)
    by_hand = torch.einsum("qhd,bthd->bht", query, key).div((DIM // 2) ** 0.5).softmax(-1).mean(1)
    output = wrapped(model)(pixels)
    torch.testing.assert_close(output.readout, by_hand, atol=1e-6, rtol=0)
    assert output.readout.std(-1).min() > 1e-4  # not merely even


@pytest.mark.parametrize("name", ["vit", "beit", "clip, classes", "siglip"])
def test_bf16_leaves_the_maps_in_float32(name):
    backbone = wrapped(built(name))
    exact = backbone(images())
    with torch.autocast("cpu", torch.bfloat16), torch.no_grad():
        for kept in ("mean", "heads", "cls"):
            output = backbone(images(), attention=kept)
            assert {layer.dtype for layer in output.attention} == {torch.float32}
            torch.testing.assert_close(output.attention[0].sum(-1), torch.ones(output.attention[0].shape[:-1]))
    torch.testing.assert_close(rollout(backbone(images())), rollout(exact))


@pytest.mark.parametrize("name", ["dinov3", "vit"])  # the first turns queries and keys, which leaves them in float32
def test_bf16_has_nearly_the_gradients_of_float32(name):
    backbone = wrapped(built(name))
    weights = {n: p for n, p in backbone.learnable().items() if "k_proj.bias" not in n}
    found = []
    for on in (False, True):
        with torch.autocast("cpu", torch.bfloat16, enabled=on):
            output = backbone(images(), attention="read")
        total = rollout(output)[:, 1:3].double().sum() + output.feature.double().square().mean()
        found.append(torch.autograd.grad(total, list(weights.values()), allow_unused=True))
    for n, exact, rounded in zip(weights, *found, strict=True):
        assert (exact is None) == (rounded is None), n
        if exact is not None:
            assert (exact - rounded).norm() < 0.2 * exact.norm(), n


# input sizes ---------------------------------------------------------------------------------------------------


def test_a_rectangle_is_scored_on_the_square_map(tmp_path):
    stimuli = load_table(write_study(tmp_path / "study", n=3))
    backbone = wrapped(built("siglip"), (24, 48))
    maps = attention_maps(backbone, stimuli, size=56)
    assert maps.shape == (3, 56, 56)
    torch.testing.assert_close(maps.amax((1, 2)), torch.ones(3))
    table = score_heads(backbone, stimuli, Human(sigma_px=4), size=56)
    assert len(table) == LAYERS * 3 * 2 and table["mean"].notna().all()


def test_input_sizes(tmp_path):
    stored(tmp_path / "odd", hf.SiglipVisionModel(hf.SiglipVisionConfig(**{**VISION, "image_size": 36})))
    odd = load_backbone(tmp_path / "odd")
    assert odd.image_size == (32, 32) and odd(images()).grid == (4, 4)  # the last 4 pixels are no whole patch
    assert load_backbone(tmp_path / "odd", 48).grid == (6, 6)
    assert load_backbone(tmp_path / "odd", (24, 48)).grid == (3, 6)
    with pytest.raises(
        InputError, match=r"30x48 \(height x width\) is not whole patches.*Set image_size to \[24, 48\]"
    ):
        load_backbone(tmp_path / "odd", (30, 48))
    with pytest.raises(InputError, match="23 tokens instead of 21"):
        wrapped(built("dinov3"))(images((24, 48)))


@pytest.mark.parametrize("size", [None, 224, [224, 336]])
def test_image_size_in_an_experiment(size):
    data = {"kind": "table", "path": "here", "split": {"rule": "hash", "train": 70, "validation": 10, "test": 20}}
    settings = {"name": "a", "data": data, "models": {"a": {"weights": "tiny"}}, "reference": "a", "image_size": size}
    found = Experiment.model_validate(settings)
    assert found.image_size == (tuple(size) if isinstance(size, list) else size)
    assert Experiment.model_validate(found.model_dump(mode="json")) == found
    for wrong in (0, -3, [224], [0, 224], [1, 2, 3], "large", True, 22.5):
        with pytest.raises(ValueError, match=r"needed a side in pixels, such as 224, or \[height, width\]"):
            Experiment.model_validate({**settings, "image_size": wrong})


# refused -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "said"),
    [
        (lambda: hf.IJepaModel(hf.IJepaConfig(**VISION)), "whose tokens are known here"),
        (lambda: hf.YolosModel(hf.YolosConfig(**{**VISION, "image_size": [32, 32]})), "whose tokens are known here"),
        (lambda: hf.BeitForMaskedImageModeling(hf.BeitConfig(**VISION)), "neither classifies images nor describes"),
    ],
    ids=["ijepa", "yolos", "beit, masked"],
)
def test_what_cannot_be_read_is_refused(model, said):
    with pytest.raises(InputError, match=said):
        wrapped(model())


SHORTENED = ("vit", "vit, msn", "dinov2", "dinov2, registers", "clip", "clip, projection")


@FAMILY
@SIZES
def test_what_is_read_does_not_need_the_other_rows_of_the_last_block(name, size):
    backbone, pixels = wrapped(built(name).double(), size), images(size)
    values, gradients = {}, {}
    for kept in ("heads", "mean", "read"):
        output = backbone(pixels, attention=kept)
        layers = tuple(a.mean(dim=1) for a in output.attention) if kept == "heads" else output.attention
        grid = rollout(replace(output, attention=layers))
        said = output.representation if output.logits is None else output.logits
        values[kept] = (grid, output.feature, said)
        weights = backbone.learnable()
        total = sum((value * torch.arange(value.numel()).view_as(value)).sum() for value in values[kept])
        found = torch.autograd.grad(total, list(weights.values()), allow_unused=True)
        gradients[kept] = {n: g for n, g in zip(weights, found, strict=True) if g is not None}
    assert (output.tokens is None) == (name in SHORTENED)
    assert output.attention[-1].shape[1] == (1 if name in SHORTENED else output.attention[0].shape[1])
    for kept in ("mean", "read"):  # against autograd's own gradient of every head
        assert gradients[kept].keys() == gradients["heads"].keys()
        pairs = [*zip(values[kept], values["heads"], strict=True)]
        pairs += [(gradients[kept][n], gradients["heads"][n]) for n in gradients[kept] if "k_proj.bias" not in n]
        for ours, theirs in pairs:
            assert (ours - theirs).abs().max() <= 1e-12 * theirs.abs().max()


@pytest.mark.parametrize("rows", [1, 5])
def test_attention_and_its_mean_have_autograds_gradients(rows):
    draw = torch.Generator().manual_seed(0)
    shapes = ((3, rows, 2, 4), (3, 5, 2, 4), (3, 5, 2, 4))  # heads and tokens change places, as in a model
    asked = [torch.randn(s, generator=draw, dtype=torch.float64).transpose(1, 2).requires_grad_() for s in shapes]
    assert torch.autograd.gradcheck(lambda *states: HeadMean.apply(*states, 0.3), asked)
    query, key, value = asked
    probabilities = (query @ key.transpose(2, 3) * 0.3).softmax(-1)
    mixed, mean = HeadMean.apply(query, key, value, 0.3)
    torch.testing.assert_close(mixed, (probabilities @ value).transpose(1, 2), atol=1e-14, rtol=0)
    torch.testing.assert_close(mean, probabilities.mean(1), atol=1e-15, rtol=0)
