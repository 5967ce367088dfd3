"""The numbers of tests/fixtures/pysaliency.csv: what pysaliency 0.2.22 says about 50 real OSIE images.

    pip install -c constraints.txt -e . pysaliency==0.2.22     (an environment of its own; never gazetune's)
    python scripts/make_saliency_fixture.py PATH/TO/osie tests/fixtures/pysaliency.csv

Only numbers are stored. tests/test_pysaliency.py compares our metrics with them.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd

# pysaliency 0.2.22 calls it by the name that numpy 2 took away
setattr(np, "trapz", np.trapezoid)  # noqa: B010
sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import pysaliency  # noqa: E402
from pysaliency.metrics import CC, SIM, MIT_KLDiv  # noqa: E402

from reference_maps import reference_maps  # noqa: E402


class Given(pysaliency.SaliencyMapModel):
    """Ready-made maps; the first pixel of a stimulus holds the position of its map."""

    def __init__(self, maps: np.ndarray) -> None:
        super().__init__(caching=False)
        self.maps = maps

    def _saliency_map(self, stimulus: np.ndarray) -> np.ndarray:
        return self.maps[stimulus[0, 0]]


def as_pysaliency(counts: np.ndarray) -> tuple[pysaliency.Stimuli, pysaliency.Fixations]:
    """Numbered empty stimuli on the map grid, and each fixation as often as it was counted."""
    image, row, column = np.nonzero(counts)
    image, row, column = (np.repeat(c, counts[np.nonzero(counts)]) for c in (image, row, column))
    stimuli = []
    for i in range(len(counts)):
        stimuli.append(np.zeros(counts.shape[1:], dtype=np.int64))
        stimuli[-1][0, 0] = i
    return pysaliency.Stimuli(stimuli), pysaliency.Fixations.create_without_history(column, row, image)


def scores(attention: np.ndarray, density: np.ndarray, counts: np.ndarray) -> pd.DataFrame:
    """One row an image, one column a metric, named as in pysaliency."""
    stimuli, fixations = as_pysaliency(counts)
    model = Given(attention)
    columns = {
        "CC": [CC(a, d) for a, d in zip(attention, density, strict=True)],
        "SIM": [SIM(a, d) for a, d in zip(attention, density, strict=True)],
        "MIT_KLDiv": [MIT_KLDiv(a, d) for a, d in zip(attention, density, strict=True)],
        "NSS": pd.Series(model.NSSs(stimuli, fixations)).groupby(fixations.n).mean().to_numpy(),
        "AUC": model.AUC_per_image(stimuli, fixations, nonfixations="uniform"),
        # AUC_Judd without its noise against ties (of which these maps have none), image by image
        "AUC_Judd": model.AUC_per_image(stimuli, fixations, nonfixations="unfixated", thresholds="fixations"),
        "sAUC": model.AUC_per_image(stimuli, fixations, nonfixations="shuffled"),
    }
    whole = model.AUC_Judd(stimuli, fixations, jitter=False)
    assert np.isclose(whole, np.mean(columns["AUC_Judd"]), atol=1e-12)
    return pd.DataFrame(columns)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("osie", type=Path)
    parser.add_argument("output", type=Path)
    arguments = parser.parse_args()
    scores(*reference_maps(arguments.osie)).to_csv(arguments.output, index_label="image", float_format="%.9f")
