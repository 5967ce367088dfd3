"""Damage every file of a small run, one at a time, resume it, and compare every file with the undamaged run's.

    python bench/damage.py [--seed N] [--files N]

Each file is cut short and has one byte changed, at a place drawn by seed: in a run that was killed while it trained
(its state and its best weights), and in a finished one. Then no file may be larger than so many bytes, at seven sizes.
It must end either with every file as in the undamaged run (what was damaged is made again, which is said), or with exit
2 and a message that names the file; never with another result. One line a file; exit code 1 on a failure.
"""

import argparse
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("OMP_NUM_THREADS", "1")

import torch
from torture import artefacts

import gazetune.commands
import gazetune.pipeline  # noqa: F401
from gazetune import cli

SETTINGS = (
    "data.world.images=42", "training.epochs=4", "training.evaluate_every=2", "training.checkpoint_seconds=0.01",
    "training.batch_size=8", "map_size=56", "human.sigma_px=4",
)  # fmt: skip
UNSEEN = ("log.jsonl",)  # no result is computed from it; docs/RELIABILITY.md
FULL_BYTES = (1_000, 20_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)


def arguments() -> list[str]:
    """The run that is damaged: the demo's, smaller."""
    sets = [part for setting in SETTINGS for part in ("--set", setting)]
    return ["run", "demo", "--output", "run", "--device", "cpu", *sets, "--resume"]


def resumed(place: Path, most_bytes: int | None = None) -> tuple[int, str]:
    """Go on with the run in a process of its own; its exit code and what it said."""
    said = place / "said.txt"
    child = os.fork()
    if child == 0:
        with said.open("wb") as opened:
            os.dup2(opened.fileno(), 2)
            os.dup2(opened.fileno(), 1)
        os.chdir(place)
        sys.argv = ["gazetune", *arguments()]
        torch.set_num_threads(1)
        if most_bytes is not None:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))
        code = 1
        try:
            cli.main()
            code = 0
        except SystemExit as ended:
            code = ended.code if isinstance(ended.code, int) else 0
        except BaseException as reason:
            print(f"Traceback: {reason!r}", file=sys.stderr, flush=True)
            code = 70
        finally:
            sys.stderr.flush()
            os._exit(code)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status), said.read_text(errors="replace")


def cut(content: bytes, draw: random.Random) -> bytes:
    """The end is gone."""
    return content[: draw.randrange(len(content))]


def one_byte(content: bytes, draw: random.Random) -> bytes:
    """One bit of one byte is turned over."""
    found = bytearray(content)
    found[draw.randrange(len(found))] ^= 1 << draw.randrange(8)
    return bytes(found)


DAMAGE: dict[str, Callable[[bytes, random.Random], bytes]] = {"cut short": cut, "one byte": one_byte}


def judged(place: Path, name: str, expected: dict[str, object]) -> str:
    """What became of a run with this file damaged."""
    code, said = resumed(place)
    if code == 2:
        return "named, exit 2" if Path(name).name in said or Path(name).parent.name in said else f"NOT NAMED: {said}"
    if code != 0:
        return f"FAILED with exit {code}: {said[-500:]}"
    wrong = _different(place / "run", expected)
    if wrong:
        return f"DIFFERENT: {', '.join(wrong)}"
    return "made again, identical" if Path(name).name in said or "again, because" in said else "identical"


def _different(folder: Path, expected: dict[str, object]) -> list[str]:
    """The files that are not as in the undamaged run."""
    for name in UNSEEN:
        (folder / name).unlink(missing_ok=True)
    found = artefacts(folder)
    return sorted({n for n in expected.keys() | found.keys() if expected.get(n) != found.get(n)} - set(UNSEEN))


def damage(where: Path, seed: int, most: int | None, say: Callable[[str], None] = print) -> Counter[str]:
    """How often what happened, over all files and kinds of damage."""
    whole = where / "whole"
    whole.mkdir(parents=True)
    code, said = resumed(whole)
    if code:
        raise RuntimeError(said)
    expected = artefacts(whole / "run")
    stopped = _killed_in_training(where / "stopped")
    cases = [(stopped, name) for name in artefacts(stopped / "run")] + [(whole, name) for name in expected]
    if most is not None:
        cases = random.Random(seed).sample(cases, min(most, len(cases)))
    counts: Counter[str] = Counter()
    for start, name in cases:
        for kind, spoil in DAMAGE.items():
            place = where / "at_work"
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(start, place)
            path = place / "run" / name
            draw = random.Random(f"{seed} {name} {kind}")
            content = path.read_bytes()
            if not content:
                continue
            path.write_bytes(spoil(content, draw))
            found = judged(place, name, expected)
            counts[found.partition(":")[0]] += 1
            say(f"{'finished' if start == whole else 'killed'} run, {name}, {kind}: {found}")
    for most_bytes in FULL_BYTES if most is None else ():
        found = _full(where / "full", most_bytes, expected)
        counts[found.partition(":")[0]] += 1
        say(f"files of at most {most_bytes:,} bytes: {found}")
    return counts


def _full(place: Path, most_bytes: int, expected: dict[str, object]) -> str:
    """A run that can write no file of more than so many bytes, and goes on when it can."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir()
    code, said = resumed(place, most_bytes)
    if (
        code not in (0, 1)
        or "Traceback" in said
        or (code and "could not be written" not in said and "too large" not in said)
    ):
        return f"FAILED with exit {code}: {said[-500:]}"
    again, said = resumed(place)
    wrong = _different(place / "run", expected)
    if again or wrong:
        return f"DIFFERENT: {', '.join(wrong)} {said[-300:]}"
    return f"exit {code}, then identical"


def _killed_in_training(place: Path) -> Path:
    """A run that was killed when its first training had a state to go on from."""
    place.mkdir()
    line = [sys.executable, "-m", "gazetune", *arguments()]
    process = subprocess.Popen(line, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    log = place / "run" / "log.jsonl"
    while process.poll() is None:
        if log.is_file() and log.read_text().count('"validation"') >= 2:
            process.kill()
        time.sleep(0.01)
    process.wait()
    return place


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--files", type=int, help="so many files only, and no full disk")
    options = parser.parse_args()
    before = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        counted = damage(Path(folder), options.seed, options.files)
    print(", ".join(f"{n} {what}" for what, n in counted.most_common()), f"({time.monotonic() - before:.0f} s)")
    sys.exit(1 if any(what[:1].isupper() for what in counted) else 0)
