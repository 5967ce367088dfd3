"""Spoil files of every kind that is read from outside, by seed, and see that nothing but our own errors comes out.

    python bench/fuzz.py --files 20000 [--seed N] [--workers 2]
    python bench/fuzz.py --seed N --case 'READER:NUMBER'         one file again, with the whole traceback

Each file is read in a process that is replaced when it dies, or takes more than 5 s of processor time. A failure is an
error that is not gazetune's, a process that died, 5 s, more than 2 GB above what the libraries take, a file written
outside its folder, or a pickle that was loaded. Prints a table; exit code 1 and the places of the files on a failure.
The files are the same with any number of workers. bench/torture.py runs this among its other parts.
"""

import argparse
import os
import pickle
import random
import resource
import select
import shutil
import signal
import struct
import sys
import tempfile
import time
import traceback
from collections import Counter
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import partial
from io import StringIO
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"

import torch
from fuzz_readers import READERS, Reader
from small_run import Row, lanes, shown, total

from gazetune.errors import GazetuneError

CPU_SECONDS, WALL_SECONDS = 5, 60  # the second only for what waits for ever: other work may slow down a process
MOST_BYTES = 2 << 30
MOST_ADDRESSES = 6 << 30  # so that a wish for more fails at once instead of taking the machine along
CHUNK = 250  # files, so that the readers that take long do not come last
ACCEPTED, REFUSED = "accepted", "refused"


class TimeLimit(BaseException):
    """5 s are over."""


@dataclass
class Found:
    """What became of the files of one reader."""

    counts: Counter[str] = field(default_factory=Counter)
    failures: list[str] = field(default_factory=list)
    most_seconds: float = 0.0
    most_bytes: int = 0

    def add(self, other: "Found") -> None:
        """What became of more files of the same reader."""
        self.counts.update(other.counts)
        self.failures += other.failures
        self.most_seconds = max(self.most_seconds, other.most_seconds)
        self.most_bytes = max(self.most_bytes, other.most_bytes)


def one(reader: Reader, name: str, seed: int, case: int, good: Path, place: Path, debug: bool = False) -> str:
    """Spoil (but for case -1) and read one file in `place`: `accepted`, `refused: ...`, or what is wrong."""
    folder = place / "case"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(good, folder, symlinks=True)
    if case >= 0:
        reader.spoil(folder, random.Random(f"{seed} {name} {case}"))
    shutil.rmtree(place / "kept", ignore_errors=True)
    shutil.copytree(folder, place / "kept", symlinks=True)  # readers may write beside what they read
    before = {p for p in place.rglob("*") if "inside" not in p.parts}
    os.chdir(place)
    _lower_peak()
    base, begun = _memory("VmRSS"), time.process_time()
    signal.setitimer(signal.ITIMER_PROF, CPU_SECONDS)
    try:
        reader.read(folder)
        said = ACCEPTED
    except GazetuneError as reason:
        said = f"{REFUSED}: {reason}"
        if len(said) > 20_000:
            said = f"FAILED an error of {len(said):,} characters: {said[:200]}"
    except TimeLimit:
        said = f"FAILED more than {CPU_SECONDS} s"
        _shown(debug)
    except BaseException as reason:
        said = f"FAILED {type(reason).__name__}: {str(reason)[:200]}"
        _shown(debug)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    seconds = time.process_time() - begun
    used = _memory("VmHWM") - base
    if used > MOST_BYTES:
        said = f"FAILED {used / 1e9:.1f} GB ({said[:200]})"
    known = ("objects.csv", "fixations_val2014.json", "summary.json", "provenance.json")
    new = {p for p in place.rglob("*") if "inside" not in p.parts} - before
    new = {p for p in new if p.name not in known and ".columns." not in p.name}
    if new:
        said = f"FAILED written elsewhere: {', '.join(p.name for p in sorted(new))}"
        for path in new:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    return f"{used} {seconds} {said}"


def _shown(debug: bool) -> None:
    if debug:
        traceback.print_exc()


def _lower_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


def _memory(what: str) -> int:
    with Path("/proc/self/status").open() as lines:
        return next(int(line.split()[1]) << 10 for line in lines if line.startswith(what))


def work(reader: Reader, name: str, seed: int, cases: range, good: Path, place: Path, answer: int) -> None:
    """Read one file after the other and write down what became of each."""
    torch.set_num_threads(1)
    most = (int(Path("/proc/self/statm").read_text().split()[0]) << 12) + MOST_ADDRESSES
    resource.setrlimit(resource.RLIMIT_AS, (most, most))
    signal.signal(signal.SIGPROF, _over)
    for case in (-1, *cases) if cases.start == 0 else cases:  # the good file first: it must be accepted
        with redirect_stderr(StringIO()), redirect_stdout(StringIO()):
            said = one(reader, name, seed, case, good, place)
        if case == -1:
            if said.endswith(" accepted"):
                continue
            said = f"0 0 FAILED good files are refused: {said}"
        message = pickle.dumps((case, said))
        os.write(answer, struct.pack("<I", len(message)) + message)


def _over(*_: object) -> None:
    raise TimeLimit


