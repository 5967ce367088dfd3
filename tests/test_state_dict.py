"""Weights as an engineer keeps them: timm's and transformers' keys, read and written back."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import ViTConfig, ViTForImageClassification

from gazetune import load_backbone
from gazetune.backbones import absolute, weights_hash
from gazetune.backbones.state_dict import write_back
from gazetune.backbones.timm_names import call
from gazetune.errors import InputError
from plain_vit import CONFIG, PlainViT, normalised, save_as_timm
from worlds import small_vit

IMAGES = torch.randint(0, 256, (2, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
FAMILIES = {
    "vit": {"classes": 3},
    "vit without a head": {"classes": 0},
    "deit, distilled": {"classes": 3, "distilled": True},
    "dinov2": {"classes": 0, "scaled": True},
    "dinov2 with registers": {"classes": 0, "scaled": True, "registers": 4},
}


def answer(backbone):
    with torch.no_grad():
        output = backbone(IMAGES)
    return output.representation if output.logits is None else output.logits


@pytest.mark.parametrize("kind", FAMILIES)
def test_timm_keys_give_the_answers_of_a_plain_implementation(tmp_path, kind):
    plain = PlainViT(**FAMILIES[kind]).eval()
    backbone = load_backbone(f"timm:{save_as_timm(tmp_path, plain)}")
    with torch.no_grad():
        expected = plain(normalised(IMAGES))
    assert torch.allclose(answer(backbone), expected, atol=1e-5) and expected.abs().max() > 0.1
    output = backbone(IMAGES)
    assert output.prefix == 1 + plain.distilled + plain.registers and output.grid == (4, 4)
    assert all(torch.allclose(layer.sum(-1), torch.ones(()), atol=1e-6) for layer in output.attention)


@pytest.mark.parametrize("kind", FAMILIES)
def test_what_learnt_comes_back_under_the_same_keys_and_the_rest_bit_for_bit(tmp_path, kind):
    plain = PlainViT(**FAMILIES[kind]).eval()
    weights = f"timm:{save_as_timm(tmp_path, plain)}"
    start, tuned = load_backbone(weights), load_backbone(weights)
    with torch.no_grad():
        for parameter in tuned.learnable().values():
            parameter += 0.01 * torch.randn_like(parameter)
    (tmp_path / "best").mkdir()
    tuned.save(tmp_path / "best")
    back, moved = write_back(weights, tmp_path / "best", start.model, tuned.model)
    before = plain.state_dict()
    assert list(back) == sorted(before) and moved == 8  # qkv and proj, weight and bias, of two blocks
    assert all(back[key].shape == before[key].shape and back[key].dtype == torch.float32 for key in back)
    differ = {key for key in back if not torch.equal(back[key], before[key])}
    assert differ == {key for key in before if ".attn." in key}
    plain.load_state_dict(back)  # the engineer's own code
    with torch.no_grad():
        assert torch.allclose(answer(tuned), plain(normalised(IMAGES)), atol=1e-5)


def test_half_precision_and_what_stands_in_front_of_the_keys_come_back_too(tmp_path):
    half = {f"module.{key}": value.half() for key, value in PlainViT().state_dict().items()}
    save_file(half, tmp_path / "deit_tiny_patch8_32.safetensors")
    (tmp_path / "config.json").write_text(json.dumps(CONFIG))
    weights = str(tmp_path / "deit_tiny_patch8_32.safetensors")
    start, tuned = load_backbone(weights), load_backbone(weights)
    with torch.no_grad():
        tuned.model.vit.layers[0].attention.o_proj.weight[0, 0] += 1e-5
    (tmp_path / "best").mkdir()
    tuned.save(tmp_path / "best")
    back, moved = write_back(weights, tmp_path / "best", start.model, tuned.model)
    assert back.keys() == half.keys() and moved == 1
    changed = back.pop("module.blocks.0.attn.proj.weight")
    before = half["module.blocks.0.attn.proj.weight"].float()
    assert changed.dtype == torch.float32 and (changed - before).abs().sum() == pytest.approx(1e-5, rel=1e-2)
    assert all(torch.equal(back[key], half[key]) and back[key].dtype == torch.float16 for key in back)


@pytest.mark.parametrize("names", ["as saved", "as in memory"])
def test_transformers_keys_beside_their_config(tmp_path, names):
    small = small_vit()
    small.save(tmp_path / "folder")
    tensors = load_file(tmp_path / "folder" / "model.safetensors")
    if names == "as in memory":
        tensors = {key: value.clone() for key, value in small.model.state_dict().items()}
        assert "vit.layers.0.attention.q_proj.weight" in tensors
    (tmp_path / "folder" / "model.safetensors").unlink()
    weights = str(tmp_path / "folder" / "mine.safetensors")
    save_file(tensors, weights)
    start, tuned = load_backbone(weights), load_backbone(weights)
    assert torch.equal(answer(start), answer(small))
    with torch.no_grad():
        for parameter in tuned.learnable().values():
            parameter += 1
    (tmp_path / "best").mkdir()
    tuned.save(tmp_path / "best")
    back, moved = write_back(weights, tmp_path / "best", start.model, tuned.model)
    assert back.keys() == tensors.keys() and moved == 3 * 8
    learnt = {key for key in back if not torch.equal(back[key], tensors[key])}
    assert len(learnt) == moved and all("attention" in key for key in learnt)


def test_nothing_is_written_if_something_that_learnt_has_no_key(tmp_path):
    weights = f"timm:{save_as_timm(tmp_path, PlainViT())}"
    start, tuned = load_backbone(weights), load_backbone(weights)
    (tmp_path / "best").mkdir()
    tuned.save(tmp_path / "best")
    with torch.no_grad():
        tuned.model.classifier.bias += 1  # after it was saved: what is written would not be this model
    with pytest.raises(InputError, match=r"3 parameters learnt, but .* 0 would have changed"):
        write_back(weights, tmp_path / "best", start.model, tuned.model)


@pytest.mark.parametrize(
    ("name", "mean"),
    [
        ("vit_tiny_patch8_32.augreg_in21k_ft_in1k", (0.5, 0.5, 0.5)),
        ("deit_tiny_patch8_32", (0.485, 0.456, 0.406)),
        ("vit_tiny_patch8_32.dino", (0.485, 0.456, 0.406)),
    ],
)
def test_without_a_config_the_name_of_the_file_says_what_the_tensors_do_not(tmp_path, name, mean):
    shape = {"hidden_size": 192, "num_attention_heads": 3, "num_hidden_layers": 1, "intermediate_size": 48}
    config = ViTConfig(**shape, image_size=32, patch_size=8, num_labels=2, layer_norm_eps=1e-6)
    ViTForImageClassification(config).save_pretrained(tmp_path / "theirs")
    theirs = load_file(tmp_path / "theirs" / "model.safetensors")
    inside, att = "vit.encoder.layer.0.", "vit.encoder.layer.0.attention.attention."
    pairs = {"patch_embed.proj": "vit.embeddings.patch_embeddings.projection", "norm": "vit.layernorm"}
    pairs |= {"head": "classifier", "blocks.0.norm1": f"{inside}layernorm_before"}
    pairs |= {"blocks.0.norm2": f"{inside}layernorm_after", "blocks.0.attn.proj": f"{inside}attention.output.dense"}
    pairs |= {"blocks.0.mlp.fc1": f"{inside}intermediate.dense", "blocks.0.mlp.fc2": f"{inside}output.dense"}
    ours = {f"{a}.{k}": theirs[f"{b}.{k}"] for a, b in pairs.items() for k in ("weight", "bias")}
    for k in ("weight", "bias"):
        ours[f"blocks.0.attn.qkv.{k}"] = torch.cat([theirs[f"{att}{n}.{k}"] for n in ("query", "key", "value")])
    ours |= {"cls_token": theirs["vit.embeddings.cls_token"], "pos_embed": theirs["vit.embeddings.position_embeddings"]}
    save_file(ours, tmp_path / f"{name}.safetensors")
    backbone = load_backbone(str(tmp_path / f"{name}.safetensors"))
    assert (backbone.heads, backbone.mean, backbone.image_size) == (3, mean, (32, 32))
    reference = ViTForImageClassification.from_pretrained(tmp_path / "theirs").eval()
    pixels = normalised(IMAGES, backbone.mean, backbone.std)
    with torch.no_grad():
        assert torch.allclose(answer(backbone), reference(pixels).logits, atol=1e-5)


def called(architecture):
    return {"architecture": architecture, "model_args": {"img_size": 32}}


def test_the_call_that_makes_it_in_timm():
    """By a name that timm has and every argument that is not that name's own; nothing where there is no such name."""
    config = ViTConfig(hidden_size=192, num_hidden_layers=12, num_attention_heads=3, image_size=64, patch_size=16)
    assert call("vit_tiny_patch16_64", {}, config, 5) == ("vit_tiny_patch16_224", {"num_classes": 5, "img_size": 64})
    assert call("vit_tiny_patch8_64", {}, config, 5) is None and call("resnet50", {}, config, 5) is None
    config = ViTConfig(num_hidden_layers=2, image_size=384)  # of ViT-B/16 otherwise
    assert call("vit_base_patch16_384", {}, config, 0) == ("vit_base_patch16_384", {"num_classes": 0, "depth": 2})


