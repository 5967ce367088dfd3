"""Runs by two processes (torchrun, gloo) give what one gives; a lost one ends them all; one goes on."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import yaml

from gazetune import Run, processes
from gazetune.errors import GazetuneError, InputError, Interrupted
from gazetune.training.shares import share_of
from worlds import gazetune, small_study, small_vit

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
import torture

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2", "-m", "gazetune"]
# 8 images in batches of 7 and 1: shares of 4 and 3, then of 1 and none
SETTINGS = ("training.batch_size=7", "training.lr=1e-5", "training.epochs=25", "training.evaluate_every=10")


def together(where, *line):
    """Two processes at work on one command line."""
    env = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE")} | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [*TORCHRUN, *map(str, line)], cwd=where, env=env, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )


def ended(process, seconds=120):
    out, said = process.communicate(timeout=seconds)
    return process.returncode, out, said


def of_one(settings=SETTINGS):
    return [part for setting in settings for part in ("--set", setting)]


@pytest.fixture()
def frozen(tmp_path):
    """A study with photos of classes, and an experiment in which nothing learns; batches and shares are uneven."""
    folder = small_study(tmp_path)
    small_vit(seed=1).save(folder / "other")
    for i, path in enumerate(sorted((folder / "study" / "images").iterdir())[:11]):
        (folder / "classes" / f"LABEL_{i % 3}").mkdir(parents=True, exist_ok=True)
        (folder / "classes" / f"LABEL_{i % 3}" / path.name).write_bytes(path.read_bytes())
    given = yaml.safe_load((folder / "small.yaml").read_text())
    models = {"before": str(folder / "weights"), "other": str(folder / "other")}
    given |= {"models": {name: {"weights": weights, "train": "none"} for name, weights in models.items()}}
    given |= {"batch_size": 3, "methods": ["cls_attention"], "faithfulness": {"steps": 3}, "heads": True}
    given |= {"parity": {"photos": {"kind": "folder", "path": str(folder / "classes"), "preprocessing": "squashed"}}}
    (folder / "frozen.yaml").write_text(yaml.safe_dump(given))
    return folder


def test_two_processes_leave_the_files_of_one(monkeypatch, frozen):
    two = together(frozen, "run", "frozen.yaml", "--output", "two")
    assert gazetune(monkeypatch, "run", frozen / "frozen.yaml", "--output", frozen / "one") == 0
    code, out, said = ended(two)
    assert code == 0, said
    assert out.count("report: ") == 1
    one, two = (torture.artefacts(frozen / name) for name in ("one", "two"))
    differ = {name for name in one.keys() | two.keys() if one.get(name) != two.get(name)}
    assert differ == {"provenance.json", "report.html"}  # the number of processes, the command
    assert [record.pop("processes") for (record,) in (one["provenance.json"], two["provenance.json"])] == [1, 2]
