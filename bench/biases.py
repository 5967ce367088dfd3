"""Masks and densities of COCO-like images for 4 maps each: ours against a plain loop that decodes each mask once.

    python bench/biases.py                                  (needs pycocotools)
    python bench/biases.py --annotations instances.json     real annotations, repeated, instead of generated outlines

Images of 640 x 480 with about 7.2 outlined objects each, maps of 224 x 224 that lie ready in memory. Ours and the
loop take turns in one process on 250 images; then ours alone goes through all of them, with the entropy of every map
and without.
"""

import argparse
import json
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from cost import peak_bytes
from rows import kept, measured, paired, rows_option

from gazetune.biases.measure import Measured, measure
from gazetune.data.outlines import outlined, outlined_crop
from gazetune.data.stimuli import Fixations, ObjectMask, Stimuli
from gazetune.maps import upsampled

WIDTH, HEIGHT, SIZE, ROUND = 640, 480, 224, 250
Outlines = list[np.ndarray]


def generated(images: int, seed: int = 0) -> list[list[Outlines]]:
    """Star-shaped outlines: number, area, shape and corners about as in COCO."""
    rng, found = np.random.default_rng(seed), []
    for _ in range(images):
        scene = []
        for _ in range(max(1, rng.poisson(7.2))):
            n, area = rng.integers(8, 60), np.exp(rng.normal(7.6, 1.9)).clip(60, 150_000)
            angle = np.sort(rng.uniform(0, 2 * np.pi, n))
            radius = np.sqrt(area / np.pi) * rng.uniform(0.7, 1.3, n)
            stretch = np.exp(rng.normal(0, 0.4))
            ray = np.stack([np.cos(angle) * stretch, np.sin(angle) / stretch], 1)
            corners = rng.uniform(0, (WIDTH, HEIGHT)) + radius[:, None] * ray
            scene.append([np.round(corners.clip(0, (WIDTH, HEIGHT)), 2)])
        found.append(scene)
    return found


def real(path: Path, images: int) -> list[list[Outlines]]:
    """The outlines of an annotation file in COCO's form, crowds left out, repeated until there are enough images."""
    scenes: dict[int, list[Outlines]] = {}
    for one in json.loads(path.read_text())["annotations"]:
        if not one["iscrowd"]:
            outlines = [np.asarray(p, dtype=float).reshape(-1, 2) for p in one["segmentation"]]
            scenes.setdefault(one["image_id"], []).append(outlines)
    known = list(scenes.values())
    return [known[i % len(known)] for i in range(images)]


def stimuli(scenes: list[list[Outlines]]) -> Stimuli:
    """A data set of these objects without fixations; areas are those of the masks."""
    areas = {id(o): float(outlined(o, HEIGHT, WIDTH).sum()) for scene in scenes for o in scene}

    def find(image: str) -> tuple[ObjectMask, ...]:
        return tuple(
            ObjectMask(
                id=f"{image}/{k}",
                category=str(k % 5),
                area_px2=areas[id(o)],
                animate=k % 3 == 0,
                decode=partial(outlined, o, HEIGHT, WIDTH),
                crop=partial(outlined_crop, o, HEIGHT, WIDTH),
            )
            for k, o in enumerate(scenes[int(image)])
        )

    n, none = len(scenes), np.zeros(0)
    return Stimuli(
        "bench", tuple(map(str, range(n))), np.full(n, WIDTH), np.full(n, HEIGHT),
        Fixations(none, none, none.astype(int)), np.zeros(n + 1, int), (None,) * n, find_objects=find,
    )  # fmt: skip


def plain(data: Stimuli, maps: list[torch.Tensor]) -> tuple[np.ndarray, np.ndarray]:
    """Visible cells and share of each map of every object: canvas at full size, nearest neighbour, sums."""
    cells, shares = [], []
    for i, scene in enumerate(data):
        canvas = np.full((scene.height, scene.width), -1, dtype=np.int32)
        for k in sorted(range(len(scene.objects)), key=lambda k: -scene.objects[k].area_px2):
            canvas[scene.objects[k].decode()] = k
        rows, columns = (np.floor((np.arange(SIZE) + 0.5) * n / SIZE).astype(int) for n in canvas.shape)
        small = canvas[rows][:, columns]
        normal = [m[i % len(m)].numpy() / m[i % len(m)].numpy().sum() for m in maps]
        for k in range(len(scene.objects)):
            shown = small == k
            cells.append(shown.sum())
            shares.append([float(m[shown].sum()) for m in normal])
    return np.array(cells), np.array(shares)


def ours(data: Stimuli, maps: list[torch.Tensor], entropy: bool = False) -> Measured:
    """The same by the package."""
    rows = {str(k): partial(lambda m, index: m[torch.from_numpy(index) % len(m)], m) for k, m in enumerate(maps)}
    return measure(data, rows, SIZE, entropy)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--annotations", type=Path)
    parser.add_argument("--images", type=int, default=5000)
    parser.add_argument("--maps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=5)
    rows_option(parser)
    options = parser.parse_args()
    seeded = torch.Generator().manual_seed(0)
    maps = [upsampled(torch.rand(ROUND, 14, 14, generator=seeded), SIZE) for _ in range(options.maps)]
    every = real(options.annotations, options.images) if options.annotations else generated(options.images)
    part = stimuli(every[:ROUND])
    ours(part, maps)
    times, difference = [], 0.0
    for _ in range(options.rounds):
        start = time.perf_counter()
        fast = ours(part, maps)
        middle = time.perf_counter()
        cells, shares = plain(part, maps)
        end = time.perf_counter()
        times.append((middle - start, end - middle))
        assert (fast.objects["cells"].to_numpy() == cells).all()
        difference = max(difference, float(np.abs(fast.on_object - shares).max()))
        ratio = times[-1][1] / times[-1][0]
        print(f"{ROUND} images: ours {middle - start:.2f} s, plain {end - middle:.2f} s, ratio {ratio:.1f}")
    quick, slow = np.array(times).T
    ratios = slow / quick
    print(f"ratio {np.median(ratios):.1f} ({min(ratios):.1f} to {max(ratios):.1f}), threads {torch.get_num_threads()}")
    print(f"largest difference of an object's share of a map: {difference:.1e}; its cells: the same")
    data, number = stimuli(every), len(every)
    item, against = f"object shares of {len(maps)} maps, an image", "loop that decodes each mask once"
    scaled = 1e3 / ROUND
    rows = [
        paired(item, against, scaled * quick, scaled * slow, at_least=2),
        measured(f"{item}: largest difference", against, [difference], "", at_most=1e-6),
    ]
    for entropy in (False, True):
        start, busy = time.perf_counter(), time.process_time()
        found = ours(data, maps, entropy)
        took, busy = time.perf_counter() - start, time.process_time() - busy
        item = f"object shares of {len(maps)} maps, {number:,} images{' and entropy' * entropy}"
        bound = 12 * number / 5000 if len(maps) == 4 and not entropy else None  # the bound is for 5,000
        rows.append(measured(item, "alone", [took], "s", at_most=bound))
        print(f"{len(data)} images, {len(found.objects)} objects, {len(maps)} maps each{', entropy too' * entropy}: "
              f"{took:.1f} s, {busy:.1f} s of processor time")  # fmt: skip
    print(f"peak memory {peak_bytes() / 2**30:.2f} GiB")
    kept(rows, options.rows)
