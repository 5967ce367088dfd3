"""All measurements of gazetune, one script after the other on a quiet machine, as one table.

    python bench/suite.py [--osie FOLDER] [--weights FOLDER] [--only NAME...] [--write docs/PERFORMANCE.md]

Each script of this folder measures in pairs, ours and its reference in turn in one process, and gives its rows
(rows.py). At most 40 minutes on two cores. Progress and what the scripts print: stderr; the table: stdout; all rows and
the machine: --json. Exit code 1 if a script fails or a bound is not kept (aims known to be out
of reach are shown and do not count); what is missing is named and does not count.
"""

import argparse
import json
import math
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path

from machine import Fact, machine, sentence
from rows import Row, read
from table import placed, table, write_into

HERE = Path(__file__).parent
LIMIT_SECONDS = 30 * 60  # a script that takes longer hangs
LAST_LINES = 8  # of what a failed script said


@dataclass(frozen=True)
class Part:
    """One script with its arguments; `lacks` says what it cannot run without and has not got."""

    name: str
    arguments: tuple[str, ...] = ()
    script: str = ""  # NAME.py, if not given
    lacks: str = ""
    threads: int | None = None  # None: as many as torch takes by itself

    @property
    def file(self) -> str:
        """The script in the folder of scripts."""
        return self.script or f"{self.name}.py"


@dataclass(frozen=True)
class Outcome:
    """What came of a part: its rows, or why there are none."""

    name: str
    seconds: float = 0.0
    rows: list[Row] = field(default_factory=list)
    not_run: str = ""
    failed: str = ""  # the end of what it said


def plan(osie: Path | None, weights: Path | None) -> list[Part]:
    """The parts in their order, with arguments that keep all of them within 40 minutes on two cores."""
    photos = ("--osie", str(osie)) if osie else ()
    whole = (*photos, "--weights", str(weights)) if weights else photos
    pysaliency = _without("pysaliency")
    stages = [Part("stages", whole, lacks="" if osie and weights else "OSIE end to end needs --osie and --weights")]
    if stages[0].lacks:
        stages.append(Part("stages-demo", script="stages.py"))
    return [
        Part("train_step"),
        Part("maps"),
        Part("growth"),
        *stages,
        Part("agreement", photos, lacks=pysaliency),
        Part("metrics", ("--rounds", "7"), lacks=pysaliency),
        Part("consistency", ("--repeats", "10")),
        Part("observers", ("--images", "40", "--repeats", "5")),
        Part("heads", ("--rounds", "7")),
        Part("biases", ("--images", "5000", "--rounds", "5")),
        Part("recovery", ("--images", "500", "--pool", "2000", "--studies", "1000")),
        Part("corruptions", ("--repeats", "50"), lacks=_without("imagecorruptions"), threads=1),
        Part("parity", ("--images", "160", "--blocks", "5")),
        Part("salicon_json", ("--points", "14800000")),
        Part("large_csv", ("--fixations", "2000000")),
        Part("explorer", ("--images", "5000"), lacks=_without("playwright") or _no_browser()),
    ]


def _without(package: str) -> str:
    return "" if find_spec(package) else f"needs the package {package} (make bench installs it)"


def _no_browser() -> str:
    found = os.environ.get("CHROMIUM") or shutil.which("chromium")
    return "" if found else "needs Chromium (apt-get install chromium, or CHROMIUM=path)"


def run(part: Part, scripts: Path, limit_seconds: float = LIMIT_SECONDS) -> Outcome:
    """Run one script in a process of its own; what it prints goes to stderr."""
    if not (scripts / part.file).is_file():
        return Outcome(part.name, not_run=f"there is no {part.file}")
    if part.lacks:
        return Outcome(part.name, not_run=part.lacks)
    threads = {} if part.threads is None else {"OMP_NUM_THREADS": str(part.threads)}
    before = time.monotonic()
    with tempfile.TemporaryDirectory() as place, (Path(place) / "said").open("w+") as said:
        file = Path(place) / "rows.json"
        line = [sys.executable, str(scripts / part.file), *part.arguments, "--rows", str(file)]
        surroundings = {"HF_HUB_OFFLINE": "1", **os.environ, **threads}
        wrong = ""
        try:
            code = subprocess.run(line, env=surroundings, stdout=2, stderr=said, timeout=limit_seconds).returncode
            wrong = f"exit code {code}" if code else "" if file.is_file() else "it gave no rows"
        except subprocess.TimeoutExpired:
            wrong = f"stopped after {limit_seconds:.0f} s"
        rows = read(file) if file.is_file() else []
        said.seek(0)
        end = "\n".join([wrong, *said.read().splitlines()[-LAST_LINES:]]) if wrong else ""
    return Outcome(part.name, time.monotonic() - before, rows, failed=end)


