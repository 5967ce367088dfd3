"""Tensors that are fuzzed: files of a run, folders of models; and downloaded archives."""

import json
import struct
from pathlib import Path
from typing import Any

import fuzz_mutate as m
import torch
from fuzz_reader import json_of, one_of, pickled
from safetensors.torch import save_file
from transformers import ResNetConfig, ResNetForImageClassification, ViTConfig, ViTForImageClassification

from gazetune.backbones import black, load_backbone
from gazetune.backbones.resnet import ConvolutionalNetwork
from gazetune.backbones.vit import HALF, VisionTransformer
from gazetune.data import fetch, fetch_salicon
from gazetune.export.lineage import start_of
from gazetune.run import Run


def write_tensors(folder: Path) -> None:
    """A file of a run."""
    run = Run(folder)
    columns = {"map": torch.rand(3, 4, 4), "row": torch.arange(5), "half": torch.rand(2, 2).half()}
    run.write_tensors("state.safetensors", columns, inputs="these", state={"step": 3, "evaluated": {"0": 1.5}})
    run.write_json("summary.json", {"a": [1, 2, {"b": "c"}]})
    run.write_json(
        "provenance.json", {"stages": {"train": {"inputs": {"a": 1}, "outputs": {"summary.json": "0" * 64}}}}
    )


def spoil_tensors(folder: Path, draw: m.Draw) -> None:
    """The file, its header, or a record of the run."""
    what = draw.random()
    if what < 0.7:
        one_of("state.safetensors", m.any_bytes, m.safetensors_header, m.safetensors_header)(folder, draw)
    elif what < 0.72:
        (folder / "state.safetensors").write_bytes(pickled())
    else:
        one_of("*.json", json_of)(folder, draw)


def read_tensors(folder: Path) -> None:
    """The run's own ways to read it."""
    from gazetune.training.checkpoint import _found

    run = Run(folder)
    run.is_whole("state.safetensors", "these")
    _found(run, "state.safetensors", "these")
    _ = run.summary
    run.stages()
    run.stage("train", {"a": 1}, lambda: [])
    run.tensors("state.safetensors")
    run.about("state.safetensors")


