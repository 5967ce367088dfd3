"""Our metrics beside pysaliency 0.2.22, live, each with the arguments that follow its convention.

    python bench/agreement.py [--osie FOLDER]       (in the environment of bench/metrics.py)

50 images of OSIE where it is given, else 50 generated ones. Prints the largest difference of each metric over the
images, ours and theirs computed in this process; exit code 1 if one is above 1e-6.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "scripts")]

from make_saliency_fixture import scores  # noqa: E402
from rows import kept, measured, rows_option  # noqa: E402

from gazetune.data.synthetic import World, load_synthetic  # noqa: E402
from gazetune.maps import counts, densities, grid_points, upsampled  # noqa: E402
from reference_maps import CONVENTIONS, needed, reference_maps  # noqa: E402

MOST = 1e-6


def generated() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Smooth random attention maps, and density maps and fixation counts of the generated world."""
    points = grid_points(load_synthetic(World(images=50)))
    attention = upsampled(torch.rand(50, 14, 14, generator=torch.Generator().manual_seed(0)).double())
    return attention.numpy(), densities(points).double().numpy(), counts(points).long().numpy()


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--osie", type=Path)
    rows_option(parser)
    arguments = parser.parse_args()
    maps = reference_maps(arguments.osie) if arguments.osie else generated()
    theirs, given = scores(*maps), needed(*maps)
    far, rows = 0.0, []
    photos = "OSIE photos" if arguments.osie else "generated images"
    for name, (function, needs) in CONVENTIONS.items():
        ours = function(*(given[need] for need in needs)).double().numpy()
        difference = float(np.abs(ours - theirs[name].to_numpy()).max())
        far = max(far, difference)
        print(f"{name:10} largest difference over {len(ours)} images: {difference:.1e}")
        item = f"{name}, largest difference over {len(ours)} {photos}"
        rows.append(measured(item, "pysaliency 0.2.22", [difference], "", at_most=MOST))
    kept(rows, arguments.rows)
    sys.exit(far > MOST)
