"""Time and memory of reading a table of many fixations: columns, not an object a point.

    python bench/large_csv.py --fixations 10000000

Writes a generated CSV (image, observer, x, y, image_width, image_height) to a temporary folder, reads it with
`load_table` in a process of its own, and prints seconds and the peak memory in bytes a row (start-up taken off); then
in turn with pandas.read_csv, which reads the columns and checks nothing.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
from cost import in_turn
from rows import kept as keep
from rows import paired, rows_option

from gazetune import load_table

IMAGES, CHUNK = 10_000, 2_000_000
READ = """
import json, sys, time
sys.path.append(sys.argv[2])
from cost import peak_bytes
from gazetune import load_table

start = peak_bytes()
before = time.monotonic()
study = load_table(sys.argv[1])
peak = peak_bytes()
kept = sum(column.nbytes for column in study.fixations.columns().values())
print(json.dumps({"seconds": time.monotonic() - before, "peak": peak - start, "kept": kept}))
"""


def write(path: Path, rows: int) -> None:
    """A CSV of uniformly drawn fixations on 640 x 480 images."""
    rng = np.random.default_rng(0)
    for start in range(0, rows, CHUNK):
        n = min(CHUNK, rows - start)
        image = np.char.add("COCO_", rng.integers(0, IMAGES, n).astype(str))
        table = pd.DataFrame({"image": image, "observer": rng.integers(0, 60, n), "x": rng.integers(0, 640, n)})
        table = table.assign(y=rng.integers(0, 480, n), image_width=640, image_height=480)
        table.to_csv(path, mode="a", header=start == 0, index=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fixations", type=int, default=10_000_000)
    rows_option(parser)
    options = parser.parse_args()
    rows = options.fixations
    with tempfile.TemporaryDirectory() as folder:
        csv = Path(folder) / "fixations.csv"
        write(csv, rows)
        size = csv.stat().st_size
        command = [sys.executable, "-c", READ, str(csv), str(Path(__file__).parent)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        read = in_turn(3, lambda: load_table(csv), lambda: pd.read_csv(csv))
    print(f"{rows:,} rows, {size / 1e9:.2f} GB: read in {found['seconds']:.0f} s")
    peak, kept = found["peak"], found["kept"]
    print(f"peak {peak / 1e9:.2f} GB, {peak / rows:.0f} bytes a row; kept {kept / rows:.0f} bytes a row")
    print(f"in turn with pandas.read_csv, s: {np.median(read[0]):.1f}, pandas {np.median(read[1]):.1f}")
    item = f"CSV of {rows:,} fixations"
    each = [peak / rows], [kept / rows]
    memory = paired(f"{item}, peak memory a row", "what is kept of it", *each, unit="bytes", slower=True)
    keep([paired(item, "pandas.read_csv of the same file", *read, unit="s"), memory], options.rows)
