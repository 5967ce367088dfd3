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
import torch
import yaml

import shared_work
from gazetune import Run, cli, processes
from gazetune.attention import extract
from gazetune.errors import InputError
from gazetune.parity import predict
from gazetune.progress import say, track
from gazetune.training.settings import Training
from gazetune.training.shares import require_alone, share_of
from worlds import gazetune, small_study, small_vit

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
from small_run import artefacts

TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc_per_node", "2"]


def together(where, *line):
    """Two processes at work on one command line."""
    here = {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}
    return subprocess.Popen(
        [*TORCHRUN, *map(str, line)], cwd=where, env=os.environ | here, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip


def ended(process, seconds=150):
    out, said = process.communicate(timeout=seconds)
    return process.returncode, out, said


def terms(log):
    kept = ("loss", "distillation", "attention", "logits", "tokens", "l2")
    return {(line["split"], line["step"]): [line[k] for k in kept if k in line] for line in log}


def assert_same_curve(ours, reference, steps):
    ours, reference = terms(ours), terms(reference)
    assert ours.keys() == reference.keys() and ("train", steps) in ours
    for at, values in reference.items():
        np.testing.assert_allclose(ours[at], values, atol=1e-5, rtol=0, err_msg=str(at))


def test_two_processes_do_what_one_does(tmp_path, monkeypatch):
    """One start of torchrun for all: training, going on, scores and predictions, and what is agreed on."""
    for module in (extract, predict):
        monkeypatch.setattr(module, "SHARD", module.SHARD)  # put back after it was changed
    whole = shared_work.trained(50)
    torch.save(whole.middle, tmp_path / "state.pt")
    two = together(tmp_path, shared_work.__file__, tmp_path)
    beyond = shared_work.trained(3, **shared_work.BEYOND)
    shared_work.scored(tmp_path / "one")
    code, _, said = ended(two)
    assert code == 0, said
    found = torch.load(tmp_path / "two.pt", weights_only=False)
    assert_same_curve(found["log"], whole.log, 50)
    assert len(found["log"]) == len(whole.log) == 50 + 4  # every line once
    assert_same_curve(found["beyond"], beyond.log, 3)
    # one process goes on from what two have left, and two from what one has
    later = [line for line in whole.log if line["step"] > shared_work.BREAK]
    assert_same_curve(shared_work.trained(50, found["middle"]).log, later, 50)
    assert_same_curve(found["goes_on"], later, 50)
    one, two = (artefacts(tmp_path / name) for name in ("one", "two"))
    assert one == two and len(one) == 3 * 3 + 1
    said_first = 0
    for rank in (0, 1):
        agreed = json.loads((tmp_path / f"agreed-{rank}.json").read_text())
        # within what is dealt out nothing is dealt out again
        assert agreed["dealt"] == [[item, item % 2, 1] for item in range(5)]
        assert (agreed["few"], agreed["none"], agreed["from_main"], agreed["mean"]) == (["only"], [], 0, {"rank": 0.5})
        assert agreed["on_main"] == (None if rank else "done")
        said_first += agreed["first"] + agreed["second"]
        assert agreed["fails"] == agreed["main_fails"] == ["InputError", "three"]
    assert said_first == 1
    by_fault = json.loads((tmp_path / "agreed-0.json").read_text())["by_fault"]
    assert by_fault == ["GazetuneError", "ZeroDivisionError: four"]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_weighted_means_of_shares_are_the_mean_of_the_batch(count, monkeypatch):
    monkeypatch.setattr(processes, "count", lambda: count)
    values = np.random.default_rng(0).normal(size=50)
    for n in (1, 2, 3, 7, 8, 16):
        index = np.arange(10, 10 + n)
        total, seen = 0.0, []
        for rank in range(count):
            monkeypatch.setattr(processes, "rank", lambda rank=rank: rank)
            share, weight = share_of(index)
            total += weight * values[share].mean()
            seen += share.tolist() if weight else []
        assert sorted(seen) == index.tolist()
        assert total / count == pytest.approx(values[index].mean(), abs=1e-12)


def test_shares_by_hand(monkeypatch):
    monkeypatch.setattr(processes, "count", lambda: 2)
    monkeypatch.setattr(processes, "rank", lambda: 1)
    share, weight = share_of(np.array([4, 9, 2]))  # two thirds of the batch are the other's: weight 2 * 1/3
    assert share.tolist() == [2] and weight == pytest.approx(2 / 3)
    share, weight = share_of(np.array([4]))
    assert share.tolist() == [4] and weight == 0


def test_what_cannot_be_shared_is_refused(monkeypatch):
    moving, others = Training(batch_norm_statistics="moving"), Training(distil_on="photos")
    require_alone(moving)
    require_alone(others)
    monkeypatch.setattr(processes, "count", lambda: 2)
    with pytest.raises(InputError, match=r"moving takes the statistics of a whole batch.* 2 processes"):
        require_alone(moving)
    with pytest.raises(InputError, match="distil_on is trained with one process, not 2"):
        require_alone(others)
    require_alone(Training(lambda_logits=1, lambda_tokens=1, lambda_l2=1))


def test_devices_that_cannot_be_shared_are_refused(monkeypatch):
    assert processes.join(torch.device("mps")) == torch.device("mps")  # alone, as it is
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "200"), ("LOCAL_WORLD_SIZE", "200")):
        monkeypatch.setenv(name, value)
    with pytest.raises(InputError, match="not on 'mps': --device cpu"):
        processes.join(torch.device("mps"))
    with pytest.raises(InputError, match="200 processes need as many GPUs"):
        processes.join(torch.device("cuda"))


