"""Stops of every kind, and going on."""

import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from gazetune import Run
from gazetune.errors import InputError
from gazetune.files import write_whole
from gazetune.training.checkpoint import keeper
from gazetune.training.loop import State
from worlds import small_vit

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
import small_run


def started(study, *options):
    line = [sys.executable, "-m", "gazetune", "run", "small.yaml", "--output", "run", *options]
    return subprocess.Popen(line, cwd=study, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)


def test_a_stop_saves_and_exits_130_and_the_run_goes_on_to_the_same_end(study):
    """Ctrl-C on a real command line; SIGTERM, at moments drawn, in bench/interruptions.py."""
    settings = ("--set", "training.epochs=15", "--set", "training.evaluate_every=20")
    first = started(study, *settings)
    while sum(line.get("split") == "train" for line in Run(study / "run").log_lines()) < 8:
        assert first.poll() is None
        time.sleep(0.02)
    first.send_signal(signal.SIGINT)
    _, said = first.communicate(timeout=60)
    assert first.returncode == 130 and "everything is saved" in said, said
    state = Run(study / "run").about("checkpoints/after-s42/resume.safetensors")["state"]
    assert 8 <= state["step"] < 30 and state["step"] % 20
    second = started(study, *settings, "--resume")
    _, said = second.communicate(timeout=120)
    assert second.returncode == 0 and f"going on from step {state['step']}" in said
    (study / "elsewhere").mkdir()
    (study / "elsewhere" / "small.yaml").write_text((study / "small.yaml").read_text())
    assert started(study / "elsewhere", *settings).wait(120) == 0
    stopped, whole = (small_run.artefacts(folder / "run") for folder in (study, study / "elsewhere"))
    assert {name for name in stopped.keys() | whole.keys() if stopped.get(name) != whole.get(name)} == set()


def test_a_damaged_or_foreign_state_is_named_and_not_used(study, capsys):
    run = Run(study / "run")
    keep = keeper(run, "after-s42", small_vit(), "these inputs")
    keep.save_state(State(step=3), {"weight/a": torch.arange(100.0)})
    assert keep.load_state()[0].step == 3
    assert keeper(run, "after-s42", small_vit(), "other inputs").load_state() is None
    assert "belongs to other settings" in capsys.readouterr().err
    path = study / "run" / "checkpoints" / "after-s42" / "resume.safetensors"
    whole = path.read_bytes()
    path.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    assert keep.load_state() is None
    assert "its sha256 is not the recorded one" in capsys.readouterr().err
    path.write_bytes(whole[:200])
    assert keep.load_state() is None
    assert "is damaged or missing" in capsys.readouterr().err


def test_an_evaluation_that_no_state_knows_of_is_not_in_the_log_twice(study):
    """A kill after the evaluation was logged and before the state that has it was saved."""
    run = Run(study / "run")
    keep = keeper(run, "after-s42", small_vit(), "these inputs")
    run.path.mkdir(exist_ok=True)
    run.log({"model": "other-s42", "step": 9, "split": "train"})
    for step, split in [(0, "validation"), (1, "train"), (2, "train"), (2, "validation"), (3, "train")]:
        keep.log({"step": step, "split": split})
    keep.save_state(State(step=2, evaluated={"0": 1.0}), {"weight/a": torch.arange(3.0)})
    keep.load_state()
    left = [(line["model"], line["step"], line["split"]) for line in run.log_lines()]
    of_this = [("after-s42", 0, "validation"), ("after-s42", 1, "train"), ("after-s42", 2, "train")]
    assert left == [("other-s42", 9, "train"), *of_this]


def test_a_file_is_whole_or_as_it_was(tmp_path, monkeypatch):
    target = tmp_path / "x.json"
    write_whole(target, b"before")

    def fail(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("gazetune.files.os.fsync", fail)
    with pytest.raises(KeyboardInterrupt):
        write_whole(target, b"after")
    assert target.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [target]


def test_leftovers_of_a_killed_run_are_swept_away_and_the_lock_is_free(tmp_path):
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / ".resume.safetensors.part").write_bytes(b"half")
    (tmp_path / ".best.part").mkdir()
    with Run(tmp_path).locked():
        assert not list(tmp_path.rglob("*.part"))
        with pytest.raises(InputError, match="Another gazetune run"), Run(tmp_path).locked():
            pass
    with Run(tmp_path).locked():
        pass
