"""Where the time of a whole run goes: seconds of each stage, and its share of the whole.

    python bench/stages.py --osie FOLDER --weights FOLDER     OSIE, all images, one epoch of training
    python bench/stages.py                                    the demo, as `gazetune demo` does it
    python bench/stages.py --run FOLDER                       a finished run, out of what it recorded; only read

OSIE end to end as `gazetune run osie` does it: all 700 photos pass through every stage in full, but each of the two
trained models sees the training photos once (--epochs) and not up to 20 times. Training by the full rule takes so many
times as long as it has more steps; a row says how long a step takes. The whole is the time of the process; of a
finished run it is the sum of its stages, each as long as it took when it was last done.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from collections import defaultdict
from pathlib import Path

import yaml
from cost import seconds
from rows import Row, kept, measured, rows_option


def command(options: argparse.Namespace, folder: Path) -> list[str]:
    """The run: OSIE where it is given, else the demo."""
    gazetune = [sys.executable, "-m", "gazetune"]
    if options.osie is None:
        return [*gazetune, "demo", "--output", str(folder)]
    given = ["--data", str(options.osie), "--output", str(folder), "--set", f"training.epochs={options.epochs}"]
    given += ["--limit", str(options.limit)] if options.limit else []
    weights = ["--weights", str(options.weights)] if options.weights else []
    return [*gazetune, "run", "osie", *given, *weights]


def recorded(folder: Path) -> dict[str, list[float]]:
    """Seconds of the stages of a run by kind (`train` for `train/tuned-s42`), in the order in which they were done."""
    found: dict[str, list[float]] = defaultdict(list)
    for name, stage in json.loads((folder / "provenance.json").read_text())["stages"].items():
        found[name.split("/")[0]].append(stage["seconds"])
    return dict(found)


def steps(folder: Path) -> list[float]:
    """Seconds of every training step."""
    log = folder / "log.jsonl"
    lines = [json.loads(line) for line in log.read_text().splitlines()] if log.is_file() else []
    return [line["seconds"] for line in lines if line["split"] == "train"]


def share(item: str, part: float, whole: float) -> Row:
    """The row of a part of the whole."""
    return Row(item, "the whole run", part, whole, "s", part / whole, part / whole, part / whole, 1)


def rows_of(folder: Path, whole: float | None) -> list[Row]:
    """A row for each kind of stage, the steps within training, and what belongs to no stage (imports, reading)."""
    name = yaml.safe_load((folder / "config.yaml").read_text())["name"]
    stages, each = recorded(folder), steps(folder)
    done = sum(map(sum, stages.values()))
    whole = done if whole is None else whole
    rows = []
    for kind, taken in stages.items():
        times = f", {len(taken)} times" if len(taken) > 1 else ""
        rows.append(share(f"{name}: {kind}{times}", sum(taken), whole))
        if kind == "train" and each:
            rows.append(share(f"{name}: the {len(each):,} training steps of these", sum(each), whole))
    if whole > done:
        rows.append(share(f"{name}: outside the stages (start, reading)", whole - done, whole))
    if each:
        rows.append(measured(f"{name}: a training step", "alone", each, "s"))
    return rows


def report(rows: list[Row]) -> None:
    """Print seconds and shares."""
    for row in rows:
        part = f"{row.value:6.1%}" if row.theirs == row.theirs else f"{row.low:.3f} to {row.high:.3f} s"
        print(f"{row.item:60} {row.ours:9.3f} s  {part}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--osie", type=Path)
    parser.add_argument(
        "--weights", type=Path, help="of the model that OSIE is run with; else the experiment's, by name"
    )
    parser.add_argument("--epochs", type=int, default=1, help="of each training on OSIE")
    parser.add_argument("--limit", type=int, help="for a short look: at most this many photos of each split of OSIE")
    parser.add_argument("--run", type=Path, help="a finished run, which is read and not changed")
    rows_option(parser)
    options = parser.parse_args()
    if options.run:
        found = rows_of(options.run, None)
    else:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place) / "run"
            line = command(options, folder)
            whole = seconds(lambda: subprocess.run(line, check=True, stdout=subprocess.DEVNULL))
            found = rows_of(folder, whole)
    report(found)
    kept(found, options.rows)
