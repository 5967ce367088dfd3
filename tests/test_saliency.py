import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy, pearsonr
from sklearn.metrics import roc_auc_score

from gazetune.maps import min_max
from gazetune.metrics.saliency import auc, auc_judd, cc, entropy_bits, kl, nss, sauc, sim


def scene(seed, n=3, size=12, ties=False):
    """Maps with the fixations of n images; with ties, maps of few levels."""
    rng = np.random.default_rng(seed)
    attention = rng.integers(0, 5, (n, size, size)) if ties else rng.random((n, size, size))
    fixations = rng.poisson(0.1, (n, size, size))
    fixations[:, 0, 0] += 1
    smooth = rng.random((n, size, size))
    return (
        min_max(torch.tensor(attention).double()),
        min_max(torch.tensor(smooth).double()),
        torch.tensor(fixations).double(),
    )


SEEDS = st.integers(0, 2**31)


def test_by_hand():
    attention = torch.tensor([[[0.0, 0.5], [0.5, 1.0]]])
    density = torch.tensor([[[0.0, 0.0], [0.0, 1.0]]])
    fixations = torch.tensor([[[0.0, 1.0], [0.0, 2.0]]])
    # deviations (-.5, 0, 0, .5) and (-.25, -.25, -.25, .75): .5 / sqrt(.5 * .75)
    assert cc(attention, density).item() == pytest.approx(0.5 / 0.375**0.5)
    # SD sqrt(.125); z = (0, sqrt 2, sqrt 2) at the fixations
    assert nss(attention, fixations).item() == pytest.approx((0 + 2 * 2**0.5) / 3)
    assert nss(attention, fixations, ddof=1).item() == pytest.approx((0 + 2 * 1.5**0.5) / 3)
    # positives .5 and 1, negatives 0 and .5: 1 + 1/2, 1 + 1 of 4 pairs
    assert auc_judd(attention, fixations).item() == pytest.approx(3.5 / 4)
    assert kl(attention, density).item() == pytest.approx(np.log(2), abs=1e-6)
    assert sim(attention, density).item() == pytest.approx(0.5)
    assert entropy_bits(attention).item() == pytest.approx(1.5)
    # negatives lie twice on the lowest pixel and once on the highest
    elsewhere = torch.tensor([[[2.0, 0.0], [0.0, 1.0]]])
    assert sauc(attention, fixations, elsewhere).item() == pytest.approx((2 / 3 + (2 + 0.5) / 3) / 2)


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_cc_and_nss_and_entropy_equal_independent_references(seed):
    attention, density, fixations = scene(seed)
    for i, (a, d, f) in enumerate(zip(attention.numpy(), density.numpy(), fixations.numpy().astype(int), strict=True)):
        assert cc(attention, density)[i].item() == pytest.approx(pearsonr(a.ravel(), d.ravel()).statistic, abs=1e-6)
        z = (a - a.mean()) / a.std()
        assert nss(attention, fixations)[i].item() == pytest.approx(np.repeat(z.ravel(), f.ravel()).mean(), abs=1e-6)
        assert entropy_bits(attention)[i].item() == pytest.approx(entropy(a.ravel(), base=2), abs=1e-5)
        assert kl(attention, density)[i].item() == pytest.approx(
            entropy(d.ravel() + 1e-10, a.ravel() + 1e-10), abs=1e-6
        )


@given(SEEDS, st.booleans())
@settings(max_examples=40, deadline=None)
def test_auc_equals_scikit_learn_with_weights_and_ties(seed, ties):
    attention, _, fixations = scene(seed, ties=ties)
    elsewhere = scene(seed + 1)[2].sum(0, keepdim=True)
    for i, (a, f) in enumerate(zip(attention.numpy(), fixations.numpy(), strict=True)):
        judd = roc_auc_score((f > 0).ravel(), a.ravel())
        assert auc_judd(attention, fixations)[i].item() == pytest.approx(judd, abs=1e-6)
        values = np.concatenate([a[f > 0], a.ravel()])
        truth = np.concatenate([np.ones((f > 0).sum()), np.zeros(a.size)])
        weight = np.concatenate([np.ones((f > 0).sum()), elsewhere[0].numpy().ravel()])
        shuffled = roc_auc_score(truth, values, sample_weight=weight)
        assert sauc(attention, fixations, elsewhere)[i].item() == pytest.approx(shuffled, abs=1e-6)


@given(SEEDS, st.floats(0.1, 10), st.floats(-2, 2))
@settings(max_examples=20, deadline=None)
def test_invariances(seed, scale, shift):
    attention, density, fixations = scene(seed)
    moved = attention * scale + shift
    assert torch.allclose(cc(moved, density), cc(attention, density), atol=1e-5)
    assert torch.allclose(nss(moved, fixations), nss(attention, fixations), atol=1e-4)
    assert torch.allclose(auc_judd(attention**3, fixations), auc_judd(attention, fixations), atol=1e-6)  # ranks only
    assert torch.allclose(sim(attention, density), sim(density, attention))
    assert torch.allclose(sim(moved, density), sim(attention, density), atol=1e-5)
    assert (kl(attention, density) > 0).all()
    assert torch.allclose(kl(density, density), torch.zeros(3).double(), atol=1e-9)
    mirrored = (m.flip(2) for m in (attention, density))
    assert torch.allclose(cc(*mirrored), cc(attention, density), atol=1e-6)


def test_shuffled_auc_of_what_all_images_share_is_chance():
    _, _, fixations = scene(0, n=40)
    everywhere = fixations.sum(0, keepdim=True)
    shared = min_max(everywhere).expand(40, -1, -1)
    assert auc(shared, everywhere, everywhere)[0].item() == pytest.approx(0.5)


def test_no_fixation_and_constant_maps_give_nan():
    attention, density, fixations = scene(0)
    constant = torch.full_like(attention, torch.nan)
    for value in (
        cc(constant, density), nss(constant, fixations), auc_judd(constant, fixations), kl(constant, density),
        sim(constant, density), entropy_bits(constant), sauc(constant, fixations, fixations[:1]),
        nss(attention, 0 * fixations), auc_judd(attention, 0 * fixations),
        sauc(attention, 0 * fixations, fixations[:1]),
        cc(attention, constant), kl(attention, constant), sim(attention, constant),
    ):  # fmt: skip
        assert value.isnan().all()
