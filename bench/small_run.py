"""The small run that is killed, interrupted and damaged: every stage of the demo and a set of labelled photos.

The package is imported once; each case is a process forked from there, so that no case pays for the imports (6 of the 8
seconds of a run that only goes on). A forked process does what `python -m gazetune` does; tests/test_resume.py and
tests/test_errors.py send the same signals to real command lines.
"""

import json
import os
import resource
import shutil
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
import yaml
from PIL import Image
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

import gazetune.commands
import gazetune.pipeline
import gazetune.report.terminal  # noqa: F401
from gazetune import cli
from gazetune.progress import track
from gazetune.run import VOLATILE

TICK = os.sysconf("SC_CLK_TCK")
POLL_SECONDS = 0.004
PATIENCE_SECONDS = 900
EXPERIMENT: dict[str, Any] = {
    "name": "small",
    "data": {
        "kind": "synthetic", "world": {"images": 42, "seed": 0},
        "split": {"rule": "modulo", "modulus": 7, "train": [0, 1, 2, 3], "validation": [4], "test": [5, 6]},
    },
    "models": {
        "baseline": {"weights": "tiny", "train": "none"},
        "tuned": {"weights": "tiny", "train": True, "targets": "true_pairs"},
        "control": {"weights": "tiny", "train": True, "targets": "shuffled"},
    },
    "reference": "baseline", "map_size": 56, "human": {"sigma_px": 4.0},
    "training": {"lr": 5e-4, "batch_size": 8, "epochs": 6, "evaluate_every": 3, "checkpoint_seconds": 0.01,
                 "precision": "fp32"},
    "metrics": ["cc", "nss"],
    "figure_formats": [],  # PNG alone: the others take as long again, and are files of the same stage
    "seeds": [42],
}  # fmt: skip
# the stages by what comes before the first slash of their names, as the tables show them
GROUPS = {
    "fixations": "prepare", "photos": "prepare", "thumbnails": "prepare", "objects": "prepare", "teacher": "prepare",
    "train": "train", "attention": "attention maps", "heads": "attention maps", "score": "score", "biases": "biases",
    "predict": "parity", "parity": "parity", "tables": "tables", "figures": "figures", "explorer": "explorer, report",
    "report": "explorer, report",
}  # fmt: skip
Case, Answer = TypeVar("Case"), TypeVar("Answer")


@dataclass(frozen=True)
class Reference:
    """The run that nothing disturbed.

    files: what it left (see `artefacts`). order: its stages. began, took: processor seconds at which each stage began,
    and of the whole. going_on: processor seconds of a resume that has nothing left to do.
    """

    place: Path
    files: dict[str, object]
    order: tuple[str, ...]
    began: tuple[float, ...]
    took: float
    going_on: float


@dataclass(frozen=True)
class Row:
    """One line of the table of `make torture`."""

    part: str
    what: str
    n: int
    outcome: str
    failures: tuple[str, ...] = ()


