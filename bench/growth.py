"""How time and memory grow with the number of images: ten times the images, ten times the time, the same memory.

    python bench/growth.py [--images 1000 10000 50000] [--training 1000 50000] [--rows FILE]

Generated worlds: 64 drawn scenes again and again, looked at anew each time; maps of 32 x 32; a ViT of three layers with
random weights, so that the model costs little beside what is measured. Each stage is done by the function that the
pipeline does it by, in a process of its own, with one thread.

Seconds are the processor's, user and system, of the stage without imports and models. Memory is the process's peak, of
what the system cannot take back (a file that is mapped can be read again), looked at every 5 ms. What a world of 64
images takes is start-up, and is taken off the seconds. Run it on a quiet machine: seconds of the processor grow by
half where others share its caches.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import torch
from growth_world import PHOTOS, SMALL, WEIGHTS, labelled_photos, small_vit, world
from rows import Row, kept, rows_option

from gazetune import pipeline
from gazetune.classify import classify
from gazetune.commands.stages import make_job
from gazetune.experiment import Experiment
from gazetune.job import Job
from gazetune.loading import load_labelled
from gazetune.parity.settings import Classification
from gazetune.run import Run

MAP_SIZE, STEPS = 32, 20
STAGES = ("score", "biases", "parity")
FEW = 5000  # from so many images on a world is measured once
LOOK_SECONDS = 0.005
LEAST, MOST, MOST_MEMORY = 9.0, 11.0, 1.1
Figures = dict[str, list[float]]  # stage -> seconds, bytes


def experiment(folder: Path, learns: bool = False) -> Experiment:
    """Two models of a ViT with random weights, on the generated data."""
    tiny = str(folder / WEIGHTS)
    return Experiment.model_validate(
        {
            "name": "growth",
            "data": {"kind": "synthetic", "split": {"rule": "given"}},
            "models": {"before": {"weights": tiny}, "after": {"weights": tiny, "train": learns}},
            "reference": "before",
            "map_size": MAP_SIZE,
            "human": {"sigma_px": 15 * MAP_SIZE / 224},
            "heads": False,
            "metrics": ["cc", "nss", "kl"],
            "training": {"max_steps": STEPS, "evaluate_every": STEPS, "precision": "fp32", "batch_size": 8},
        }
    )


def build(folder: Path, n: int) -> None:
    """What the stages start from: weights, photos, and the world made ready in a run, with the models' maps."""
    small_vit(folder)
    labelled_photos(folder, n)
    job = _job(folder)
    pipeline.begin(job)
    pipeline.prepare(job, world(n, ["train"] * SMALL))
    pipeline.attend(job, job.main)


def build_training(folder: Path, n: int) -> None:
    """A world whose n images are trained on, made ready in a run."""
    small_vit(folder)
    job = _job(folder, learns=True)
    pipeline.begin(job)
    half = SMALL // 2
    pipeline.prepare(job, world(half, ["train"] * n + ["validation"] * half))


def _job(folder: Path, learns: bool = False) -> Job:
    return make_job(experiment(folder, learns), Run(folder / "run"), "cpu", False)


def classify_photos(job: Job) -> None:
    """`gazetune parity`: read, classify and compare."""
    settings = Classification(kind="folder", path=str(job.run.path.parent / PHOTOS))
    classify(job, PHOTOS, load_labelled(PHOTOS, settings), settings)


def work_of(stage: str, job: Job) -> Callable[[], None]:
    """The stage as the pipeline does it."""
    return {
        "score": partial(pipeline.score, job, job.main),
        "biases": partial(pipeline.look_for_biases, job, job.main),
        "parity": partial(classify_photos, job),
        "training": partial(pipeline.train, job),
    }[stage]


def held(kind: str) -> int:
    """Bytes of this process's memory: `RssAnon` now, `VmHWM` with mapped files and at most since it began."""
    with Path("/proc/self/status").open() as lines:
        return next(int(line.split()[1]) for line in lines if line.startswith(f"{kind}:")) * 1024


def measured(stage: str, folder: Path) -> dict[str, float]:
    """Do a stage in this process; seconds of the processor, peak of its memory in bytes."""
    torch.set_num_threads(1)
    job = _job(folder, learns=stage == "training")
    work, most, done = work_of(stage, job), held("RssAnon"), threading.Event()

    def look() -> None:
        nonlocal most
        while not done.wait(LOOK_SECONDS):
            most = max(most, held("RssAnon"))

    looking = threading.Thread(target=look)
    looking.start()
    start = time.process_time()
    work()
    seconds = time.process_time() - start
    done.set()
    looking.join()
    return {"seconds": seconds, "anonymous": most, "peak": held("VmHWM")}


