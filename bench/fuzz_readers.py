"""The readers that are fuzzed: for each a folder of good files, how one case spoils them, and what reads them."""

import io
import json
import os
import struct
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fuzz_mutate as m
import numpy as np
import torch
import yaml
from PIL import Image
from pycocotools import mask as rle
from safetensors.torch import save_file
from scipy.io import savemat
from transformers import ResNetConfig, ResNetForImageClassification, ViTConfig, ViTForImageClassification

from gazetune import cli
from gazetune.attention.ready import _on_grid, read_map
from gazetune.backbones import black, load_backbone
from gazetune.backbones.resnet import ConvolutionalNetwork
from gazetune.backbones.vit import HALF, VisionTransformer
from gazetune.commands.settings import of_run
from gazetune.data import fetch, fetch_salicon
from gazetune.data.classes import read_classes
from gazetune.data.coco import load_coco
from gazetune.data.faults import Faults
from gazetune.data.images import image_size, read_rgb
from gazetune.data.objectnet import MAPPING_FILES, objectnet_classes, objectnet_mapping, red_border
from gazetune.data.osie import load_osie
from gazetune.data.salicon import Salicon, load_salicon
from gazetune.data.salicon_files import read_mat, read_points, released_density
from gazetune.data.salicon_json import kept_name, read_json
from gazetune.data.sources import read_labelled
from gazetune.data.table import load_table
from gazetune.export.lineage import start_of
from gazetune.loading import load_experiment
from gazetune.maps import Human, grid_points
from gazetune.parity.class_map import read_class_map
from gazetune.report.published import published
from gazetune.report.tolerance import tolerances
from gazetune.run import Run

WIDTH, HEIGHT = 64, 48
Spoil = Callable[[Path, m.Draw], None]


@dataclass(frozen=True)
class Reader:
    """`write` good files into a folder once; `spoil` a copy of it; `read` it, which may raise GazetuneError only.

    share: of the files, in parts. outside: no file may appear but in the folder `inside`.
    """

    write: Callable[[Path], None]
    spoil: Spoil
    read: Callable[[Path], Any]
    share: int


def one_of(names: str, *how: m.Mutation) -> Spoil:
    """Spoil one of the files that fit a pattern, in one of these ways."""

    def spoil(folder: Path, draw: m.Draw) -> None:
        path = draw.choice(sorted(folder.glob(names)))
        path.write_bytes(draw.choice(how)(path.read_bytes(), draw))

    return spoil


def json_of(content: bytes, draw: m.Draw) -> bytes:
    """A JSON file as a tree."""
    return m.as_json(json.loads(content), draw)


# a study ------------------------------------------------------------------------------------------------------------


def write_table(folder: Path) -> None:
    """A table of fixations with its photos, objects and labels."""
    rng = np.random.default_rng(0)
    (folder / "images").mkdir()
    lines = ["image,observer,x,y,order,duration_ms,image_width,image_height,split,label,group"]
    for i in range(6):
        photo = Image.fromarray(rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8))
        photo.save(folder / "images" / f"p{i}.png")
        for k in range(5):
            x, y = rng.uniform(0, WIDTH), rng.uniform(0, HEIGHT)
            place = f"{x:.2f},{y:.2f},{k},{200 + k}.5,{WIDTH},{HEIGHT}"
            lines.append(f"p{i}.png,o{k % 3},{place},{'train' if i % 2 else 'test'},{'ab'[i % 2]},{'cd'[i // 3]}")
    (folder / "fixations.csv").write_text("\n".join(lines) + "\n")
    boxes = ["image,category,object,x,y,width,height,outline,mask,animate", "p0.png,cup,1,3,4,10,12,,,false"]
    boxes += ['p1.png,dog,2,,,,,"1 1, 20 3, 14.5 30, 4 9",,true', "p2.png,cat,3,,,,,,mask.png,"]
    Image.fromarray(np.eye(HEIGHT, WIDTH, dtype=np.uint8) * 255).save(folder / "mask.png")
    (folder / "objects.csv").write_text("\n".join(boxes) + "\n")
    (folder / "labels.csv").write_text("file,label\n" + "".join(f"p{i}.png,{'ab'[i % 2]}\n" for i in range(6)))
    (folder / "classes.csv").write_text("index,label,wnid,ilsvrc2012_id\n0,a,n00000001,2\n1,b,n00000002,1\n")
    (folder / "classes.txt").write_text("n00000001 a\nn00000002 b\n")
    (folder / "map.csv").write_text("class,index\na,1\nb,0\n")


