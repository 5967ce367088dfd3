"""A small SALICON on disk, in each of its forms, with COCO annotations."""

import json

import numpy as np
from PIL import Image
from scipy.io import savemat

WIDTH, HEIGHT = 640, 480


def names(n, split="val"):
    return [f"COCO_{split}2014_{k + 1:012d}.jpg" for k in range(n)]


def gaze(n=12, workers=3, points=20, seed=0):
    """Points (x, y), 0-based, of every image and worker, about where people look."""
    rng = np.random.default_rng(seed)
    drawn = rng.normal((313, 227), (70, 50), size=(n, workers, points, 2))
    return np.clip(drawn, 0, (WIDTH - 1, HEIGHT - 1)).astype(int)


def write_json(path, seen, split="val", axes=(1, 0), first=1):
    """The JSON of 2015: [row, column], from 1. `axes` and `first` are how a wrong one is made."""
    images = [
        {"id": k + 1, "file_name": f, "width": WIDTH, "height": HEIGHT} for k, f in enumerate(names(len(seen), split))
    ]
    annotations = [
        {
            "id": 100 * (k + 1) + w,
            "image_id": k + 1,
            "worker_id": 7 + 2 * w,
            "fixations": (p[:, list(axes)] + first).tolist(),
        }
        for k, of_image in enumerate(seen)
        for w, p in enumerate(of_image)
    ]
    content = {"info": {}, "images": images, "licenses": [], "type": "fixations", "annotations": annotations}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def edit(path, change):
    """Change a JSON file in place."""
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def write_mat(folder, seen, split="val", change=None):
    """The .mat files: [x, y], from 1; samples are the fixations and three more points."""
    folder.mkdir(parents=True, exist_ok=True)
    for k, name in enumerate(names(len(seen), split)):
        workers = [
            {"location": np.concatenate([p, p[:3]]) + 1, "timestamp": np.arange(len(p) + 3.0), "fixations": p + 1}
            for p in seen[k]
        ]
        if change is not None:
            change(k, workers)
        cells = np.empty((1, len(workers)), dtype=[(f, object) for f in workers[0]])
        for w, worker in enumerate(workers):
            for field in workers[0]:
                cells[0, w][field] = worker[field]
        stem = name.removesuffix(".jpg")
        savemat(folder / f"{stem}.mat", {"image": stem, "resolution": np.array([[HEIGHT, WIDTH]]), "gaze": cells})


def write_points(folder, seen, split="val"):
    """The pictures of merged fixation points."""
    folder.mkdir(parents=True, exist_ok=True)
    for of_image, name in zip(seen, names(len(seen), split), strict=True):
        pixels = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
        pixels[of_image[..., 1], of_image[..., 0]] = 255
        Image.fromarray(pixels).save(folder / name.replace(".jpg", ".png"))


def write_photos(folder, n, split="val"):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names(n, split):
        Image.new("RGB", (WIDTH, HEIGHT), "grey").save(folder / name)


def box(k, category=1, x=10, y=20, w=30, h=40, crowd=0, **other):
    """An annotation on image k whose outline is a box."""
    outline = [[x, y, x + w, y, x + w, y + h, x, y + h]]
    one = {"id": 9000 + k, "image_id": k, "category_id": category, "area": float(w * h), "iscrowd": crowd}
    return {**one, "segmentation": outline, **other}


def write_instances(path, n, annotations, numbers=None):
    """A COCO file of instances for images 1 .. n, or of these numbers."""
    images = [
        {"id": k, "file_name": f"{k:012d}.jpg", "width": WIDTH, "height": HEIGHT} for k in numbers or range(1, n + 1)
    ]
    categories = [{"id": 1, "name": "person"}, {"id": 44, "name": "bottle"}, {"id": 72, "name": "tv"}]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({"info": {}, "images": images, "annotations": annotations, "categories": categories}))
    return path