def alone(what: str, folder: Path, n: int = 0) -> dict[str, float]:
    """One step of this script in a process of its own, with one thread."""
    command = [sys.executable, str(Path(__file__).absolute()), "--do", what, "--in", str(folder), "--of", str(n)]
    done = subprocess.run(command, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"{what} of {n} images failed:\n{done.stderr[-3000:]}")
    return json.loads(done.stdout or "{}")


def sized(n: int, stages: Sequence[str], builder: str, repeats: int = 1) -> Figures:
    """Seconds and bytes of each stage on a world of n images: medians over the repeats; one where n is large."""
    found: dict[str, list[list[float]]] = {stage: [] for stage in stages}
    for _ in range(1 if n >= FEW else repeats):
        with tempfile.TemporaryDirectory() as place:
            alone(builder, Path(place), n)
            for stage in stages:
                told = alone(stage, Path(place), n)
                found[stage].append([told["seconds"], told["anonymous"]])
    return {stage: np.median(told, axis=0).tolist() for stage, told in found.items()}


def growth_rows(images: Sequence[int], found: Sequence[Figures], start: Figures) -> list[Row]:
    """Of each stage and two sizes one after the other: the time for ten times the images, and what memory grew by."""
    rows = []
    for stage in start:
        for (n, few), (more, many) in zip(*[list(zip(images, found, strict=True))[k:] for k in (0, 1)], strict=False):
            (seconds, bytes_), (longer, larger) = few[stage], many[stage]
            # the small world's own images are taken off too
            times = 10 * (n - SMALL) / (more - SMALL) * (longer - start[stage][0]) / (seconds - start[stage][0])
            text, of = f"{stage}, {more:,} images", f"{n:,} images"
            time_row = _row(f"{text}: time for ten times as many", of, longer, seconds, "s", times, MOST)
            # less than ten times the time is shown as missed, and no run fails for it
            rows.append(replace(time_row, at_least=LEAST, aim=times < LEAST))
            memory = larger / 2**20, bytes_ / 2**20
            kept_text = f"{text}: memory, {(larger - bytes_) / (more - n):,.0f} bytes an image"
            # tables, ids and fixations grow, some kilobytes an image: docs/PERFORMANCE.md
            rows.append(replace(_row(kept_text, of, *memory, "MB", larger / bytes_, MOST_MEMORY), aim=True))
    return rows


def _row(item: str, of: str, ours: float, theirs: float, unit: str, value: float, most: float) -> Row:
    return Row(item, of, ours, theirs, unit, value, value, value, 1, None, most)


def training_row(images: Sequence[int]) -> Row:
    """The memory of a few steps of training on many images against few."""
    few, many = (sized(n, ["training"], "build_training")["training"][1] for n in images)
    each = (many - few) / (images[1] - images[0])
    text = f"training, {images[1]:,} images: memory, {each:,.0f} bytes an image"
    memory = many / 2**20, few / 2**20
    return _row(text, f"{images[0]:,} images", *memory, "MB", many / few, MOST_MEMORY)


def measure_all(images: Sequence[int], training: Sequence[int], repeats: int) -> list[Row]:
    """All rows, on worlds that are made and thrown away one after the other."""
    start = sized(SMALL, STAGES, "build", repeats)
    rows = growth_rows(images, [sized(n, STAGES, "build", repeats) for n in images], start)
    return [*rows, *([training_row(training)] if training else [])]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 10_000, 50_000])
    parser.add_argument("--training", type=int, nargs="*", default=[1000, 50_000], help="two sizes; none: left out")
    parser.add_argument("--repeats", type=int, default=3, help="of worlds of fewer than 5,000 images")
    parser.add_argument("--do", help=argparse.SUPPRESS)
    parser.add_argument("--in", dest="folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--of", type=int, default=0, help=argparse.SUPPRESS)
    rows_option(parser)
    options = parser.parse_args()
    if options.do in ("build", "build_training"):
        {"build": build, "build_training": build_training}[options.do](options.folder, options.of)
    elif options.do:
        print(json.dumps(measured(options.do, options.folder)))
    elif min(options.images) <= SMALL or len(options.training) not in (0, 2):
        parser.error(f"needed sizes above {SMALL} images, and two sizes of a training or none")
    else:
        told = measure_all(options.images, options.training, options.repeats)
        for row in told:
            print(f"{row.item}: {row.value:.2f} ({row.ours:.1f} against {row.theirs:.1f} {row.unit} of {row.against})")
        kept(told, options.rows)
