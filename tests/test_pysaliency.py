"""Agreement with pysaliency 0.2.22 on 50 real OSIE images; its numbers come from scripts/make_saliency_fixture.py."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from gazetune.metrics.saliency import auc_judd, cc, kl, nss, sauc, sim
from reference_maps import reference_maps

# pysaliency's name -> our function with the arguments that follow its convention, and what it takes
CONVENTIONS = {
    "CC": (cc, ("attention", "density")),
    "NSS": (partial(nss, ddof=0, duplicates=True), ("attention", "fixations")),
    "SIM": (sim, ("attention", "density")),
    "MIT_KLDiv": (partial(kl, mit=True), ("attention", "density")),
    "AUC": (partial(auc_judd, duplicates=True, negatives="all"), ("attention", "fixations")),
    "AUC_Judd": (partial(auc_judd, duplicates=True, negatives="rest", mit=True), ("attention", "fixations")),
    "sAUC": (partial(sauc, duplicates=True), ("attention", "fixations", "others")),
}


@pytest.fixture(scope="module")
def maps(osie_folder):
    attention, density, counts = map(torch.from_numpy, reference_maps(osie_folder))
    fixations = counts.double()
    others = fixations.sum(0) - fixations  # the negatives of an image are the fixations of all other images
    return {"attention": attention, "density": density, "fixations": fixations, "others": others}


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
