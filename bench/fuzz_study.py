"""Studies that are fuzzed: tables of fixations, objects, labels and class lists, and the settings of experiments."""

import io
from pathlib import Path

import fuzz_mutate as m
import numpy as np
import yaml
from fuzz_reader import HEIGHT, WIDTH, one_of
from PIL import Image

from gazetune import cli
from gazetune.commands.settings import of_run
from gazetune.data.classes import read_classes
from gazetune.data.salicon import Salicon
from gazetune.data.sources import read_labelled
from gazetune.data.table import load_table
from gazetune.export.lineage import start_of
from gazetune.loading import load_experiment
from gazetune.maps import Human, grid_points
from gazetune.parity.class_map import read_class_map
from gazetune.report.published import published
from gazetune.report.tolerance import tolerances
from gazetune.run import Run


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