def read_table(folder: Path) -> None:
    """The table, its points on the grid, and its objects with their pixels."""
    packed = folder / "fixations.csv.gz"
    stimuli = load_table(packed if packed.is_file() else folder, by=("group",))
    grid_points(stimuli, Human(sigma_px=4.0), 56)
    stimuli.fingerprint()
    for scene in stimuli:
        for thing in scene.objects:
            if thing.crop is not None:
                thing.crop()
            thing.decode()


def spoil_table(folder: Path, draw: m.Draw) -> None:
    """The table; now and then packed, or a bomb of one repeated row."""
    one_of("fixations.csv", m.table, m.table, m.table, m.any_bytes, m.numbers)(folder, draw)
    path = folder / "fixations.csv"
    if draw.random() < 0.3:
        (folder / "objects.csv").unlink()
        for photo in (folder / "images").iterdir():
            photo.unlink()
    if draw.random() < 0.1:
        packed = m.gzip.compress(path.read_bytes(), 1)
        (folder / "fixations.csv.gz").write_bytes(draw.choice((packed, m.any_bytes(packed, draw))))
    elif draw.random() < 0.004:
        head, *rows = path.read_bytes().splitlines(keepends=True) or [b"", b""]
        target = io.BytesIO()
        with m.gzip.GzipFile(fileobj=target, mode="wb", compresslevel=1) as opened:
            opened.write(head)
            for _ in range(1500):
                opened.write((rows or [b"0\n"])[0] * 20_000)
        (folder / "fixations.csv.gz").write_bytes(target.getvalue())


def spoil_objects(folder: Path, draw: m.Draw) -> None:
    """The objects, or the picture that one of them is painted in."""
    if draw.random() < 0.1:
        one_of("mask.png", m.any_bytes, m.png_header)(folder, draw)
    else:
        one_of("objects.csv", m.table, m.table, m.any_bytes, m.numbers, m.numbers)(folder, draw)


def read_labels(folder: Path) -> None:
    """Labelled images, their class list and a class map."""
    known = [read_classes(folder / name) for name in ("classes.csv", "classes.txt")]
    labelled = read_labelled("labels", folder, classes=folder / "classes.csv")
    labelled.fingerprint()
    read_class_map(folder / "map.csv", known[0], ("b", "a"), 2)


# SALICON, COCO, OSIE, ImageNet --------------------------------------------------------------------------------------


def _name(k: int) -> str:
    return f"COCO_val2014_{k + 1:012d}.jpg"


def write_salicon(folder: Path) -> None:
    """Both annotation files of 4 images."""
    rng = np.random.default_rng(1)
    images = [{"id": k + 1, "file_name": _name(k), "width": WIDTH, "height": HEIGHT} for k in range(4)]
    gaze = [
        {"id": 10 * k + w, "image_id": k + 1, "worker_id": w,
         "fixations": (rng.integers(0, (HEIGHT, WIDTH), (6, 2)) + 1).tolist()}
        for k in range(4) for w in range(2)
    ]  # fmt: skip
    (folder / "fixations_val2014.json").write_text(json.dumps({"images": images, "annotations": gaze}))
    polygon = [[2.0, 3.0, 30.5, 4.0, 20.0, 40.0, 3.0, 30.0]]
    runs: list[Any] = [{"size": [HEIGHT, WIDTH], "counts": [100, 200, HEIGHT * WIDTH - 300]}]
    packed = rle.encode(np.asfortranarray(np.eye(HEIGHT, WIDTH, dtype=np.uint8)))
    runs.append({"size": [HEIGHT, WIDTH], "counts": packed["counts"].decode()})
    shapes = [polygon, *runs, polygon]
    annotations = [
        {"id": k, "image_id": k + 1, "category_id": 1 + k % 2, "area": 50.5, "iscrowd": 0, "segmentation": shape}
        for k, shape in enumerate(shapes)
    ]
    kinds = [{"id": 1, "name": "dog"}, {"id": 2, "name": "cup"}]
    content = {"images": images, "annotations": annotations, "categories": kinds}
    (folder / "instances_val2014.json").write_text(json.dumps(content))


def read_salicon(folder: Path) -> None:
    """SALICON's JSON as the data set it is, and on the grid."""
    (folder / "instances_val2014.json").unlink()
    stimuli = load_salicon(folder, Salicon(edition=2015, gaze="samples"))
    grid_points(stimuli, Human(sigma_px=4.0), 56)
    fetch_salicon._wanted(folder)