SHAPE = {"hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 64}


def write_models(folder: Path) -> None:
    """A ViT, a ResNet, and a ViT in timm's keys."""
    torch.manual_seed(0)
    vit = ViTForImageClassification(ViTConfig(**SHAPE, image_size=32, patch_size=8, num_labels=3))
    VisionTransformer(vit, *HALF, (32, 32)).save(folder / "vit")
    (folder / "resnet").mkdir()
    shape = {"embedding_size": 8, "hidden_sizes": [8, 16], "depths": [1, 1], "num_labels": 3}
    net = ResNetForImageClassification(ResNetConfig(**shape))
    ConvolutionalNetwork(net, *HALF, (32, 32)).save(folder / "resnet")
    tensors = {"cls_token": (1, 1, 48), "pos_embed": (1, 17, 48), "norm.weight": (48,), "norm.bias": (48,)}
    tensors |= {"patch_embed.proj.weight": (48, 3, 8, 8), "patch_embed.proj.bias": (48,)}
    tensors |= {"head.weight": (3, 48), "head.bias": (3,)}
    blocks = {"norm1": 48, "norm2": 48, "attn.qkv": (144, 48), "attn.proj": (48, 48)}
    blocks |= {"mlp.fc1": (96, 48), "mlp.fc2": (48, 96)}
    for name, size in blocks.items():
        sides = size if isinstance(size, tuple) else (size,)
        tensors |= {f"blocks.0.{name}.weight": sides, f"blocks.0.{name}.bias": sides[:1]}
    (folder / "timm").mkdir()
    save_file({k: torch.rand(*s) for k, s in tensors.items()}, folder / "timm" / "model.safetensors")
    about = {"architecture": "vit_tiny_patch8_32", "num_classes": 3, "model_args": {"img_size": 32, "num_heads": 3}}
    about |= {"pretrained_cfg": {"tag": "augreg", "mean": [0.5] * 3, "std": [0.5] * 3, "input_size": [3, 32, 32]}}
    (folder / "timm" / "config.json").write_text(json.dumps(about))


def spoil_model(folder: Path, draw: m.Draw) -> None:
    """One file of one of the folders; or the weights as a pickle."""
    which = draw.choice(sorted(p for p in folder.iterdir() if p.is_dir()))
    for other in [p for p in folder.iterdir() if p.is_dir() and p != which]:
        for path in other.iterdir():
            path.unlink()
        other.rmdir()
    if draw.random() < 0.02:
        (which / "model.safetensors").unlink()
        (which / "pytorch_model.bin").write_bytes(pickled())
    path = draw.choice(sorted(p for p in which.iterdir() if p.suffix != ".bin"))
    content = path.read_bytes()
    if path.suffix == ".json":
        path.write_bytes(json_of(content, draw))
    else:
        path.write_bytes(draw.choice((m.any_bytes, m.safetensors_header))(content, draw))


def read_model(folder: Path) -> None:
    """The one model, and what it makes of a black image."""
    which = next(p for p in folder.iterdir() if p.is_dir())
    weights = f"timm:{which}" if which.name == "timm" else str(which)
    start_of(weights)
    black(load_backbone(weights))


GOOD = {"data/a.txt": b"one\n", "data/b/c.bin": b"\x00\x01" * 50}


def write_archives(folder: Path) -> None:
    """A tar and a zip of two files each."""
    import zipfile

    (folder / "inside").mkdir()
    members: list[m.Member] = [(f"repository-1/{name}", content, {}) for name, content in GOOD.items()]
    (folder / "a.tar.gz").write_bytes(m.tar(members))
    with zipfile.ZipFile(folder / "a.zip", "w", zipfile.ZIP_DEFLATED) as opened:
        for name in fetch_salicon.INSTANCES:
            opened.writestr(f"annotations/{name}", "{}" * 50)


def spoil_archive(folder: Path, draw: m.Draw) -> None:
    """Its bytes, or members that want to be elsewhere."""
    what = draw.random()
    if what < 0.5:
        one_of("a.*", m.any_bytes, m.any_bytes, m.replaced)(folder, draw)
        return
    outside = str(folder / "outside")
    name = draw.choice(
        (
            "repository-1/data/a.txt",
            "repository-1/../../outside",
            outside,
            "../outside",
            "x/data/b/c.bin",
            "\x00",
            "x/" * 5000,
        )
    )
    fields: dict[str, Any] = draw.choice(
        ({}, {"type": b"2", "linkname": outside}, {"type": b"1", "linkname": "../../outside"}, {"type": b"5"},
         {"type": b"3"}, {"type": b"2", "linkname": ".."}, {"mode": 0o7777}, {"mtime": -1},
         {"pax_headers": {"path": outside}}, {"pax_headers": {"size": "9" * 20}},
         {"pax_headers": {"comment": "x" * 1_000_000}}, {"mtime": 1e300})
    )  # fmt: skip
    members = [(name, draw.choice((b"one\n", b"", b"x" * 5000)), fields)]
    members += [(f"repository-1/{name}", content, {}) for name, content in GOOD.items()]
    try:
        packed = m.tar(members, draw.choice(("w:gz", "w:xz", "w:bz2", "w")))
    except (ValueError, OverflowError, UnicodeError, struct_error):
        packed = b""
    if what > 0.98:
        packed = m.gzip.compress(m.tar([("repository-1/data/a.txt", bytes(300 << 20), {})], "w"), 1)
    (folder / "a.tar.gz").write_bytes(packed)


struct_error = struct.error


def read_archive(folder: Path) -> None:
    """What `fetch` does with what was downloaded."""
    import hashlib

    wanted = {name: hashlib.sha256(content).hexdigest() for name, content in GOOD.items()}
    fetch_salicon._take_instances(folder / "a.zip", folder / "inside")
    fetch._unpack(folder / "a.tar.gz", folder / "inside", list(wanted), wanted)
