"""The corruptions of ImageNet-C: ours against imagecorruptions 1.1.2, side by side, with the ratio of each.

    pip install -c constraints.txt -e ".[corruptions]"
    OMP_NUM_THREADS=1 python bench/corruptions.py --repeats 30

One generated 224 x 224 image (or --image PATH) at severity 5. Both run in this process, in turn, with the same seed,
on one core and one thread. The package does not run on current libraries: what they have renamed since is given back to
it here (and nowhere else), which leaves its arithmetic as it is; the table says whether the pixels were the same. The
times are processor time, so that waiting for other work on the machine does not count: medians, and the quartiles of
the ratio.
"""

import argparse
import contextlib
import importlib
import io
import os
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.ndimage
import skimage.filters
from rows import Row, kept, paired, rows_option

from gazetune.data.images import read_rgb
from gazetune.data.synthetic import World, load_synthetic
from gazetune.parity.corruptions import CORRUPTIONS, IMAGENET_C, corrupt
from gazetune.parity.corruptions.optional import opencv

SLOWEST = 0.2  # seconds: what takes the original longer is repeated a fifth as often
QUICKEST = 0.001  # and what takes it less, ten times as often


def original() -> types.ModuleType:
    """The package imagecorruptions under current numpy, scipy, scikit-image and setuptools."""
    gaussian = skimage.filters.gaussian

    def translated(image: np.ndarray, *given: Any, multichannel: bool = False, **named: Any) -> np.ndarray:
        return gaussian(image, *given, channel_axis=-1 if multichannel else None, **named)

    skimage.filters.gaussian = translated
    setattr(np, "float_", np.float64)  # noqa: B010
    interpolation: Any = types.ModuleType("scipy.ndimage.interpolation")
    interpolation.map_coordinates = scipy.ndimage.map_coordinates
    resources: Any = types.ModuleType("pkg_resources")
    resources.resource_filename = lambda module, name: str(Path(str(sys.modules[module].__file__)).parent / name)
    sys.modules.update({interpolation.__name__: interpolation, resources.__name__: resources})
    return importlib.import_module("imagecorruptions")


def seconds(function: Callable[[], np.ndarray]) -> tuple[float, np.ndarray]:
    """Processor time of one call, and what it gave."""
    before = time.process_time()
    result = function()
    return time.process_time() - before, result


def compared(
    theirs: types.ModuleType, pixels: np.ndarray, name: str, repeats: int
) -> tuple[np.ndarray, np.ndarray, str]:
    """Seconds of theirs and of ours for `repeats` seeds, and in words whether the pixels were the same."""

    def seeded(seed: int) -> np.ndarray:
        np.random.seed(seed)  # noqa: NPY002
        return theirs.corrupt(pixels, 5, name)

    corrupt(pixels, name, 5, 0)
    first, _ = seconds(lambda: seeded(0))
    times, apart = [], 0.0
    for seed in range(max(3, repeats // 5) if first > SLOWEST else 10 * repeats if first < QUICKEST else repeats):
        both = [(0, lambda: seeded(seed)), (1, lambda: corrupt(pixels, name, 5, seed))]  # noqa: B023
        done = {side: seconds(work) for side, work in both[:: (-1) ** seed]}  # now the one first, now the other
        (slow, expected), (fast, found) = done[0], done[1]
        times.append((slow, fast))
        apart = max(apart, float(np.mean(expected != found)))
    same = "not seeded" if name == "impulse_noise" else "same" if apart == 0 else f"{apart:.1e} differ"
    return *np.array(times).T, same


def rows_of(times: dict[str, tuple[np.ndarray, np.ndarray]]) -> list[Row]:
    """A row each (issue: none slower), and the sums of the 15 of ImageNet-C (at least 5 times as fast).

    Sums are over as many repetitions as the most seldom repeated has.
    """
    fewest, against = min(len(slow) for slow, _ in times.values()), "imagecorruptions 1.1.2"
    slow, fast = (sum(1e3 * times[name][side][:fewest] for name in IMAGENET_C) for side in (0, 1))
    rows = [paired("15 corruptions of an image, processor time", against, fast, slow, at_least=5)]
    return rows + [
        paired(f"corruption {name}", against, 1e3 * f, 1e3 * s, at_least=1) for name, (s, f) in times.items()
    ]


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--image", type=Path, help="instead of a generated scene; resized to 224 x 224")
    rows_option(parser)
    options = parser.parse_args()
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    opencv().setNumThreads(1)
    world = load_synthetic(World(images=1, width=224, height=224))
    picture = read_rgb(options.image, (224, 224)) if options.image else world.pixels(0)
    package, total = original(), np.zeros(2)
    times = {}
    print(f"{'':18} {'theirs, ms':>10} {'ours, ms':>9} {'ratio':>7}   quartiles       pixels")
    for name in CORRUPTIONS:
        with contextlib.redirect_stdout(io.StringIO()):
            slow, fast, same = compared(package, picture, name, options.repeats)
        times[name] = slow, fast
        medians = 1e3 * np.median(slow), 1e3 * np.median(fast)
        low, high = np.quantile(slow / fast, [0.25, 0.75])
        extra = "" if name in IMAGENET_C else " (extra)"
        print(
            f"{name:18} {medians[0]:10.2f} {medians[1]:9.2f} {medians[0] / medians[1]:7.2f}"
            f"   {low:5.2f} to {high:5.2f}  {same}{extra}"
        )
        total += medians if name in IMAGENET_C else (0, 0)
    print(f"{'all 15':18} {total[0]:10.2f} {total[1]:9.2f} {total[0] / total[1]:7.2f}")
    kept(rows_of(times), options.rows)