def read_coco(folder: Path) -> None:
    """COCO's objects with their pixels."""
    sizes = {k + 1: (HEIGHT, WIDTH) for k in range(4)}
    found = load_coco([folder / "instances_val2014.json"], sizes, "include", Faults())
    for objects in found.found.values():
        for thing in objects:
            if thing.crop is not None:
                thing.crop()
            thing.decode()


def write_columns(folder: Path) -> None:
    """A JSON with the columns that are kept of a large one."""
    from gazetune.data import salicon_json

    write_salicon(folder)
    path = folder / "fixations_val2014.json"
    salicon_json._keep(kept_name(path), path, read_json(path, Faults()))


def write_mats(folder: Path) -> None:
    """SALICON's .mat, OSIE's fixations.mat and the development kit's meta.mat."""
    rng = np.random.default_rng(2)
    points = rng.integers(1, 40, (8, 2))
    worker = {"location": points, "timestamp": np.arange(8.0), "fixations": points[:3]}
    said = {"image": Path(_name(0)).stem, "resolution": [HEIGHT, WIDTH], "gaze": [worker, worker]}
    for packed in (True, False):
        place = folder / ("packed" if packed else "plain")
        (place / "stimuli").mkdir(parents=True)
        savemat(place / f"{Path(_name(0)).stem}.mat", said, do_compression=packed)
        gaze = {"fix_x": np.array([9.0, 5.0]), "fix_y": np.array([7.0, 2.0]), "fix_duration": np.array([200.0, 180.0])}
        cells = np.empty(2, dtype=object)
        cells[:] = [{"img": f"{k}.jpg", "subjects": [gaze, gaze]} for k in (1001, 1002)]
        savemat(place / "fixations.mat", {"fixations": cells}, do_compression=packed)
        synsets = np.array(
            [(k + 1, f"n0000000{k}", "a, b", 0) for k in range(3)],
            dtype=[("ILSVRC2012_ID", "O"), ("WNID", "O"), ("words", "O"), ("num_children", "O")],
        )
        savemat(place / "meta.mat", {"synsets": synsets}, do_compression=packed)
        for k in (1001, 1002):
            Image.new("RGB", (80, 60)).save(place / "stimuli" / f"{k}.jpg")


def spoil_mat(folder: Path, draw: m.Draw) -> None:
    """One of the files; now and then a bomb, or cells nested thousands deep."""
    path = draw.choice(sorted(folder.glob("*/*.mat")))
    for other in sorted(folder.glob("*/*.mat")):
        if other != path:
            other.unlink()
    what = draw.random()
    if what < 0.004:
        path.write_bytes(m.mat_bomb(3000))
    elif what < 0.02:
        path.write_bytes(m.mat_deep(draw.choice((20, 500, 5000, 40_000)), draw.random() < 0.5))
    else:
        path.write_bytes(m.mat(path.read_bytes(), draw))


def read_mats(folder: Path) -> None:
    """The one .mat file that is there, by its reader."""
    path = next(iter(sorted(folder.glob("*/*.mat"))))
    if path.name == "meta.mat":
        read_classes(path)
    elif path.name == "fixations.mat":
        stimuli = load_osie(path.parent)
        grid_points(stimuli, Human(sigma_px=4.0), 56)
    else:
        for gaze in ("samples", "fixations"):
            read_mat([path], gaze, Faults())


def write_mapping(folder: Path) -> None:
    """ObjectNet's four mapping files, and a list of numbers."""
    contents = ({"cup": "Cup", "dog": "Dog"}, {"Cup": "cup, mug; teacup", "Dog": "dog"}, None, {"0": 2, "1": 0, "2": 1})
    for name, content in zip(MAPPING_FILES, contents, strict=True):
        (folder / name).write_text("dog\nteacup\ncup, mug\n" if content is None else json.dumps(content))


def spoil_mapping(folder: Path, draw: m.Draw) -> None:
    """One of the four."""
    path = draw.choice(sorted(folder.iterdir()))
    content = path.read_bytes()
    path.write_bytes(m.any_bytes(content, draw) if content[:1] != b"{" else json_of(content, draw))


def read_mapping(folder: Path) -> None:
    """Both readers of the mapping."""
    objectnet_classes(folder)
    objectnet_mapping(folder)


# settings -----------------------------------------------------------------------------------------------------------


