"""The run directory: the only place that knows where things lie and how they are written whole."""

import csv
import hashlib
import json
import os
import re
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
import torch
import yaml
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from gazetune import processes
from gazetune.documents import short
from gazetune.errors import InputError
from gazetune.files import move, not_written, sha256_file, write_whole
from gazetune.folder import locked
from gazetune.progress import say

CHUNK = 1000  # rows of a table that are put into words at a time
# what may differ between two identical runs: fields of provenance.json and of the lines of log.jsonl
VOLATILE = {"provenance.json": ("seconds", "started", "host", "command"), "log.jsonl": ("seconds",)}

CONFIG, PROVENANCE, LOG, SUMMARY = "config.yaml", "provenance.json", "log.jsonl", "summary.json"
Json = Any
TEXTS = ["image", "dataset", "model", "category", "reason", "observer", "by", "level", "class", "corruption", "text"]
TEXTS += ["first", "second"]  # of a comparison: keys of models
# what a spreadsheet would run; with the apostrophes before it, so that taking one off again gives what was there
FORMULA, GUARDED = r"^('*[=+\-@\t\r\n])", r"^'('*[=+\-@\t\r\n])"
TYPES: dict[str, Any] = {**dict.fromkeys(TEXTS, str), "seed": "Int64"}


class Run:
    """One run directory, as a reader and as a writer.

    `Run("runs/demo").images` and friends are tidy tables; `summary` every reported number with its n.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).expanduser()
        self._passed: set[str] = set()  # stages that this process has been through

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
        try:  # only an empty cell is missing: an observer may be called NA
            table = pd.read_csv(path, dtype=TYPES, keep_default_na=False, na_values=[""])
        except (ValueError, OSError, OverflowError) as reason:
            raise InputError(f"'{path}' is damaged ({short(reason)}). Go on with gazetune run --resume.") from None
        return _each_text(table, GUARDED, r"\1")

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
        except (ValueError, OSError, RecursionError) as reason:
            raise InputError(f"'{path}' is damaged ({short(reason)}). Delete it and go on with --resume.") from None

    def tensors(self, name: str) -> dict[str, Tensor]:
        """A safetensors file of the run. Raises InputError naming a missing or damaged file."""
        path = self.file(name)
        try:
            tensors = load_file(path)
        except (SafetensorError, OSError, ValueError, TypeError, KeyError, RuntimeError) as reason:
            said = short(reason)
            raise InputError(f"'{path}' is damaged or missing ({said}). Delete it and go on with --resume.") from None
        about = self.about(name)
        recorded = about.pop("sha256", None)
        if recorded not in (seal(tensors, about), digest(tensors)):  # the second: of files before version 0.5
            raise InputError(
                f"'{path}' is damaged (its sha256 is not the recorded one). Delete it and go on with --resume."
            )
        return tensors

    def about(self, name: str) -> dict[str, Json]:
        """What a safetensors file says of itself in its header. Raises InputError naming a damaged file."""
        try:
            with safe_open(self.file(name), "pt") as opened:
                about = json.loads((opened.metadata() or {}).get("about", "{}"))
            if not isinstance(about, dict):
                raise ValueError("its header says nothing of it")
        except (SafetensorError, OSError, ValueError, TypeError, RecursionError) as reason:
            raise InputError(f"'{self.file(name)}' is damaged or missing ({short(reason)}).") from None
        return about

    def is_whole(self, name: str, inputs: str) -> bool:
        """Whether a safetensors file is there, undamaged, and says that it was made from these inputs."""
        try:
            return self.file(name).is_file() and self.about(name).get("inputs") == inputs and bool(self.tensors(name))
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
        """Write a tidy table as CSV (UTF-8, comma, one header line, empty for NaN).

        A text that begins with = + - @ or a control character gets an apostrophe in front, or a spreadsheet would run
        it as a formula; `table` takes it off again. Numbers stay numbers.
        """
        return self.write_pieces(name, lambda: [table])

    def write_pieces(self, name: str, pieces: Callable[[], Iterable[pd.DataFrame]]) -> str:
        """Write tables, one below the other, as `write_table` writes one; they need not all be in memory.

        `pieces` is called twice: columns of all of them are collected first. What a piece has no column for is empty.
        """
        columns, quoting = dict[str, None](), csv.QUOTE_MINIMAL
        for table in pieces():
            columns |= dict.fromkeys(table.columns)
            # csv does not quote a carriage return by itself where lines end in a newline
            if any("\r" in value for c in _texts(table) for value in table[c] if isinstance(value, str)):
                quoting = csv.QUOTE_ALL
        how: dict[str, Any] = {"float_format": "%.9g", "quoting": quoting, "lineterminator": "\n", "index": False}

        def lines() -> Iterator[bytes]:  # the text of a table is many times as large as the table
            yield pd.DataFrame(columns=list(columns)).to_csv(**how).encode()
            for table in pieces():
                for start in range(0, len(table), CHUNK):
                    part = table.iloc[start : start + CHUNK].reindex(columns=list(columns))
                    yield _each_text(part, FORMULA, r"'\1").to_csv(header=False, **how).encode()

        write_whole(self.file(f"{name}.csv"), lines())
        return f"{name}.csv"

    def write_tensors(self, name: str, tensors: Mapping[str, Tensor], **about: Json) -> str:
        """Write tensors as safetensors, with `about` and their sha256 as JSON in the header."""
        plain = {key: value.detach().cpu().contiguous() for key, value in tensors.items()}
        # one field: safetensors writes several in an order that differs from process to process
        header = {"about": json.dumps({**about, "sha256": seal(plain, about)})}
        return self.write(name, save(plain, metadata=header))

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
        except (OSError, SafetensorError) as reason:  # safetensors wraps what the system said
            raise not_written(target, reason) from reason
        finally:
            shutil.rmtree(beside, ignore_errors=True)
        return [f"{name}/{path.name}" for path in written]

    def log(self, entry: Mapping[str, Json]) -> None:
        """Append one line to log.jsonl."""
        try:
            with self.file(LOG).open("a", encoding="utf-8") as opened:
                opened.write(json.dumps(_without_nan(dict(entry))) + "\n")
        except OSError as reason:
            raise not_written(self.file(LOG), reason) from reason

    def keep_log(self) -> None:
        """Have the lines of log.jsonl reach the disk."""
        if self.file(LOG).is_file():
            with self.file(LOG).open("rb") as opened:
                os.fsync(opened.fileno())

    def log_lines(self) -> Iterator[dict[str, Json]]:
        """The whole lines of log.jsonl; the last may be cut short by a stop, others that cannot be read are said."""
        if not self.file(LOG).is_file():
            return
        lines = self.file(LOG).read_text(encoding="utf-8", errors="replace").splitlines()
        for number, line in enumerate(lines, start=1):
            try:
                found = json.loads(line)
            except (ValueError, RecursionError):
                found = None
            if isinstance(found, dict):
                yield found
            elif number < len(lines):
                say(f"warning: '{self.file(LOG)}', line {number} is damaged and is passed over")

    def rewind_log(self, keep: Callable[[dict[str, Json]], bool]) -> None:
        """Keep only these lines of log.jsonl: what came after the state that a training goes on from is undone."""
        self.write(LOG, "".join(json.dumps(line) + "\n" for line in self.log_lines() if keep(line)))

    # stages -----------------------------------------------------------------------------------------------------

    def stage(
        self, name: str, inputs: Mapping[str, Json], work: Callable[[], Iterable[str]], shared: bool = False
    ) -> None:
        """Do a stage of work unless it was done on the same inputs and what it wrote is still whole.

        What it wrote the last time and not now is removed, unless another stage wrote it: a table of other settings
        must not stand beside the new ones. A stop between that and the record is one before the record: done again.

        Args:
            name: of the stage, as in provenance.json. inputs: everything that its result depends on, as JSON.
            work: does it and returns the names of the files it wrote.
            shared: whether all processes do it, each its part; else the main one does and the others wait.
        """
        wanted = plain(inputs)
        reason = processes.from_main(lambda: self._why_again(name, self.stages().get(name), wanted))
        again, self._passed = name in self._passed, self._passed | {name}
        if reason is None:
            if not again:  # several stages may ask for the same one
                say(f"{name}: done before, kept")
            return
        if reason:
            say(f"{name}: done again, because {reason}")
        start = time.monotonic()
        written = work() if shared else processes.on_main(lambda: list(work()))
        processes.on_main(lambda: self._record(name, wanted, written or (), start))

    def _record(self, name: str, inputs: dict[str, Json], written: Iterable[str], start: float) -> None:
        outputs = {output: sha256_file(self.file(output)) for output in written}
        record = self.record()
        entry = {"inputs": inputs, "outputs": outputs, "seconds": round(time.monotonic() - start, 2)}
        before = record["stages"].get(name, {"outputs": {}})["outputs"]
        record["stages"][name] = entry
        for left in set(before).difference(*(stage["outputs"] for stage in record["stages"].values())):
            self.file(left).unlink(missing_ok=True)
        self.write_json(PROVENANCE, record)

    def _why_again(self, name: str, before: dict[str, Json] | None, wanted: dict[str, Json]) -> str | None:
        """None: nothing to do. "": never done. Else the reason, in words."""
        if before is None:
            return ""
        changed = [k for k in {**before["inputs"], **wanted} if before["inputs"].get(k) != wanted.get(k)]
        if changed:
            named = ("gazetune's version" if key == "gazetune" else key for key in sorted(changed))
            return f"its input changed ({', '.join(named)})"
        return self._damage(before["outputs"])

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the run for this process (see folder.locked), and sweep away what a killed run had half written.

        Of several processes the main one holds it for all.
        """
        with ExitStack() as held:
            processes.on_main(lambda: self._hold(held))
            yield

    def _hold(self, held: ExitStack) -> None:
        held.enter_context(locked(self.path))
        for leftover in self.path.rglob(".*.part"):
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()

    def verify(self, stage: str) -> None:
        """Raises InputError naming a file of a finished stage that is missing or no longer what it was."""
        before = self.stages().get(stage)
        if before is None:
            raise InputError(
                f"'{self.path}' has not come as far as the stage '{stage}'. Go on with gazetune run --resume."
            )
        damage = self._damage(before["outputs"])
        if damage:
            raise InputError(f"{damage}; it is not used. Make it again: gazetune run {self.path} --resume")

    def stages(self) -> dict[str, Json]:
        """The finished stages: inputs, outputs with their sha256, seconds."""
        return self.record()["stages"]

    def record(self) -> dict[str, Json]:
        """provenance.json, or the beginning of one. Raises InputError for one that is damaged."""
        record = self.json(PROVENANCE, {"stages": {}})
        stages = record.get("stages") if isinstance(record, dict) else None
        if not isinstance(stages, dict) or not all(_is_stage(stage) for stage in stages.values()):
            raise InputError(
                f"'{self.file(PROVENANCE)}' is damaged (its stages cannot be read). Delete it and go on with --resume: "
                f"every stage is then done again."
            )
        return record

    def _damage(self, outputs: Mapping[str, str]) -> str | None:
        for output, expected in outputs.items():
            path = self.file(output)
            if not path.is_file():
                return f"'{path}' is missing"
            if sha256_file(path) != expected:
                return f"'{path}' is damaged or was edited (its sha256 is not the recorded one)"
        return None