def test_only_the_main_process_speaks_and_a_dry_run_is_its_alone(monkeypatch, capsys, study):
    for name, value in (("RANK", "1"), ("WORLD_SIZE", "2")):
        monkeypatch.setenv(name, value)
    assert list(track(iter("ab"), "letters", 2)) == ["a", "b"]
    say("aloud")
    monkeypatch.setattr("sys.argv", ["gazetune", "run", str(study / "small.yaml"), "--dry-run"])
    cli.main()
    assert capsys.readouterr() == ("", "")


# real runs ----------------------------------------------------------------------------------------------------------


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
    given |= {"batch_size": 3, "methods": ["cls_attention"], "faithfulness": {"steps": 3}}
    given |= {"parity": {"photos": {"kind": "folder", "path": str(folder / "classes"), "preprocessing": "squashed"}}}
    (folder / "frozen.yaml").write_text(yaml.safe_dump(given))
    return folder


@pytest.mark.slow
def test_a_run_of_two_processes_leaves_the_files_of_one(monkeypatch, frozen):
    two = together(frozen, "-m", "gazetune", "run", "frozen.yaml", "--output", "two")
    assert gazetune(monkeypatch, "run", frozen / "frozen.yaml", "--output", frozen / "one") == 0
    code, out, said = ended(two)
    assert code == 0, said
    assert out.count("report: ") == 1
    one, two = (artefacts(frozen / name) for name in ("one", "two"))
    differ = {name for name in one.keys() | two.keys() if one.get(name) != two.get(name)}
    assert differ == {"provenance.json", "report.html"}  # the number of processes, the command
    (one,), (two,) = one["provenance.json"], two["provenance.json"]
    assert (one.pop("processes"), two.pop("processes")) == (1, 2)
    for record in (one, two):
        del record["stages"]["report"]  # it names its command
    assert one == two


@pytest.mark.slow
def test_an_error_of_all_is_said_once_and_they_exit_2(study):
    code, out, said = ended(together(study, "-m", "gazetune", "run", "small.yaml", "--set", "training.lrr=1"))
    assert code and not out
    assert said.count("gazetune: ") == said.count("did you mean 'lr'?") == 1, said
    assert "exitcode  : 2" in said


@pytest.mark.slow
def test_a_lost_process_ends_the_run_and_one_process_goes_on(monkeypatch, study, capsys):
    settings = [
        part for text in ("epochs=15", "evaluate_every=10", "lr=1e-5") for part in ("--set", f"training.{text}")
    ]
    two = together(study, "-m", "gazetune", "train", "small.yaml", "--output", "run", *settings)
    while sum(line.get("split") == "train" for line in Run(study / "run").log_lines()) < 12:
        assert two.poll() is None
        time.sleep(0.02)
    os.kill(process_of(two.pid, 0), signal.SIGKILL)  # the main one, which writes
    before = time.monotonic()
    code, _, said = ended(two, 60)
    assert code and time.monotonic() - before < 40
    assert said.count("gazetune: ") == 1 and "--resume" in said, said
    assert gazetune(monkeypatch, "train", study / "run", "--resume") == 0
    assert "going on from step" in capsys.readouterr().err
    trained = [(step, "train") for step in range(1, 31)]
    looked = [(step, "validation") for step in (0, 10, 20, 30)]
    for key in ("after-s42", "shuffled-s42"):
        lines = [line for line in Run(study / "run").log_lines() if line["model"] == key]
        assert sorted((line["step"], line["split"]) for line in lines) == sorted(trained + looked)  # each once


def process_of(launcher, rank):
    """The number of the process of this rank among those that a launcher has started."""
    for line in subprocess.run(["ps", "-eo", "pid=,ppid="], capture_output=True, text=True).stdout.splitlines():
        pid, parent = map(int, line.split())
        if parent == launcher and f"\0RANK={rank}\0" in Path(f"/proc/{pid}/environ").read_text():
            return pid
    raise AssertionError(f"no process of rank {rank}")