def write_settings(folder: Path) -> None:
    """An experiment, tolerances, SALICON's settings, a model card."""
    experiment = {
        "name": "small", "data": {"kind": "table", "path": "study", "split": {"rule": "given"}, "by": ["group"]},
        "models": {"before": {"weights": "tiny", "train": "none"},
                   "after": {"weights": "tiny", "train": True, "training": {"lr": 1e-4}}},
        "reference": "before", "human": {"sigma_px": 4.0}, "seeds": [1, 2], "image_size": [32, 32],
        "training": {"lr": 1e-3, "epochs": 3}, "metrics": ["cc", "nss"],
        "contrasts": {"mine": {"a": {"categories": ["cup"]}, "b": {"categories": ["dog"]}}},
        "parity": {"imgs": {"kind": "folder", "path": "x", "severities": [1, 5]}},
    }  # fmt: skip
    (folder / "config.yaml").write_text(yaml.safe_dump(experiment))
    (folder / "tolerances.yaml").write_text(f"{published()[0].id}: {{value: 0.1, abs: 0.01}}\n")
    (folder / "salicon.yaml").write_text("edition: 2015\ngaze: samples\n")
    (folder / "README.md").write_text("---\nlicense: mit\ntags: [a, b]\n---\n# a model\n")


LAUGHS = b"a: &a [1,1,1,1,1,1,1,1,1,1]\n" + b"".join(
    f"{b}: &{b} [{','.join([f'*{a}'] * 10)}]\n".encode() for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)


def yaml_of(content: bytes, draw: m.Draw) -> bytes:
    """A YAML file as a tree, in its bytes, with aliases that multiply, or nested too deep."""
    what = draw.random()
    if what < 0.5:
        try:
            changed = m.tree(yaml.safe_load(content), draw)
            return yaml.safe_dump(changed, allow_unicode=True).encode("utf-8", "surrogatepass")
        except (ValueError, RecursionError, yaml.YAMLError):
            return content
    if what < 0.55:
        deep = draw.choice((20, 300, 3000))
        return content + b"\nmodels: " + draw.choice((b"[" * deep + b"]" * deep, b"{a: " * deep + b"}" * deep))
    if what < 0.6:
        key = draw.choice((b"models", b"data", b"seeds", b"training", b"x", b"edition"))
        return LAUGHS + content + b"\n" + key + b": *" + draw.choice((b"c", b"i"))
    if what < 0.75:
        return m.numbers(content, draw)
    return m.any_bytes(content, draw)


def spoil_settings(folder: Path, draw: m.Draw) -> None:
    """One of them."""
    path = draw.choice([folder / "config.yaml"] * 4 + sorted(folder.iterdir()))
    content = path.read_bytes()
    path.write_bytes(m.any_bytes(content, draw) if path.suffix == ".md" else yaml_of(content, draw))


def read_settings(folder: Path) -> None:
    """All of them, the spoilt one last to be met by every reader that there is for it."""
    start_of(str(folder))
    cli._folder(str(folder / "config.yaml"), None, None)
    for read in (
        lambda: load_experiment(str(folder / "config.yaml"), ("training.lr=2e-5",)),
        lambda: of_run(Run(folder)),
    ):
        read()
    tolerances(folder / "tolerances.yaml")
    (folder / "fixations_val2014.json").write_text("{}")
    from gazetune.data import salicon

    salicon._settings(folder, Salicon())


# pictures -----------------------------------------------------------------------------------------------------------