def test_faults_are_named(tmp_path):
    folder = save_as_timm(tmp_path / "one", PlainViT())
    for wrong, said in {
        "model.pth": "save_file",
        "gone.safetensors": "There is no",
        f"timm:{tmp_path}": "there is no config.json",
    }.items():
        with pytest.raises(InputError, match=said):
            load_backbone(wrong)
    for changes, said in {
        "global_pool": ({"global_pool": "avg"}, "global_pool"),
        "arguments": ({"model_args": {**CONFIG["model_args"], "qk_norm": True}}, "qk_norm"),
        "architecture": ({"architecture": "vit_base_patch16_clip_224"}, "vit_base_patch16_clip_224"),
        "size": ({"model_args": {**CONFIG["model_args"], "img_size": 64}}, "16 places, .* 64x64"),
        "normalisation": ({"pretrained_cfg": {}}, "mean and SD"),
        "width of the name": (called("vit_base_patch8_32"), "says 768 wide and 12 heads, its tensors are 32 wide"),
        "width": ({"model_args": {**CONFIG["model_args"], "embed_dim": 64}}, r"model_args\) says 64 wide and 2 heads"),
        "heads": ({"model_args": {**CONFIG["model_args"], "num_heads": 3}}, "32 wide, which 3 heads cannot share"),
    }.values():
        with pytest.raises(InputError, match=said):
            load_backbone(f"timm:{save_as_timm(tmp_path / 'other', PlainViT(), **changes)}")
    tensors = load_file(folder / "model.safetensors")
    alone = tmp_path / "alone"
    alone.mkdir()
    save_file(tensors, alone / "mine.safetensors")
    with pytest.raises(InputError, match="without its architecture"):
        load_backbone(str(alone / "mine.safetensors"))
    save_file({**tensors, "fc_norm.weight": torch.ones(3)}, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"fc_norm\.weight"):
        load_backbone(f"timm:{folder}")
    tensors.pop("blocks.1.norm2.bias")
    save_file(tensors, folder / "model.safetensors")
    with pytest.raises(InputError, match=r"no whole ViTForImageClassification.*layer.?s?\.1"):
        load_backbone(f"timm:{folder}")


def test_the_hash_changes_with_weights_and_config(tmp_path, monkeypatch):
    folder = save_as_timm(tmp_path / "one", PlainViT())
    first = weights_hash(f"timm:{folder}")
    assert weights_hash(str(folder / "model.safetensors")) == first
    save_as_timm(folder, PlainViT(seed=1))
    second = weights_hash(f"timm:{folder}")
    save_as_timm(folder, PlainViT(seed=1), label_names=["a", "b", "c"])
    assert len({first, second, weights_hash(f"timm:{folder}")}) == 3
    assert load_backbone(f"timm:{folder}").classes == ("a", "b", "c")
    monkeypatch.chdir(tmp_path)
    assert (
        absolute("timm:one") == f"timm:{folder}"
        and absolute("timm:vit_base_patch16_224") == "timm:vit_base_patch16_224"
    )
