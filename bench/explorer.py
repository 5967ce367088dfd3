"""How fast explorer.html is built and used with many images: a generated world, made-up maps and scores.

    python bench/explorer.py [--images 5000] [--keep FOLDER]

Scenes, fixations and objects are the generated world's, the photos decoded for a model of 224 pixels; the maps and
scores of three models are random numbers. Needs Chromium and playwright (extra `test`). Prints a Markdown table.
"""

import argparse
import os
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from cost import seconds
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright
from rows import Row, kept, measured, rows_option

from gazetune.data.decoded import decode
from gazetune.data.silhouettes import ANIMATE, CLASSES
from gazetune.data.stimuli import Stimuli
from gazetune.data.synthetic import World, load_synthetic, scene
from gazetune.maps import Human
from gazetune.metrics import METRICS
from gazetune.prepared import decoded_name, prepare_points, unreadable_name
from gazetune.report.explorer import write_explorer
from gazetune.run import SUMMARY, Run
from gazetune.tables.biases import objects_name
from gazetune.tables.gain import gain_tables
from gazetune.tables.rows import HUMAN, keyed, maps_folder

MODELS = {"baseline": None, "tuned": 42, "control": 42}
ROLES = {"baseline": "reference", "tuned-s42": "tuned", "control-s42": "control"}
LABELS = {"baseline": "baseline", "tuned-s42": "tuned", "control-s42": "control"}
NAME, GRID, SIZE, REPEATS, FRAMES = "synthetic", 14, (224, 224), 5, 240

RESORT = """async ([id, value]) => {
  const painted = () => new Promise((go) => requestAnimationFrame(() => setTimeout(go)));
  await painted();
  const select = document.getElementById(id), start = performance.now();
  select.value = value;
  select.dispatchEvent(new Event("change"));
  await painted();
  return performance.now() - start;
}"""
SCROLL = """async (step) => {
  const list = document.getElementById("list"), frames = [];
  const frame = () => new Promise((go) => requestAnimationFrame(go));
  let last = await frame();
  for (let i = 0; i < FRAMES; i++) {
    list.scrollTop += step;
    const now = await frame();
    frames.push(now - last);
    last = now;
  }
  return frames;
}""".replace("FRAMES", str(FRAMES))


def write_run(run: Run, world: World, stimuli: Stimuli) -> dict[str, list[str]]:
    """What the explorer reads, as a run would have left it; returns the scored data sets and their files."""
    rng, n = np.random.default_rng(0), len(stimuli)
    prepare_points(run, NAME, stimuli, ("test",) * n, Human(), 224)
    for key in ROLES:
        grids = torch.from_numpy(rng.random((n, GRID, GRID), dtype=np.float32))
        run.write_tensors(f"{maps_folder(NAME, key)}/00000.safetensors", {"grid": grids}, classes=list(CLASSES))
    images = pd.DataFrame({"dataset": NAME, "image": stimuli.ids})
    scores = pd.concat(
        [
            images.assign(model=model, seed=seed, attention="rollout", reason=None, **_random(rng, n, METRICS))
            for model, seed in {HUMAN: None, **MODELS}.items()
        ]
    ).astype({"seed": "Int64"})
    run.write_table(f"scores/{NAME}", scores)
    agree = images.assign(n_observers=15, consistency=rng.random(n))
    run.write_table(f"scores/{NAME}-consistency", agree)
    labels = np.asarray(stimuli.labels)
    said = [
        images.assign(model=model, seed=seed, label=labels, top1=(top := rng.integers(0, len(CLASSES), n)), head="own")
        .assign(correct=top == labels)
        .astype({"seed": "Int64"})
        for model, seed in MODELS.items()
    ]
    run.write_table(f"scores/{NAME}-predictions", pd.concat(said))
    things = [scene(world, i) for i in range(n)]
    objects = [
        [i, f"{i}/{k}", t.category, t.category in ANIMATE, t.area_px2]
        for i, ts in enumerate(things)
        for k, t in enumerate(ts)
    ]
    run.write_tensors(
        objects_name(NAME), {"start": torch.zeros(1)}, images=list(stimuli.ids), objects=objects, size=224
    )
    gained = gain_tables(keyed(scores), agree, {NAME: pd.DataFrame(columns=["image", "category"], dtype=str)}, ROLES)
    run.write_table("gains", gained["gains"])
    decode(stimuli, SIZE, run.file(decoded_name(NAME, SIZE)), False, np.ones(n, dtype=bool))
    run.write_json(unreadable_name(NAME, SIZE), {})
    run.write_json(SUMMARY, {"experiment": f"{n:,} generated images", "correlations": []})
    return {NAME: [f"scores/{NAME}-{part}.csv" for part in ("consistency", "predictions", "contrasts")]}


def _random(rng: np.random.Generator, n: int, names: Any) -> dict[str, Any]:
    return {name: rng.random(n) for name in names}


