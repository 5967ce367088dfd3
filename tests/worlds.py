"""Small things that tests share: studies on disk, models, runs."""

import csv

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from transformers import ViTConfig, ViTForImageClassification

from gazetune import cli
from gazetune.backbones.vit import HALF, VisionTransformer


def small_vit(seed=0, labels=3):
    """A ViT of 16 patches and three layers, randomly initialised."""
    torch.manual_seed(seed)
    shape = {"hidden_size": 32, "num_hidden_layers": 3, "num_attention_heads": 2, "intermediate_size": 64}
    model = ViTForImageClassification(ViTConfig(**shape, image_size=32, patch_size=8, num_labels=labels))
    return VisionTransformer(model, *HALF, (32, 32), name="small")


def write_study(folder, n=12, seed=0, size=(64, 48), rows_per_image=20, **columns):
    """A table data set on disk: noise photos and fixations; `columns` are functions of the image number."""
    rng = np.random.default_rng(seed)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    lines = []
    for i in range(n):
        Image.fromarray(rng.integers(0, 255, (size[1], size[0], 3), dtype=np.uint8)).save(
            folder / "images" / f"p{i:03d}.png"
        )
        for k in range(rows_per_image):
            x, y = (np.clip(rng.normal(0.5, 0.15), 0, 0.999) * side for side in size)  # people look at the centre
            extra = {name: of(i) for name, of in columns.items()}
            lines.append({"image": f"p{i:03d}.png", "observer": f"o{k % 4}", "x": f"{x:.2f}", "y": f"{y:.2f}", **extra})
    with (folder / "fixations.csv").open("w", newline="") as opened:
        writer = csv.DictWriter(opened, fieldnames=list(lines[0]))
        writer.writeheader()
        writer.writerows(lines)
    return folder


def small_study(folder):
    """A study of 24 images, an experiment on it (small.yaml), and weights; returns the folder."""
    write_study(
        folder / "study", n=24, label=lambda i: "abc"[i % 3], split=lambda i: ["train", "validation", "test"][i % 3]
    )
    small_vit().save(folder / "weights")
    experiment = {
        "name": "small",
        "data": {"kind": "table", "path": str(folder / "study"), "split": {"rule": "given"}},
        "models": {
            "before": {"weights": str(folder / "weights"), "train": "none"},
            "after": {"weights": str(folder / "weights"), "train": True, "targets": "true_pairs"},
            "shuffled": {"weights": str(folder / "weights"), "train": True, "targets": "shuffled"},
        },
        "reference": "before",
        "map_size": 64,
        "human": {"sigma_px": 4.0},
        "training": {"lr": 1e-3, "epochs": 3, "evaluate_every": 2, "precision": "fp32", "batch_size": 4},
        "figure_formats": [],  # PNG alone: the others take as long again
    }
    (folder / "small.yaml").write_text(yaml.safe_dump(experiment))
    return folder


def gazetune(monkeypatch, *arguments):
    """The command line as a user calls it; returns the exit code."""
    monkeypatch.setattr("sys.argv", ["gazetune", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return ended.value.code or 0


def run_small(monkeypatch, study, *options, output="run"):
    return gazetune(monkeypatch, "run", study / "small.yaml", "--output", study / output, *options)
