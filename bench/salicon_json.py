"""Time and memory of reading a SALICON JSON of full size, and of the second time, out of the columns kept beside it.

    python bench/salicon_json.py --points 74000000

Writes a generated file like `fixations_train2014.json` (10,000 images, 60 workers each, about 1 GB) to a temporary
folder and reads it twice with `load_salicon`, each time in a process of its own. Peaks are those of the whole process,
libraries included.
"""

import argparse
import json
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from rows import Row, kept, measured, paired, rows_option

WORKERS, RECORDS_PER_IMAGE = 2000, 60
FULL = 74_000_000  # points of the training images
LOAD = """
import json, sys, time
sys.path.append(sys.argv[2])
from cost import peak_bytes
from gazetune.data.salicon import Salicon, load_salicon

start = peak_bytes()
before, processor = time.monotonic(), time.process_time()
stimuli = load_salicon(sys.argv[1], Salicon(edition=2015, gaze="samples"))
seconds, peak = time.monotonic() - before, peak_bytes()
processor = time.process_time() - processor
x, y = (column.sum(dtype="int64") for column in (stimuli.fixations.x, stimuli.fixations.y))
found = {"seconds": seconds, "processor": processor, "peak": peak, "start": start}
print(json.dumps(found | {"points": len(stimuli.fixations), "sum": int(7 * x + y)}))
"""


def write(path: Path, points: int) -> int:
    """A JSON of mouse paths in SALICON's form; returns how many points it has."""
    rng = np.random.default_rng(0)
    per_record = 123  # the mean of the ten example images is 121
    images = -(-points // (per_record * RECORDS_PER_IMAGE))
    listed = [
        {"id": i, "file_name": f"COCO_train2014_{i:012d}.jpg", "width": 640, "height": 480, "license": 1}
        for i in range(images)
    ]
    written = record = 0
    with path.open("w") as out:
        out.write(json.dumps({"info": {"version": "1.0"}, "images": listed, "type": "fixations"})[:-1])
        out.write(', "annotations": [')
        while written < points:
            n = min(int(rng.integers(17, 2 * per_record - 17)), points - written)
            rows = np.clip(rng.normal(227, 90) + np.cumsum(rng.integers(-3, 4, n)), 1, 480).astype(int)
            columns = np.clip(rng.normal(313, 120) + np.cumsum(rng.integers(-3, 4, n)), 1, 640).astype(int)
            fixations = np.stack([rows, columns], axis=1).tolist()
            entry = {"image_id": record % images, "fixations": fixations, "worker_id": record % WORKERS, "id": record}
            out.write((", " if record else "") + json.dumps(entry))
            written, record = written + n, record + 1
        out.write("]}")
    return written


def loaded(folder: Path) -> dict[str, float]:
    """What the loading process says of itself."""
    command = [sys.executable, "-c", LOAD, str(folder), str(Path(__file__).parent)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)


def rows_of(points: int, first: dict[str, float], second: dict[str, float]) -> list[Row]:
    """Both times in turn, and (issue) the peak of the first and the seconds of the second for all training points.

    With fewer points, what grows with them (memory beyond the start, seconds) is multiplied accordingly, and so named.
    """
    times, name = FULL / points, f"SALICON JSON of {points:,} points"
    scaled = "" if points == FULL else f", times {times:g}"
    peak = (first["start"] + times * (first["peak"] - first["start"])) / 1e9
    again = times * second["seconds"]
    return [
        paired(f"{name}, read again", "read for the first time", [second["seconds"]], [first["seconds"]], unit="s"),
        measured(f"{name}{scaled}: peak memory", "alone", [peak], "GB", at_most=2),
        measured(f"{name}{scaled}: read again", "alone", [again], "s", at_most=2),
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--points", type=int, default=FULL)
    rows_option(parser)
    options = parser.parse_args()
    points = options.points
    if shutil.disk_usage(tempfile.gettempdir()).free < 25 * points:
        sys.exit(f"needs {25 * points / 1e9:.1f} GB free in {tempfile.gettempdir()} (set TMPDIR)")
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "fixations_train2014.json"
        written = write(source, points)
        size = source.stat().st_size
        print(f"{written:,} points, {size / 1e9:.2f} GB")
        first, second = loaded(Path(folder)), loaded(Path(folder))
    assert first["points"] == second["points"] == written and first["sum"] == second["sum"]
    for name, found in (("first", first), ("second", second)):
        peak, start = found["peak"] / 1e9, found["start"] / 1e9
        times = f"{found['seconds']:.1f} s ({found['processor']:.1f} s of processor time)"
        print(f"{name} load: {times}, peak {peak:.2f} GB ({start:.2f} GB before reading)")
    kept(rows_of(written, first, second), options.rows)
