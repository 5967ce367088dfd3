"""Trackers: what is told, where it is kept, and that nothing depends on it."""

import json
import os
import sqlite3
import struct
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import yaml

from gazetune import Run
from gazetune.errors import InputError
from gazetune.loading import load_experiment
from gazetune.trackers import Tracked, require_trackers
from worlds import run_small, small_vit, write_study

sys.path.insert(0, str(Path(__file__).parents[1] / "bench"))
import small_run

NEEDS = {"tensorboard": "tensorboard", "trackio": "trackio", "wandb": "wandb"}
INSTALLED = [name for name, package in NEEDS.items() if find_spec("accelerate") and find_spec(package)]


def needs(name):
    return pytest.mark.skipif(name not in INSTALLED, reason=f"needs accelerate and {NEEDS[name]} (extra track)")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A study, its weights, and an experiment in which one model is tuned."""
    folder = tmp_path_factory.mktemp("tracking")
    parts = ["train", "validation", "test"]
    write_study(folder / "study", n=24, label=lambda i: "abc"[i % 3], split=lambda i: parts[i % 3])
    small_vit().save(folder / "weights")
    weights = {"weights": str(folder / "weights")}
    experiment = {
        "name": "small",
        "data": {"kind": "table", "path": str(folder / "study"), "split": {"rule": "given"}},
        "models": {"before": weights, "after": {**weights, "train": True}},
        "reference": "before",
        "map_size": 64,
        "heads": False,
        "human": {"sigma_px": 4.0},
        "training": {"lr": 1e-3, "epochs": 3, "evaluate_every": 2, "precision": "fp32", "batch_size": 4},
    }
    (folder / "small.yaml").write_text(yaml.safe_dump(experiment))
    return folder


def told(run, key):
    """What a tracker must have of a model, from log.jsonl and summary.json: (name, step) -> value."""
    found, last = {}, 0
    for line in Run(run).log_lines():
        if line["model"] == key:
            last = line["step"]
            terms = {k: v for k, v in line.items() if k in ("loss", "distillation", "attention")}
            found |= {(f"{line['split']}/{k}", last): v for k, v in terms.items()}
            found |= {("train/lr", last): 1e-3} if line["split"] == "train" else {}
    for row in Run(run).summary["alignment"]:
        found |= {(f"final/table/{row['metric']}", last): row["mean"]} if row["model"] == key else {}
    accuracy = {row["model"]: row["top1"] for row in Run(run).summary["accuracy"]}
    return found | {("final/table/accuracy_own_head", last): accuracy[key]}


def in_tensorboard(run, key):
    """Every scalar of a model's event files, as TensorBoard itself reads them: (name, step, value)."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (folder,) = Path(run).glob(f"tracking/tensorboard/*/{key}")
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0}).Reload()
    return [(tag, e.step, e.value) for tag in events.Tags()["scalars"] for e in events.Scalars(tag)]


def in_trackio(run, key):
    with sqlite3.connect(Path(run) / "tracking/trackio/gazetune.db") as opened:
        rows = opened.execute("select step, metrics from metrics where run_name like ?", (f"%/{key}",)).fetchall()
    return [(name, step, value) for step, metrics in rows for name, value in json.loads(metrics).items()]


def in_wandb(run, key):
    """The history records of a model's offline file: a LevelDB log of protocol buffers."""
    from wandb.proto.wandb_internal_pb2 import Record

    (file,) = Path(run).glob(f"tracking/wandb/{key}/wandb/offline-run-*/run-*.wandb")
    data, at, whole, found = file.read_bytes(), 7, b"", []  # seven bytes name the format
    while at + 7 <= len(data):
        if 32768 - at % 32768 < 7:  # the rest of a block
            at += 32768 - at % 32768
            continue
        _, length, kind = struct.unpack("<IHB", data[at : at + 7])
        whole += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or its last part
            record, whole = Record.FromString(whole), b""
            if record.WhichOneof("record_type") == "history":
                values = {(i.key or "/".join(i.nested_key)): json.loads(i.value_json) for i in record.history.item}
                step = record.history.step.num
                found += [(name, step, v) for name, v in values.items() if not name.startswith("_")]
    return found


def same(found, expected, as_kept=float):
    """Each value once, at its step, to the last bit that the tracker keeps."""
    assert len(found) == len(expected) > 10
    assert {(name, step): value for name, step, value in found} == {k: as_kept(v) for k, v in expected.items()}


def float32(value):  # what an event file holds
    return float(np.float32(value))