def write_experiment(place: Path) -> None:
    """small.yaml and its labelled photos, which all runs share."""
    draw = np.random.default_rng(0)
    for number, name in enumerate(["dog", "cup", "car", "bird"] * 3):
        folder = place / "photos" / name
        folder.mkdir(parents=True, exist_ok=True)
        pixels = draw.integers(0, 255, (100, 120, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"p{number}.png")
    parity = {"kind": "folder", "path": str(place / "photos"), "corruptions": ["contrast"], "severities": [5]}
    (place / "small.yaml").write_text(yaml.safe_dump({**EXPERIMENT, "parity": {"labelled": parity}}, sort_keys=False))


class Started:
    """The run, or another command, at work in a process of its own in `place`; what it says goes to said.txt."""

    def __init__(self, place: Path, *command: str, most_bytes: int | None = None) -> None:
        experiment = place.parent / "small.yaml"
        line = command or ("run", str(experiment), "--output", "run", "--device", "cpu", "--resume")
        self.said_in, self.code = place / "said.txt", None
        self.said_in.unlink(missing_ok=True)
        sys.stdout.flush()
        sys.stderr.flush()
        self.id = os.fork()
        if self.id == 0:
            _become(place, self.said_in, line, most_bytes)

    code: int | None

    def poll(self) -> int | None:
        """The exit code, negative for a signal, or None while it is at work."""
        if self.code is None:
            ended, status = os.waitpid(self.id, os.WNOHANG)
            self.code = os.waitstatus_to_exitcode(status) if ended else None
        return self.code

    def wait(self, until: Callable[[], bool] = lambda: False) -> int | None:
        """Wait for its end, or until something is true; the exit code or None."""
        end = time.monotonic() + PATIENCE_SECONDS
        while self.poll() is None and not until():
            if time.monotonic() > end:
                self.kill()
                raise RuntimeError(f"process {self.id} did not end within {PATIENCE_SECONDS} s: {self.said()[-500:]}")
            time.sleep(POLL_SECONDS)
        return self.code

    def seconds(self) -> float:
        """Its processor time so far, of all its threads."""
        fields = Path(f"/proc/{self.id}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICK

    def kill(self, number: int = signal.SIGKILL) -> int:
        """Send a signal, unless it has ended, and wait for the end; the exit code, negative for a signal."""
        if self.poll() is None:
            os.kill(self.id, number)
        return self.wait() or 0

    def said(self) -> str:
        """All that it printed."""
        return self.said_in.read_text(errors="replace") if self.said_in.is_file() else ""


def _become(place: Path, said_in: Path, line: tuple[str, ...], most_bytes: int | None) -> None:
    """Be the command line; never returns."""
    code = 70
    try:
        with said_in.open("wb") as opened:
            os.dup2(opened.fileno(), 1)
            os.dup2(opened.fileno(), 2)
        sys.stdout, sys.stderr = os.fdopen(1, "w", closefd=False), os.fdopen(2, "w", closefd=False)
        os.chdir(place)
        sys.argv = ["gazetune", *line]
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        torch.set_num_threads(1)
        if most_bytes is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
        try:
            cli.main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
        except BaseException as reason:
            print(f"Traceback: {reason!r}", file=sys.stderr)
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def undisturbed(where: Path) -> Reference:
    """Make small.yaml in `where`, run it whole, and go on with it once: which must change nothing."""
    write_experiment(where)
    place = where / "whole"
    place.mkdir()
    process, began = Started(place), [0.0]
    record, seen, took = place / "run" / "provenance.json", 0, 0.0
    while process.poll() is None:
        time.sleep(POLL_SECONDS)
        if process.poll() is None:
            took = process.seconds()
        now = record.stat().st_mtime_ns if record.is_file() else 0
        if now != seen:
            seen, began = now, [*began, took]
    if process.code:
        raise RuntimeError(f"the undisturbed run failed: {process.said()}")
    order, files = done_stages(place), artefacts(place / "run")
    again, going_on = Started(place), 0.0
    while again.poll() is None:
        going_on = again.seconds()
        time.sleep(POLL_SECONDS)
    if again.code or (wrong := differing(place / "run", files)):
        raise RuntimeError(f"going on with a finished run failed or changed files: {again.said()}{wrong}")
    began = began[-len(order) - 1 : -1]  # the records before those of the stages are of the beginning
    return Reference(place, files, order, tuple(began), took, going_on)


def done_stages(place: Path) -> tuple[str, ...]:
    """The stages that a run has in its record."""
    path = place / "run" / "provenance.json"
    return tuple(json.loads(path.read_text())["stages"]) if path.is_file() else ()


def artefacts(folder: Path) -> dict[str, object]:
    """Every file of a run by name, without the fields that may differ."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and path.name not in (".lock", ".process"):
            found[name] = _stable(name, path.read_bytes())
    return found


def differing(folder: Path, expected: dict[str, object]) -> list[str]:
    """The files that are not as they should be, or are too many or missing."""
    found = artefacts(folder)
    return sorted(n for n in expected.keys() | found.keys() if expected.get(n) != found.get(n))


def _stable(name: str, content: bytes) -> object:
    if name not in VOLATILE:
        return content
    lines = content.splitlines() if name.endswith(".jsonl") else [content]
    return [_read(line, VOLATILE[name]) for line in lines]


def _read(line: bytes, volatile: tuple[str, ...]) -> object:
    try:
        return _without(json.loads(line), volatile)
    except ValueError:  # damaged on purpose: as it is
        return line


def _without(value: object, fields: tuple[str, ...]) -> object:
    if isinstance(value, dict):
        return {key: _without(item, fields) for key, item in value.items() if key not in fields}
    return value


def lanes(work: Callable[[Case], Answer], cases: list[Case], workers: int, what: str) -> Iterator[Answer]:
    """The answers to all cases, as they come, from so many processes side by side; shows the time left."""
    if workers == 1:
        yield from track(map(work, cases), what, len(cases))
        return
    with get_context("fork").Pool(workers) as pool:
        yield from track(pool.imap_unordered(work, cases), what, len(cases))
        pool.close()
        pool.join()


def lane(where: Path) -> Path:
    """An empty folder of this process's own, beside small.yaml."""
    place = where / f"lane-{os.getpid()}"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    return place


def processor_seconds() -> float:
    """Of this process and of all that it has waited for."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(used.ru_utime + used.ru_stime for used in both)


def total(rows: Iterable[Row]) -> int:
    """How many failures there were."""
    return sum(len(row.failures) for row in rows)


def shown(rows: Sequence[Row]) -> None:
    """Print the table, and below it every failure."""
    table = Table("part", "what", Column("n", justify="right"), "how it ended", Column("failures", justify="right"))
    for row, before in zip(rows, [None, *rows], strict=False):
        if before is not None and before.part != row.part:
            table.add_section()
        table.add_row(row.part, escape(row.what), f"{row.n:,}", escape(row.outcome), f"{len(row.failures):,}")
    Console(width=150).print(table)
    for row in rows:
        print(*(f"{row.part}: {failure}" for failure in row.failures), sep="\n", end="\n" if row.failures else "")