def run_all(parts: Sequence[Part], scripts: Path) -> list[Outcome]:
    """One after the other; a failed one does not stop the others."""
    begun, found = time.monotonic(), []
    for k, part in enumerate(parts, start=1):
        print(f"[{k}/{len(parts)}] {part.name} {' '.join(part.arguments)}", file=sys.stderr, flush=True)
        found.append(run(part, scripts))
        done, passed = found[-1], time.monotonic() - begun
        what = "not run" if done.not_run else "FAILED" if done.failed else f"{len(done.rows)} rows"
        print(
            f"[{k}/{len(parts)}] {part.name}: {what}, {done.seconds:.0f} s; {passed / 60:.1f} min in all\n",
            file=sys.stderr, flush=True,
        )  # fmt: skip
    return found


def wrong_with(found: Sequence[Outcome]) -> list[str]:
    """Every failed script, with the end of what it said, and every bound that is not kept; empty is good."""
    failed = [f"FAILED: {one.name}: {one.failed}" for one in found if one.failed]
    rows = [row for one in found for row in one.rows if row.holds is False and not row.aim]
    return failed + [f"NOT KEPT: {row.item}, against {row.against}" for row in rows]


def text_of(found: Sequence[Outcome], facts: dict[str, Fact]) -> str:
    """The machine, the table, and by name what is missing from it: without what a script said, which has paths."""
    rows = [row for one in found for row in one.rows]
    minutes = sum(one.seconds for one in found) / 60
    lines = [f"{sentence(facts)}; {minutes:.0f} minutes.", "", table(rows) if rows else "No rows.", ""]
    lines += [f"Not run: {one.name}: {one.not_run}." for one in found if one.not_run]
    lines += [f"Failed: {one.name}: {one.failed.splitlines()[0]}." for one in found if one.failed]
    kept = [row.holds for row in rows if row.holds is not None and not row.aim]
    missed = sum(row.aim for row in rows if row.holds is False)
    closing = f"{sum(kept)} of {len(kept)} bounds are kept."
    closing += f" {missed} aims are not reached, which is known." if missed else ""
    return "\n\n".join(["\n".join(lines[:3]), *lines[4:], closing])


def as_json(found: Sequence[Outcome], facts: dict[str, Fact]) -> str:
    """The machine and the rows of every script, NaN as null."""
    scripts = [
        {
            "name": one.name,
            "seconds": round(one.seconds, 1),
            "not_run": one.not_run or None,
            "failed": one.failed.split("\n")[0] or None,
            "rows": [{**asdict(row), "holds": row.holds} for row in one.rows],
        }
        for one in found
    ]
    return json.dumps(_without_nan({"machine": facts, "scripts": scripts}), indent=1, allow_nan=False) + "\n"


def _without_nan(value: object) -> object:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def main(arguments: Sequence[str] | None = None, parts: Sequence[Part] | None = None, scripts: Path = HERE) -> int:
    """Run, print, write; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--osie", type=Path, help="a folder of OSIE; without it generated images and the demo")
    parser.add_argument("--weights", type=Path, help="a vision transformer for the whole run on OSIE")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="these parts")
    parser.add_argument("--json", type=Path, default=HERE / "results.json")
    parser.add_argument("--write", type=Path, metavar="FILE", help="put the table between the markers of this document")
    options = parser.parse_args(arguments)
    parts = plan(options.osie, options.weights) if parts is None else parts
    if options.only:
        unknown = set(options.only) - {part.name for part in parts}
        if unknown:
            parser.error(f"no part is called {', '.join(sorted(unknown))}: {', '.join(part.name for part in parts)}")
        if options.write:
            parser.error("--write takes the table of all parts, not of --only some")
        parts = [part for part in parts if part.name in options.only]
    if options.write:
        placed(options.write.read_text(), "")  # now, not after 40 minutes
    found, facts = run_all(parts, scripts), machine()
    text = text_of(found, facts)
    print(text)
    options.json.write_text(as_json(found, facts))
    if options.write:
        write_into(options.write, text)
    wrong = wrong_with(found)
    print("\n".join(wrong), file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