def test_trackers_are_named_one_several_or_none(place):
    def named(*said):
        return load_experiment(str(place / "small.yaml"), said).tracking

    assert named() == named("tracking=none") == named("tracking=") == named("tracking=[]") == ()
    assert named("tracking=tensorboard") == ("tensorboard",)
    assert named("tracking=wandb, tensorboard,wandb") == named("tracking=[wandb, tensorboard]")
    assert named("tracking=wandb,tensorboard") == ("wandb", "tensorboard")
    for said, complaint in {
        "tracking=tensorbord": "did you mean 'tensorboard'",
        "tracking=3": "a tracker or a list of them",
        "tracking=wandb,wandb-online": "name one of them",
    }.items():
        with pytest.raises(InputError, match=complaint):
            named(said)


def test_a_missing_package_is_named_before_anything_is_done(monkeypatch, place, capsys):
    monkeypatch.setitem(sys.modules, "wandb", None)  # as if it were not installed
    for options in ((), ("--dry-run", "--no-measure")):
        assert run_small(monkeypatch, place, "--set", "tracking=wandb", *options, output="missing") == 2
        assert 'pip install "gazetune[track]"' in capsys.readouterr().err
    assert not (place / "missing").exists()


@pytest.mark.slow
@needs("trackio")
def test_trackio_has_one_folder_in_a_process(tmp_path):
    code = """
import sys
from gazetune import Run
from gazetune.errors import InputError
from gazetune.trackers import require_trackers
require_trackers(Run(sys.argv[1] + "/a"), ["trackio"])
try:
    require_trackers(Run(sys.argv[1] + "/b"), ["trackio"])
except InputError as reason:
    print(reason)
"""
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True)
    assert "a process of its own" in done.stdout and not done.returncode, done.stderr


@needs("tensorboard")
def test_losses_and_results_are_in_tensorboard_and_nothing_depends_on_it(monkeypatch, place, capsys):
    assert run_small(monkeypatch, place, "--set", "tracking=tensorboard", "--json", output="told") == 0
    assert json.loads(capsys.readouterr().out)["reference"] == "before"  # nothing else is on stdout
    same(in_tensorboard(place / "told", "after-s42"), told(place / "told", "after-s42"), float32)
    same(in_tensorboard(place / "told", "before"), told(place / "told", "before"), float32)
    assert run_small(monkeypatch, place, output="untold") == 0
    with_it, without = (small_run.artefacts(place / name) for name in ("told", "untold"))
    different = {name for name in with_it.keys() | without.keys() if with_it.get(name) != without.get(name)}
    # these three print the settings or the command, or hold the sha256 of one that does
    shown = {"config.yaml", "report.html", "provenance.json"}
    assert {name for name in different if not name.startswith("tracking/")} == shown
    assert any(name.endswith("best/model.safetensors") for name in with_it)
    stages = [{n: (s["inputs"], s["outputs"]) for n, s in Run(place / r).stages().items()} for r in ("told", "untold")]
    assert {name for name in stages[0] if stages[0][name] != stages[1][name]} == {"report"}
    # an older run may be told afterwards: no stage is done again for it
    before = Run(place / "untold").stages()
    assert run_small(monkeypatch, place, "--resume", "--set", "tracking=tensorboard", output="untold") == 0
    assert Run(place / "untold").stages() == before
    assert in_tensorboard(place / "untold", "after-s42") == in_tensorboard(place / "told", "after-s42")


@needs("tensorboard")
def test_going_on_after_a_kill_leaves_no_gap_and_no_double(tmp_path):
    run = Run(tmp_path / "run")
    run.path.mkdir()

    def line(step):
        return {"model": "after-s42", "step": step, "split": "train", "loss": 1 / (step + 1), "seconds": 0.1}

    killed = Tracked(run, "after-s42", ["tensorboard"], {"lr": 0.5}, 0.5)
    require_trackers(run, ["tensorboard"])
    killed.begin()
    for step in range(1, 8):
        run.log(line(step))
        killed.log(line(step))
    run.rewind_log(lambda kept: kept["step"] <= 4)  # the last state that was saved
    again = Tracked(run, "after-s42", ["tensorboard"], {"lr": 0.5}, 0.5)
    again.begin()
    for step in range(5, 10):
        again.log(line(step))
    again.results({"final/table/cc": 0.25})
    again.close()
    expected = {(f"train/{name}", s): v for s in range(1, 10) for name, v in (("loss", 1 / (s + 1)), ("lr", 0.5))}
    same(in_tensorboard(run.path, "after-s42"), expected | {("final/table/cc", 9): 0.25}, float32)


