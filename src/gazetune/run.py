"""The run directory: the only place that knows where things lie and how they are written whole."""

import csv
import hashlib
import io
import json
import os
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd
import yaml
from filelock import FileLock, Timeout
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from gazetune.errors import GazetuneError, InputError
from gazetune.progress import say

# what may differ between two identical runs: fields of provenance.json and of the lines of log.jsonl
VOLATILE = {"provenance.json": ("seconds", "started", "host", "command"), "log.jsonl": ("seconds",)}

CONFIG, PROVENANCE, LOG, SUMMARY = "config.yaml", "provenance.json", "log.jsonl", "summary.json"
Json = Any
TYPES: dict[str, Any] = {"image": str, "dataset": str, "model": str, "seed": "Int64", "reason": str}


def write_whole(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or not at all: beside it, to the disk, then renamed over it.

    Raises GazetuneError where the disk is full or the folder cannot be written; what was there before stays.
    """
    beside = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with beside.open("wb") as opened:
            opened.write(content)
            opened.flush()
            os.fsync(opened.fileno())
        move(beside, path)
    except OSError as reason:
        beside.unlink(missing_ok=True)
        raise GazetuneError(
            f"'{path}' could not be written ({reason.strerror}). What was saved before is whole; make room or change "
            f"--output, then go on with --resume."
        ) from reason


def move(source: Path, target: Path) -> None:
    """Rename a file over another, and have the folder's entry reach the disk too."""
    source.replace(target)
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def sha256(path: Path) -> str:
    """The sha256 of a file, as hex."""
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


class Run:
    """One run directory, as a reader and as a writer.

    `Run("runs/demo").images` and friends are tidy tables; `summary` every reported number with its n.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()

    def __repr__(self) -> str:
        return f"Run('{self.path}')"

    # reading ----------------------------------------------------------------------------------------------------

    def file(self, name: str) -> Path:
        """The path of one of the run's files."""
        return self.path / name

    def table(self, name: str) -> pd.DataFrame:
        """One of the CSV files, e.g. `images`. Raises InputError if the run has not come that far."""
        path = self.file(f"{name}.csv")
        if not path.is_file():
            raise InputError(f"'{path}' is not there: the run has not come that far. Go on with gazetune run --resume.")
        return pd.read_csv(path, dtype=TYPES)

    @property
    def images(self) -> pd.DataFrame:
        """One row per image and model: every metric."""
        return self.table("images")

    @property
    def tests(self) -> pd.DataFrame:
        """One row per metric and pair of models."""
        return self.table("tests")

    @cached_property
    def summary(self) -> dict[str, Json]:
        """Every reported number with its n."""
        return self.json(SUMMARY)

    def json(self, name: str, default: Json = None) -> Json:
        """A JSON file of the run; `default` where it is not there. Raises InputError naming a damaged file."""
        path = self.file(name)
        if not path.is_file():
            if default is None:
                raise InputError(f"'{path}' is not there: is '{self.path}' a finished gazetune run?")
            return default
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as reason:
            raise InputError(f"'{path}' is damaged ({reason}). Delete it and go on with --resume.") from None

    def tensors(self, name: str) -> dict[str, Tensor]:
        """A safetensors file of the run. Raises InputError naming a missing or damaged file."""
        path = self.file(name)
        try:
            return load_file(path)
        except (SafetensorError, OSError) as reason:
            raise InputError(f"'{path}' is damaged or missing ({reason}). Delete it and go on with --resume.") from None

    def metadata(self, name: str) -> dict[str, str]:
        """The text that a safetensors file carries in its header. Raises InputError naming a damaged file."""
        try:
            with safe_open(self.file(name), "pt") as opened:
                return opened.metadata() or {}
        except (SafetensorError, OSError) as reason:
            raise InputError(f"'{self.file(name)}' is damaged or missing ({reason}).") from None

    def is_whole(self, name: str, inputs: str) -> bool:
        """Whether a safetensors file is there, readable, and says that it was made from these inputs."""
        try:
            return self.file(name).is_file() and self.metadata(name).get("inputs") == inputs
        except InputError:
            return False

    def checkpoint(self, model: str) -> Path:
        """The Hugging Face folder of a tuned model, by key (`tuned-s42`) or by name where there is one seed."""
        found = sorted(p.parent for p in self.path.glob(f"checkpoints/{model}*/best") if p.parent.name == model)
        found = found or sorted(p.parent for p in self.path.glob(f"checkpoints/{model}-s*/best"))
        if len(found) != 1:
            there = sorted(p.name for p in self.path.glob("checkpoints/*"))
            raise InputError(f"No one checkpoint '{model}' in '{self.path}'. There are: {', '.join(there) or 'none'}.")
        return found[0] / "best"

    # writing ----------------------------------------------------------------------------------------------------

    def write(self, name: str, content: str | bytes) -> str:
        """Write one file whole; returns its name within the run."""
        write_whole(self.file(name), content.encode() if isinstance(content, str) else content)
        return name

    def write_json(self, name: str, value: Json) -> str:
        """Write JSON, NaN as null, keys in the order given."""
        return self.write(name, json.dumps(_without_nan(value), indent=1, ensure_ascii=False) + "\n")

    def write_yaml(self, name: str, value: Json) -> str:
        """Write YAML in the order given."""
        return self.write(name, yaml.safe_dump(value, sort_keys=False, allow_unicode=True))

    def write_table(self, name: str, table: pd.DataFrame) -> str:
        """Write a tidy table as CSV (UTF-8, comma, one header line, empty for NaN)."""
        buffer = io.StringIO()
        table.to_csv(buffer, index=False, float_format="%.9g", quoting=csv.QUOTE_MINIMAL, lineterminator="\n")
        return self.write(f"{name}.csv", buffer.getvalue())

    def write_tensors(self, name: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None) -> str:
        """Write tensors as safetensors, with text in the header."""
        plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        return self.write(name, save(plain, metadata=dict(metadata) if metadata else None))

    def write_folder(self, name: str, fill: Callable[[Path], None]) -> list[str]:
        """Let `fill` write a folder beside, then move its files in one by one, the largest last.

        Each file is whole at every moment; the largest (the weights) is the one whose arrival counts.
        """
        beside, target = self.file(f".{name.replace('/', '_')}.part"), self.file(name)
        shutil.rmtree(beside, ignore_errors=True)
        try:
            beside.mkdir(parents=True)
            target.mkdir(parents=True, exist_ok=True)
            fill(beside)
            written = sorted((p for p in beside.iterdir() if p.is_file()), key=lambda p: (p.stat().st_size, p.name))
            for path in written:
                with path.open("rb") as opened:
                    os.fsync(opened.fileno())
                move(path, target / path.name)
        except OSError as reason:
            raise GazetuneError(
                f"'{target}' could not be written ({reason.strerror}). Make room, then --resume."
            ) from reason
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return [f"{name}/{path.name}" for path in written]

    def log(self, entry: Mapping[str, Json]) -> None:
        """Append one line to log.jsonl."""
        with self.file(LOG).open("a", encoding="utf-8") as opened:
            opened.write(json.dumps(_without_nan(dict(entry))) + "\n")

    def log_lines(self) -> Iterator[dict[str, Json]]:
        """The whole lines of log.jsonl; a line that was cut short by a stop is passed over."""
        if not self.file(LOG).is_file():
            return
        for line in self.file(LOG).read_text(encoding="utf-8").splitlines():
            try:
                yield json.loads(line)
            except ValueError:
                continue

    def rewind_log(self, keep: Callable[[dict[str, Json]], bool]) -> None:
        """Keep only these lines of log.jsonl: what came after the state that a training goes on from is undone."""
        self.write(LOG, "".join(json.dumps(line) + "\n" for line in self.log_lines() if keep(line)))

    # stages -----------------------------------------------------------------------------------------------------

    def stage(self, name: str, inputs: Mapping[str, Json], work: Callable[[], Iterable[str]]) -> None:
        """Do a stage of work unless it was done on the same inputs and what it wrote is still whole.

        Args:
            name: of the stage, as in provenance.json. inputs: everything that its result depends on, as JSON.
            work: does it and returns the names of the files it wrote.
        """
        record = self.json(PROVENANCE, {"stages": {}})
        wanted = json.loads(json.dumps(dict(inputs), default=str))
        reason = self._why_again(name, record["stages"].get(name), wanted)
        if reason is None:
            say(f"{name}: done before, kept")
            return
        if reason:
            say(f"{name}: done again, because {reason}")
        start = time.monotonic()
        outputs = {output: sha256(self.file(output)) for output in work()}
        record = self.json(PROVENANCE, {"stages": {}})
        entry = {"inputs": wanted, "outputs": outputs, "seconds": round(time.monotonic() - start, 2)}
        record["stages"][name] = entry
        self.write_json(PROVENANCE, record)

    def _why_again(self, name: str, before: dict[str, Json] | None, wanted: dict[str, Json]) -> str | None:
        """None: nothing to do. "": never done. Else the reason, in words."""
        if before is None:
            return ""
        changed = [k for k in {**before["inputs"], **wanted} if before["inputs"].get(k) != wanted.get(k)]
        if changed:
            return f"its input changed ({', '.join(sorted(changed))})"
        for output, expected in before["outputs"].items():
            path = self.file(output)
            if not path.is_file():
                return f"'{path}' is missing"
            if sha256(path) != expected:
                return f"'{path}' is damaged or was edited (its sha256 is not the recorded one)"
        return None

    def outputs_of(self, stage: str) -> dict[str, str]:
        """The files a finished stage wrote and their sha256: the inputs of the stages after it."""
        record = self.json(PROVENANCE, {"stages": {}})["stages"].get(stage)
        return record["outputs"] if record else {}

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process. Raises InputError at once if another living process holds it.

        The system lets go of the lock when its process ends, however it ends, so none is ever left behind.
        """
        self.path.mkdir(parents=True, exist_ok=True)
        owner = self.file(".process")
        lock = FileLock(self.file(".lock"))
        try:
            lock.acquire(blocking=False)
        except Timeout:
            who = owner.read_text() if owner.is_file() else "unknown"
            raise InputError(
                f"Another gazetune run (process {who}) is at work on '{self.path}'. Wait for it, or choose another "
                f"--output."
            ) from None
        try:
            owner.write_text(str(os.getpid()))
            yield
        finally:
            owner.unlink(missing_ok=True)
            lock.release()


def _without_nan(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(v) for v in value]
    if isinstance(value, float) and not (value == value and abs(value) != float("inf")):
        return None if value != value else ("Infinity" if value > 0 else "-Infinity")
    return value
