"""Kill, interrupt and damage small runs and feed every reader with spoilt files; print one table of how it all ended.

    python bench/torture.py                                       everything (make torture)
    python bench/torture.py --short --workers 1                   a little of each (part of make slow)
    python bench/torture.py --only kills --seed N [--kills 200]   one part again

Each case is drawn by the seed, the same with any number of workers. Exit code 1 if anything failed; the table is also
written as JSON. At most 30 minutes on 2 cores; docs/RELIABILITY.md says what must hold.
"""

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path

from small_run import Reference, Row, processor_seconds, shown, total, undisturbed  # first: it sets the threads

import damage  # isort: skip
import fuzz
import interruptions
import kills

PARTS = ("kills", "interruptions", "damage", "fuzz")


def torture(options: argparse.Namespace, where: Path) -> tuple[list[Row], dict[str, dict[str, float]]]:
    """The rows of all parts that are asked for, and the seconds that each took: of the clock and of processors."""
    rows: list[Row] = []
    seconds: dict[str, dict[str, float]] = {}

    def timed(name: str, work: Callable[[], list[Row]]) -> None:
        clock, processor = time.monotonic(), processor_seconds()
        rows.extend(work())
        seconds[name] = {"clock": time.monotonic() - clock, "processor": processor_seconds() - processor}
        print(f"{name}: {seconds[name]['clock']:.0f} s, {seconds[name]['processor']:.0f} s of processors", flush=True)

    seed, workers, short = options.seed, options.workers, options.short
    parts: dict[str, Callable[[], list[Row]]] = {}
    if set(options.only) - {"fuzz"}:
        reference: list[Reference] = []
        timed("undisturbed run", lambda: reference.append(undisturbed(where)) or [])
        whole = reference[0]
        stopped = damage.stopped_in_training(whole)
        parts["kills"] = partial(kills.kill, whole, options.kills, 0 if short else 2, 1 if short else 6, seed, workers)
        parts["interruptions"] = partial(interruptions.interrupt, whole, stopped, seed, workers, short)
        parts["damage"] = partial(damage.damage, whole, stopped, seed, workers, 1 if short else None)
    parts["fuzz"] = lambda: fuzz.rows(fuzz.fuzz(options.files, seed, workers, options.keep))
    for name in PARTS:
        if name in options.only:
            timed(name, parts[name])
    return rows, seconds


def parsed() -> argparse.Namespace:
    """The options; the numbers of kills and files follow from --short where they are not given."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--only", choices=PARTS, nargs="+", default=PARTS)
    parser.add_argument("--kills", type=int, help="over the whole run; more in each kind of stage and in checkpoints")
    parser.add_argument("--files", type=int, help="spoilt files")
    parser.add_argument("--keep", type=Path, default=Path(tempfile.gettempdir()) / "gazetune-fuzz")
    parser.add_argument("--json", type=Path, default=Path(__file__).with_suffix(".json"))
    options = parser.parse_args()
    options.kills = options.kills or (3 if options.short else 50)
    options.files = options.files or (400 if options.short else 20_000)
    return options


def main() -> int:
    """Everything; the exit code."""
    options, start = parsed(), time.monotonic()
    print(f"seed {options.seed}, {options.workers} workers", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        rows, seconds = torture(options, Path(folder))
    shown(rows)
    failures, clock = total(rows), time.monotonic() - start
    print(f"seed {options.seed}: {failures} failures in {clock / 60:.1f} minutes")
    about = {"seed": options.seed, "workers": options.workers, "machine": platform.machine(), "seconds": seconds,
             "minutes": clock / 60, "failures": failures, "rows": [asdict(row) for row in rows]}  # fmt: skip
    options.json.write_text(json.dumps(about, indent=1) + "\n")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
