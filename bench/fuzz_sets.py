"""Published data sets that are fuzzed: SALICON, COCO, OSIE, ImageNet and ObjectNet's mapping."""

import json
from pathlib import Path
from typing import Any

import fuzz_mutate as m
import numpy as np
from fuzz_reader import HEIGHT, WIDTH, json_of
from PIL import Image
from pycocotools import mask as rle
from scipy.io import savemat

from gazetune.data import fetch_salicon
from gazetune.data.classes import read_classes
from gazetune.data.coco import load_coco
from gazetune.data.faults import Faults
from gazetune.data.objectnet import MAPPING_FILES, objectnet_classes, objectnet_mapping
from gazetune.data.osie import load_osie
from gazetune.data.salicon import Salicon, load_salicon
from gazetune.data.salicon_files import read_mat
from gazetune.data.salicon_json import kept_name, read_json
from gazetune.maps import Human, grid_points


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
