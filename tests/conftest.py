"""Shared fixtures: where real data lie, small models, small worlds."""

import os
from pathlib import Path

import pytest
import torch

torch.set_num_threads(2)
os.environ.setdefault("HF_HUB_OFFLINE", "1")

DATA = Path(os.environ.get("GAZETUNE_DATA", Path(__file__).parents[2] / "shared" / "data"))


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