def write_photos(folder: Path) -> None:
    """Photos of every kind and mode."""
    rng = np.random.default_rng(3)
    rgb = Image.fromarray(rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    rgb.save(folder / "a.jpg", exif=turned)
    rgb.save(folder / "progressive.jpg", progressive=True)
    rgb.convert("CMYK").save(folder / "cmyk.jpg")
    rgb.save(folder / "b.png")
    rgb.quantize(16).save(folder / "palette.png")
    rgb.convert("RGBA").save(folder / "alpha.png")
    Image.fromarray(rng.integers(0, 65535, (HEIGHT, WIDTH), dtype=np.uint16)).save(folder / "deep.png")
    for kind in ("gif", "bmp", "tif", "webp"):
        rgb.save(folder / f"c.{kind}")
    rgb.save(folder / "packed.tif", compression="tiff_lzw", exif=turned)
    Image.fromarray(rng.random((HEIGHT, WIDTH), dtype=np.float32)).save(folder / "float.tif")


def spoil_photo(folder: Path, draw: m.Draw) -> None:
    """One of them; now and then a bomb that unpacks to hundreds of millions of pixels."""
    path = draw.choice(sorted(folder.iterdir()))
    for other in list(folder.iterdir()):
        if other != path:
            other.unlink()
    if draw.random() < 0.004:
        side, kind, depth = draw.choice(((9_900, 0, 8), (9_900, 2, 8), (9_900, 6, 8), (9_900, 0, 16), (15_000, 0, 8)))
        path.write_bytes(m.png_bomb(side, kind, depth))
    else:
        how = (m.any_bytes, m.png_header) if path.suffix == ".png" else (m.any_bytes,)
        one_of("*", *how)(folder, draw)


def read_photo(folder: Path) -> None:
    """The one photo: its size, its pixels at their own size and at a model's."""
    path = next(folder.iterdir())
    image_size(path)
    read_rgb(path, (56, 56))
    pixels = read_rgb(path)
    if max(pixels.shape) < 1000:
        with suppress(ValueError):
            red_border(pixels)


def write_maps(folder: Path) -> None:
    """Ready-made maps, and pictures of fixation points."""
    rng = np.random.default_rng(4)
    grey = rng.integers(0, 255, (HEIGHT, WIDTH), dtype=np.uint8)
    Image.fromarray(grey).save(folder / "grey.png")
    Image.fromarray(grey.astype(np.uint16) * 200).save(folder / "deep.png")
    Image.fromarray(((grey > 250) * 255).astype(np.uint8)).save(folder / "points.png")
    np.save(folder / "a.npy", rng.random((HEIGHT, WIDTH)).astype(np.float32))
    np.save(folder / "b.npy", np.asfortranarray(rng.random((HEIGHT, WIDTH))))


class _Touch:
    """What a pickle that does harm looks like."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, ("pickled",)


def pickled() -> bytes:
    """A pickle that makes a folder `pickled` when it is loaded."""
    import pickle

    return pickle.dumps(_Touch())


def spoil_map(folder: Path, draw: m.Draw) -> None:
    """One of them; arrays of pickled objects and archives of arrays among them."""
    path = draw.choice(sorted(folder.iterdir()))
    for other in list(folder.iterdir()):
        if other != path:
            other.unlink()
    what = draw.random()
    if path.suffix == ".png":
        one_of("*", m.any_bytes, m.png_header)(folder, draw)
        if what < 0.004:
            path.write_bytes(m.png_bomb(9_900, draw.choice((0, 2, 6))))
    elif what < 0.02:
        said = b"{'descr': '|O', 'fortran_order': False, 'shape': (1, 1), }\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(said)) + said + pickled())
    elif what < 0.03:
        path.write_bytes(pickled())
    elif what < 0.05:
        target = io.BytesIO()
        np.savez(target, a=np.ones((3, 3)))
        path.write_bytes(target.getvalue())
    else:
        one_of("*", m.any_bytes, m.npy_header, m.npy_header)(folder, draw)


def read_maps(folder: Path) -> None:
    """The one map, on the grid; as a picture of points; as a released map."""
    path = next(folder.iterdir())
    if path.suffix == ".png":
        released_density(path)
        if path.name == "points.png":
            read_points([path], Faults())
    _on_grid(read_map(path), 56)


# tensors, models, archives ------------------------------------------------------------------------------------------


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


READERS: dict[str, Reader] = {
    "fixations.csv": Reader(write_table, spoil_table, read_table, 14),
    "objects.csv": Reader(write_table, spoil_objects, read_table, 8),
    "labels, classes, class map": Reader(
        write_table, one_of("[lcm]*.[ct][sx][vt]", m.table, m.any_bytes, m.numbers), read_labels, 8
    ),
    "SALICON JSON": Reader(write_salicon, one_of("fix*", json_of), read_salicon, 10),
    "SALICON JSON, kept columns": Reader(
        write_columns, one_of(".fix*", m.any_bytes, m.safetensors_header), read_salicon, 3
    ),
    "COCO JSON": Reader(write_salicon, one_of("inst*", json_of), read_coco, 10),
    ".mat (SALICON, OSIE, ImageNet)": Reader(write_mats, spoil_mat, read_mats, 9),
    "ObjectNet's mapping": Reader(write_mapping, spoil_mapping, read_mapping, 3),
    "YAML (experiment, tolerances)": Reader(write_settings, spoil_settings, read_settings, 8),
    "photos": Reader(write_photos, spoil_photo, read_photo, 10),
    "ready-made maps PNG, NPY": Reader(write_maps, spoil_map, read_maps, 7),
    "files of a run": Reader(write_tensors, spoil_tensors, read_tensors, 6),
    "model folders, state_dict": Reader(write_models, spoil_model, read_model, 6),
    "archives": Reader(write_archives, spoil_archive, read_archive, 4),
}
sys.setrecursionlimit(1000)  # as a user's