def run_reader(name: str, seed: int, cases: range, top: Path, keep: Path) -> Found:
    """These files of one reader, in processes that are replaced when they die or hang."""
    reader, found = READERS[name], Found()
    place = top / f"{name.replace('/', '_')}-{cases.start}"
    good = place / "good"
    good.mkdir(parents=True)
    reader.write(good)
    left = cases
    while left:
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(reading)
            try:
                work(reader, name, seed, left, good, _fresh(place / "at_work"), writing)
            finally:
                os._exit(0)
        os.close(writing)
        died = _listen(reading, child, found, name, seed, place, keep, cases.start)
        os.close(reading)
        left = range(died + 1, cases.stop) if died is not None else range(0)
    return found


def _fresh(place: Path) -> Path:
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    return place


def _listen(
    reading: int, child: int, found: Found, name: str, seed: int, place: Path, keep: Path, first: int
) -> int | None:
    """Take down what a process says; the number of the file at which it died, or None where it did all."""
    case = None
    while True:
        ready, _, _ = select.select([reading], [], [], WALL_SECONDS)
        head = _read(reading, 4) if ready else b""
        if not head:
            break
        case, said = pickle.loads(_read(reading, struct.unpack("<I", head)[0]))
        _note(found, said, name, seed, case, place, keep)
    if not ready:
        os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    if ready and os.waitstatus_to_exitcode(status) == 0:
        return None
    here = first + sum(found.counts.values())
    what = f"the process died ({os.waitstatus_to_exitcode(status)})" if ready else f"nothing for {WALL_SECONDS} s"
    _note(found, f"0 0 FAILED {what}", name, seed, here, place, keep)
    return here


def _read(reading: int, n: int) -> bytes:
    parts = b""
    while len(parts) < n and (part := os.read(reading, n - len(parts))):
        parts += part
    return parts


def _note(found: Found, said: str, name: str, seed: int, case: int, place: Path, keep: Path) -> None:
    used, seconds, said = said.split(" ", 2)
    kind = said.partition(":")[0].partition(" ")[0]
    found.counts[kind if kind in (ACCEPTED, REFUSED) else "failed"] += 1
    found.most_seconds, found.most_bytes = max(found.most_seconds, float(seconds)), max(found.most_bytes, int(used))
    if kind not in (ACCEPTED, REFUSED):
        target = keep / f"{name}-{seed}-{case}".replace("/", "_").replace(" ", "_")
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(place / "at_work" / "kept", target, symlinks=True)
        found.failures.append(f"--seed {seed} --case '{name}:{case}': {said}  [{target}]")


def shares(files: int, only: str | None) -> dict[str, int]:
    """How many files each reader gets; all of them are dealt out."""
    parts = {name: reader.share for name, reader in READERS.items() if only is None or only in name}
    total, dealt, given = sum(parts.values()), 0, {}
    for name, part in parts.items():
        dealt += part
        given[name] = files * dealt // total - sum(given.values())
    return given


def chunks(files: int, only: str | None) -> list[tuple[str, range]]:
    """The files of every reader in parts of at most CHUNK, the readers in turn."""
    parts = [
        (name, range(at, min(at + CHUNK, n))) for name, n in shares(files, only).items() for at in range(0, n, CHUNK)
    ]
    return sorted(parts, key=lambda part: part[1].start)


def fuzz(files: int, seed: int, workers: int, keep: Path, only: str | None = None) -> dict[str, Found]:
    """All readers, in so many processes side by side; name -> what became of its files, the same with any number."""
    found: dict[str, Found] = {}
    with tempfile.TemporaryDirectory() as top:
        work = partial(_of_chunk, seed, Path(top), keep)
        for name, one_of in lanes(work, chunks(files, only), workers, "fuzzed parts"):
            found.setdefault(name, Found()).add(one_of)
    return {name: found[name] for name in READERS if name in found}


def _of_chunk(seed: int, top: Path, keep: Path, chunk: tuple[str, range]) -> tuple[str, Found]:
    name, cases = chunk
    return name, run_reader(name, seed, cases, top, keep)


def rows(found: dict[str, Found]) -> list[Row]:
    """The rows of the table of `make torture`."""
    return [
        Row("fuzz", name, sum(one_of.counts.values()),
            f"{one_of.counts[ACCEPTED]:,} accepted, {one_of.counts[REFUSED]:,} refused; at most "
            f"{one_of.most_seconds:.1f} s, {one_of.most_bytes / 1e6:,.0f} MB", tuple(sorted(one_of.failures)))
        for name, one_of in found.items()
    ]  # fmt: skip


def again(name: str, seed: int, case: int) -> None:
    """One file once more, in this process."""
    signal.signal(signal.SIGPROF, _over)
    with tempfile.TemporaryDirectory() as top:
        good = Path(top) / "good"
        good.mkdir()
        READERS[name].write(good)
        print(one(READERS[name], name, seed, case, good, _fresh(Path(top) / "at_work"), debug=True))
        os.chdir("/")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--files", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--case", help="READER:NUMBER, as a failure is printed")
    parser.add_argument("--only", help="readers whose name has this in it")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "gazetune-fuzz")
    options = parser.parse_args()
    if options.case:
        reader_name, _, number = options.case.rpartition(":")
        again(reader_name, options.seed, int(number))
        sys.exit()
    start = time.monotonic()
    found = rows(fuzz(options.files, options.seed, options.workers, options.keep, options.only))
    shown(found)
    print(f"seed {options.seed}, {time.monotonic() - start:.0f} s")
    sys.exit(1 if total(found) else 0)