@needs("tensorboard")
def test_a_tracker_that_fails_is_named_once_and_left_alone(tmp_path, capsys):
    good = {"model": "after-s42", "step": 1, "split": "train", "loss": 1.0}
    late = Tracked(Run(tmp_path / "late"), "after-s42", ["tensorboard"], {}, 0.5)
    late.begin()
    for line in (good, {**good, "step": 2, "loss": "no number"}, {**good, "step": 3}):
        late.log(line)
    late.results({"final/table/cc": 0.25})
    late.close()
    assert capsys.readouterr().err.count("warning: the tracker tensorboard failed (ValueError") == 1
    kept = [("train/loss", 1, 1.0), ("train/lr", 1, 0.5)]
    assert sorted(in_tensorboard(tmp_path / "late", "after-s42")) == kept
    (tmp_path / "never").mkdir()
    (tmp_path / "never/tracking").write_text("a file where a folder is needed")
    never = Tracked(Run(tmp_path / "never"), "after-s42", ["tensorboard"], {}, 0.5)
    never.begin()
    never.log(good)
    never.close()
    assert capsys.readouterr().err.count("warning: the tracker tensorboard failed") == 1


# refuses and notes whatever leaves this machine, below every library; subprocesses of W&B are not seen
GUARD = """
import sys
from pathlib import Path
noted = Path(sys.argv.pop(1))
def guard(event, given):
    if event in ("socket.connect", "socket.sendto", "socket.getaddrinfo"):
        address = given[1] if event != "socket.getaddrinfo" else given
        host = address[0] if isinstance(address, tuple) else "unix"
        if host not in ("unix", "localhost", "::1", None, "") and not str(host).startswith("127."):
            with noted.open("a") as opened:
                opened.write(f"{event} {host}\\n")
            raise OSError("refused by the test")
sys.addaudithook(guard)
"""


def guarded(folder, code, *arguments):
    """Code in a process that may not reach another machine but has every reason to; and what it tried."""
    noted = folder / "asked.txt"
    noted.unlink(missing_ok=True)
    tempting = {"HF_TOKEN": "hf_none", "TRACKIO_SPACE_ID": "nobody/nothing", "WANDB_MODE": "online"}
    tempting |= {"TRACKIO_SERVER_URL": "http://192.0.2.1", "WANDB_API_KEY": "0" * 40, "HF_HUB_OFFLINE": "0"}
    line = [sys.executable, "-c", GUARD + code, str(noted), *map(str, arguments)]
    done = subprocess.run(line, cwd=folder, env={**os.environ, **tempting}, capture_output=True, text=True)
    return done, noted.read_text() if noted.is_file() else ""


def test_the_guard_notes_what_is_tried(tmp_path):
    done, tried = guarded(tmp_path, "import socket; socket.create_connection(('192.0.2.1', 80), timeout=1)")
    assert done.returncode == 1 and "192.0.2.1" in tried


@pytest.mark.slow
@pytest.mark.skipif(not INSTALLED, reason="needs accelerate and a tracker (extra track)")
def test_nothing_is_sent_and_every_tracker_has_every_value_once(place):
    run = place / "guarded"
    command = ["run", place / "small.yaml", "--output", run, "--json", "--set", f"tracking={','.join(INSTALLED)}"]
    for options in ((), ("--resume",)):  # going on tells it all again
        done, tried = guarded(place, "from gazetune.cli import main; main()", *command, *options)
        assert not done.returncode and "failed" not in done.stderr, done.stderr
        assert tried == "" and json.loads(done.stdout)["reference"] == "before"
        for key in ("after-s42", "before"):
            for name, read in {"tensorboard": in_tensorboard, "trackio": in_trackio, "wandb": in_wandb}.items():
                if name in INSTALLED:
                    same(read(run, key), told(run, key), float32 if name == "tensorboard" else float)


@pytest.mark.slow
def test_without_the_setting_no_tracker_is_imported(place):
    code = "from gazetune.cli import main\ntry: main()\nexcept SystemExit as end: assert not end.code\n"
    code += "print(sorted({'tensorboard', 'trackio', 'wandb'} & set(sys.modules)))"
    done, tried = guarded(place, code, "run", place / "small.yaml", "--output", place / "plain", "--json")
    assert not done.returncode and done.stdout.endswith("[]\n") and tried == "", done.stderr
    assert not (place / "plain/tracking").exists()