def _each_text(table: pd.DataFrame, pattern: str, replacement: str) -> pd.DataFrame:
    """The table with a pattern replaced in every text of its columns of texts."""

    def changed(value: Json) -> Json:
        return re.sub(pattern, replacement, value) if isinstance(value, str) else value

    return table.assign(**{c: table[c].map(changed).astype(table[c].dtype) for c in _texts(table)})


def _texts(table: pd.DataFrame) -> list[str]:
    return [c for c in table.columns if isinstance(table[c].dtype, pd.StringDtype) or table[c].dtype == object]


def plain(value: Mapping[str, Json]) -> dict[str, Json]:
    """A value as it reads after it was written as JSON: tuples are lists."""
    return json.loads(json.dumps(dict(value), default=str))


def _is_stage(stage: Json) -> bool:
    """Whether this is the record of a stage: its inputs, and files inside the run with their sha256."""
    if not isinstance(stage, dict) or not isinstance(stage.get("inputs"), dict):
        return False
    outputs = stage.get("outputs")
    if not isinstance(outputs, dict) or not all(isinstance(sha256, str) for sha256 in outputs.values()):
        return False
    places = [PurePosixPath(name) for name in outputs]
    return all(place.parts and not place.is_absolute() and all(map(_is_name, place.parts)) for place in places)


