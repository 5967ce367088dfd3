"""Kill small runs again and again, resume them each time, and compare every file with an uninterrupted run's.

    python bench/torture.py --kills 50 [--seed N]

Kills are SIGKILL at moments drawn uniformly over the measured duration of the run, and at least one while a checkpoint
is being written. Prints one line a kill and a summary; exit code 1 if any artefact differs.
"""

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from gazetune.run import VOLATILE

MOST_MISSES = 10
PER_RUN = 2  # kills of one run: the second strikes the run that goes on after the first
SETTINGS = (
    "data.world.images=56", "training.epochs=10", "training.evaluate_every=3", "training.checkpoint_seconds=0.01",
    "training.batch_size=8", "map_size=56", "human.sigma_px=4",
)  # fmt: skip


def command(folder: str, *options: str) -> list[str]:
    """The run that is tortured: the demo's, smaller."""
    sets = [part for setting in SETTINGS for part in ("--set", setting)]
    return [sys.executable, "-m", "gazetune", "run", "demo", "--output", folder, "--device", "cpu", *sets, *options]


def start(where: Path, *options: str) -> subprocess.Popen[bytes]:
    """Start the run in a folder, resuming what there is."""
    return subprocess.Popen(
        command("run", "--resume", *options), cwd=where, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )


def artefacts(folder: Path) -> dict[str, object]:
    """Every file of a run by name, without the fields that may differ."""
    found: dict[str, object] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_file() and path.name not in (".lock", ".process"):
            found[name] = _stable(name, path.read_bytes())
    return found


def _stable(name: str, content: bytes) -> object:
    if name not in VOLATILE:
        return content
    lines = content.decode().splitlines() if name.endswith(".jsonl") else [content.decode()]
    return [_without(json.loads(line), VOLATILE[name]) for line in lines]


def _without(value: object, fields: tuple[str, ...]) -> object:
    if isinstance(value, dict):
        return {key: _without(item, fields) for key, item in value.items() if key not in fields}
    return value


def kill_at(where: Path, seconds: float) -> str:
    """Start, kill after so many seconds; returns what was under way."""
    process = start(where)
    try:
        process.wait(timeout=seconds)
        return "had ended"
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGKILL)
        process.wait()
        return "killed"


def kill_in_checkpoint(where: Path, limit_seconds: float) -> bool:
    """Start, and kill at the moment at which a checkpoint is half written; False if none was caught in time."""
    process = start(where)
    folder, end = where / "run" / "checkpoints", time.monotonic() + limit_seconds
    while process.poll() is None and time.monotonic() < end:
        if any(folder.glob("*/.resume.safetensors.part")):
            process.send_signal(signal.SIGKILL)
            process.wait()
            return any(folder.glob("*/.resume.safetensors.part"))
    process.kill()
    process.wait()
    return False


def _kill(place: Path, draw: random.Random, duration: float, in_checkpoint: bool) -> str:
    """Kill once, or until a half-written checkpoint was caught; what was done, in words."""
    if not in_checkpoint:
        moment = draw.uniform(0, duration)
        return f"after {moment:.2f} s ({kill_at(place, moment)})"
    for _ in range(MOST_MISSES):
        if kill_in_checkpoint(place, 4 * duration):
            return "in the middle of a checkpoint"
        shutil.rmtree(place)  # missed: it ran to its end, so start anew
        place.mkdir()
    raise RuntimeError("no checkpoint could be caught half written")


def torture(kills: int, seed: int, where: Path, say: Callable[[str], None] = print) -> list[str]:
    """The names of the artefacts that differ from an uninterrupted run's after `kills` kills; empty is good."""
    draw = random.Random(seed)
    (where / "whole").mkdir(parents=True)
    before = time.monotonic()
    subprocess.run(command("run"), cwd=where / "whole", check=True, capture_output=True)
    duration = time.monotonic() - before
    expected = artefacts(where / "whole" / "run")
    say(f"seed {seed}; an uninterrupted run takes {duration:.1f} s and leaves {len(expected)} files")
    differ: set[str] = set()
    for number, start_at in enumerate(range(0, kills, PER_RUN)):
        place = where / f"run-{number}"
        place.mkdir()
        done = [_kill(place, draw, duration, start_at + k == 0) for k in range(min(PER_RUN, kills - start_at))]
        process = start(place)
        _, error = process.communicate()
        if process.returncode != 0:
            raise RuntimeError(f"resuming after kills {done} failed: {error.decode()}")
        found = artefacts(place / "run")
        wrong = {name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name)}
        differ |= wrong
        say(f"killed {', then '.join(done)}: {'same' if not wrong else 'DIFFERENT: ' + ', '.join(sorted(wrong))}")
    return sorted(differ)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        wrong = torture(options.kills, options.seed, Path(folder))
    print(f"{options.kills} kills: " + ("every artefact identical" if not wrong else f"different: {', '.join(wrong)}"))
    sys.exit(1 if wrong else 0)
