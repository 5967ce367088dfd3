"""Agreement with pysaliency 0.2.22 on 50 real OSIE images; its numbers come from scripts/make_saliency_fixture.py."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gazetune.metrics.saliency import auc_judd, kl
from reference_maps import CONVENTIONS, needed, reference_maps


@pytest.fixture(scope="module")
def maps(osie_folder):
    return needed(*reference_maps(osie_folder))


@pytest.fixture(scope="module")
def stored():
    return pd.read_csv(Path(__file__).parent / "fixtures" / "pysaliency.csv")


@pytest.mark.parametrize("name", CONVENTIONS)
def test_agrees_with_pysaliency(name, maps, stored):
    function, needs = CONVENTIONS[name]
    ours = function(*(maps[need] for need in needs)).numpy()
    assert len(stored) == 50
    assert np.abs(ours - stored[name]).max() < 1e-6


def test_our_defaults_lie_as_far_from_them_as_documented(maps, stored):
    exact = auc_judd(maps["attention"], maps["fixations"]).numpy()
    assert 0.0005 < (stored["AUC_Judd"] - exact).mean() < 0.005
    assert np.abs(kl(maps["attention"], maps["density"]).numpy() - stored["MIT_KLDiv"]).max() < 1e-3