def _is_name(part: str) -> bool:
    return part != ".." and "\x00" not in part and len(part.encode("utf-8", "replace")) < 256


def seal(tensors: Mapping[str, Tensor], about: Mapping[str, Json]) -> str:
    """A sha256 over tensors, with their names, types and shapes, and over what their file says of itself."""
    found = hashlib.sha256(json.dumps(dict(about)).encode())
    for name in sorted(tensors):
        found.update(f"{name} {tensors[name].dtype} {tuple(tensors[name].shape)}".encode("utf-8", "surrogatepass"))
        found.update(_bytes(tensors[name]))
    return found.hexdigest()


def _bytes(tensor: Tensor) -> bytes | memoryview:
    flat = tensor.contiguous().reshape(-1)
    return flat.view(torch.uint8).numpy().data if len(flat) else b""


def digest(tensors: Mapping[str, Tensor]) -> str:
    """A sha256 over the names and bytes of tensors."""
    found = hashlib.sha256()
    for name in sorted(tensors):
        found.update(name.encode())
        found.update(_bytes(tensors[name]))
    return found.hexdigest()


def _without_nan(value: Json) -> Json:
    if isinstance(value, Mapping):
        return {k: _without_nan(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(v) for v in value]
    if isinstance(value, float) and not (value == value and abs(value) != float("inf")):
        return None if value != value else ("Infinity" if value > 0 else "-Infinity")
    return value
