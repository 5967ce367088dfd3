"""A small run with everything that the explorer shows, and names that are no friends of a page or a spreadsheet."""

import csv

import numpy as np
import yaml
from PIL import Image

from gazetune.commands import run_experiment
from worlds import small_vit

SIZE = 160, 120
NAMES = ["<img src=x onerror=alert(1)>.png", "=1+2.png", "<script>alert(1)<!--.png", "a,b.png", "-dash.png"]
CATEGORY = "</script><script>alert(2)</script>"
CLASSES = ["<b>bold</b>", "cat", "dog"]
BOXES = {  # category -> side of the box in px, animate
    CATEGORY: (20, "yes"),  # 400 px2: small
    "table": (60, "no"),  # 3,600: medium
    "house": (110, "no"),  # 12,100: large
}


def name_of(i):
    """Of test images the first few are hostile."""
    return NAMES[i // 3] if i % 3 == 2 and i // 3 < len(NAMES) else f"p{i:03d}.png"


def objects_of(i):
    """The categories on an image: none, one, two or three of them."""
    return list(BOXES)[: i // 3 % 4]


def _rows(path, rows):
    with path.open("w", newline="") as opened:
        writer = csv.DictWriter(opened, fieldnames=list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def write_study(folder, n=24, seed=0):
    """Photos that are red on the left and blue on the right, fixations, classes, objects on most of them."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True)
    fixations, objects = [], []
    for i in range(n):
        pixels = rng.integers(0, 60, (SIZE[1], SIZE[0], 3), dtype=np.uint8)
        pixels[:, : SIZE[0] // 2, 0] += 180
        pixels[:, SIZE[0] // 2 :, 2] += 180
        Image.fromarray(pixels).save(folder / "images" / name_of(i))
        centre = rng.uniform(0.3, 0.7, 2)
        about = {"image": name_of(i), "split": ["train", "validation", "test"][i % 3], "label": CLASSES[i // 3 % 3]}
        for k in range(24):
            x, y = np.clip(rng.normal(centre, 0.12), 0, 0.999) * SIZE
            fixations.append({**about, "observer": f"o{k % 4}", "x": f"{x:.2f}", "y": f"{y:.2f}"})
        for category in objects_of(i):
            side, animate = BOXES[category]
            box = {"x": 2, "y": 3, "width": side, "height": side, "animate": animate}
            objects.append({"image": name_of(i), "category": category, **box})
    _rows(folder / "fixations.csv", fixations)
    _rows(folder / "objects.csv", objects)
    return folder


def explored(where):
    """The run directory: three models, a second data set without classes and objects."""
    study = write_study(where / "study")
    for seed in (0, 1):  # two starts: their maps and answers differ, whatever a few steps of training do
        small_vit(seed).save(where / f"weights-{seed}")
    other = write_study(where / "other", n=6, seed=1)
    (other / "objects.csv").unlink()
    lines = list(csv.DictReader((other / "fixations.csv").open()))
    _rows(other / "fixations.csv", [{k: v for k, v in line.items() if k != "label"} for line in lines])
    weights = [str(where / f"weights-{seed}") for seed in (0, 1)]
    experiment = {
        "name": "small",
        "data": {"kind": "table", "path": str(study), "split": {"rule": "given"}},
        "models": {
            "before": {"weights": weights[0], "train": "none"},
            "after": {"weights": weights[1], "train": True},
            "mixed": {"weights": weights[0], "train": True, "targets": "shuffled"},
        },
        "reference": "before",
        "score_on": {"other": {"kind": "table", "path": str(other)}},
        "map_size": 64,
        "human": {"sigma_px": 4.0},
        "heads": False,
        "metrics": ["cc", "kl", "entropy_bits"],
        "training": {"lr": 1e-3, "epochs": 1, "evaluate_every": 2, "precision": "fp32", "batch_size": 4},
    }
    (where / "small.yaml").write_text(yaml.safe_dump(experiment, sort_keys=False))
    run_experiment(str(where / "small.yaml"), output=where / "run", device="cpu")
    return where / "run"