def opened(browser: Browser, path: Path) -> Page:
    """The page in a fresh profile, when everything has come."""
    page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
    page.goto(path.as_uri())
    page.wait_for_function("performance.getEntriesByName('fixations').length > 0", timeout=60_000)
    return page


def used(path: Path) -> tuple[dict[str, list[float]], dict[str, float]]:
    """Milliseconds in the browser: of REPEATS pages, and shares of all frames."""
    found: dict[str, list[float]] = {}
    frames: dict[str, list[float]] = {}
    with sync_playwright() as playwright:
        chromium = os.environ.get("CHROMIUM") or shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        for _ in range(REPEATS):
            page = opened(browser, path)
            for entry in ("first-contentful-paint", "listed", "maps", "fixations"):
                found.setdefault(entry, []).append(
                    page.evaluate(f"performance.getEntriesByName('{entry}')[0].startTime")
                )
            for what, change in (
                ("re-sort by CC", ("kind", "cc")),
                ("by name", ("kind", "name")),
                ("turn", ("order", "up")),
            ):
                found.setdefault(what, []).append(page.evaluate(RESORT, change))
            page.evaluate("document.getElementById('list').scrollTop = 0")
            session = page.context.new_cdp_session(page)
            session.send("Performance.enable", {"timeDomain": "threadTicks"})
            for what, step in (("scroll, 1 row a frame", 68), ("scroll, 14 rows a frame", 952)):
                busy = busy_ms(session)
                frames.setdefault(what, []).extend(page.evaluate(SCROLL, step))
                per_frame = (busy_ms(session) - busy) / FRAMES
                found.setdefault(f"{what}: processor time of the page's thread a frame", []).append(per_frame)
            page.context.close()
        browser.close()
    still: dict[str, float] = {}
    for what, values in frames.items():
        shares = {"median frame": 0.5, "99 % of frames within": 0.99, "longest frame": 1}
        still |= {f"{what}: {name}": float(np.quantile(values, share)) for name, share in shares.items()}
    return found, still


def rows_of(images: int, build: float, size: float, browser: dict[str, list[float]]) -> list[Row]:
    """What the issue bounds for 5,000 images, and the re-sort; building and size grow with the images."""
    name, share = f"explorer of {images:,} images", images / 5000
    return [
        measured(f"{name}: built", "alone", [build], "s", at_most=60 * share),
        measured(f"{name}: page and data, without photos", "alone", [size], "MB", at_most=25 * share),
        measured(f"{name}: first paint", "alone", browser["first-contentful-paint"], "ms", at_most=2000),
        measured(f"{name}: re-sort by CC", "alone", browser["re-sort by CC"], "ms"),
    ]


def busy_ms(session: CDPSession) -> float:
    """Processor time that the page's own thread has used; unlike time on the clock, it does not depend on others."""
    metrics = session.send("Performance.getMetrics")["metrics"]
    return float(next(m["value"] for m in metrics if m["name"] == "TaskDuration")) * 1000


def main() -> None:
    """Build, open, sort and scroll; print what it took."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--keep", type=Path, help="where the run is left to be looked at")
    rows_option(parser)
    asked = parser.parse_args()
    folder = asked.keep or Path(tempfile.mkdtemp())
    run, world = Run(folder), World(images=asked.images)
    stimuli = load_synthetic(world)
    scored = write_run(run, world, stimuli)
    written: list[str] = []
    busy = time.process_time()
    build = seconds(lambda: written.extend(write_explorer(run, scored, ROLES, LABELS, METRICS, [SIZE])))
    busy = time.process_time() - busy
    pictures = [name for name in written if name.endswith(".jpg")]
    again = seconds(lambda: write_explorer(run, scored, ROLES, LABELS, METRICS, [SIZE], pictures))
    rows = [
        ("built", f"{build:.1f} s ({busy:.1f} s of processor time)"),
        ("of that without the small photos", f"{again:.1f} s"),
    ]
    files = [run.file("explorer.html"), *sorted(run.file("explorer").glob("*.js"))]
    sizes = {path.name: path.stat().st_size / 1e6 for path in files}
    rows += [(name, f"{size:.2f} MB") for name, size in sizes.items()]
    rows.append(("page and data without photos", f"{sum(sizes.values()):.1f} MB"))
    rows.append(("small photos", f"{sum(run.file(p).stat().st_size for p in pictures) / 1e6:.1f} MB"))
    browser, still = used(run.file("explorer.html").resolve())
    medians = {what: statistics.median(values) for what, values in browser.items()} | still
    rows += [(what, f"{ms:.1f} ms" if ms < 10 else f"{ms:.0f} ms") for what, ms in medians.items()]
    print(f"| {asked.images:,} images, 3 models | |\n|---|---|")
    for what, value in rows:
        print(f"| {what} | {value} |")
    kept(rows_of(asked.images, build, sum(sizes.values()), browser), asked.rows)
    if asked.keep is None:
        shutil.rmtree(folder)


if __name__ == "__main__":
    main()
