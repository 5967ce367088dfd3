import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import entropy, pearsonr
from sklearn.metrics import roc_auc_score

from gazetune.maps import min_max
from gazetune.metrics.saliency import (
    auc,
    auc_judd,
    cc,
    entropy_bits,
    information_gain,
    kl,
    kl_reverse,
    nss,
    partial_cc,
    sauc,
    sim,
)


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


def plain_auc(attention, positives, negatives):
    """The AUC by a full sort in float64 and the weights along it: the reference for the fast one."""
    values, order = attention.flatten(1).double().sort(dim=1)
    plus, minus = (w.expand_as(attention).flatten(1).double().gather(1, order).numpy() for w in (positives, negatives))
    result = []
    for v, p, m in zip(values.numpy(), plus, minus, strict=True):
        _, rank = np.unique(v, return_inverse=True)
        level = np.bincount(rank, weights=m)
        below = np.concatenate([[0], level.cumsum()[:-1]])
        result.append((p * (below + level / 2)[rank]).sum() / (p.sum() * m.sum()))
    return np.array(result)


@given(SEEDS, st.booleans(), st.booleans())
@settings(max_examples=40, deadline=None)
def test_fast_auc_equals_the_plain_one(seed, ties, single):
    attention, _, fixations = scene(seed, n=5, ties=ties)
    attention = attention.float() if single else attention
    elsewhere = scene(seed + 1)[2].sum(0, keepdim=True)
    once = (fixations > 0).double()
    everywhere = torch.ones_like(fixations)
    assert (
        np.abs(auc(attention, fixations, elsewhere).numpy() - plain_auc(attention, fixations, elsewhere)).max() < 1e-6
    )
    for duplicates, positives in ((True, fixations), (False, once)):
        for negatives, others in (("rest", 1 - once), ("all", everywhere)):
            fast = auc_judd(attention, fixations, duplicates, negatives).numpy()
            assert np.abs(fast - plain_auc(attention, positives, others)).max() < 1e-6
        fast = sauc(attention, fixations, elsewhere, duplicates).numpy()
        assert np.abs(fast - plain_auc(attention, positives, elsewhere)).max() < 1e-6


@given(SEEDS, st.sampled_from([1e-3, 1.0, 1e3]), st.booleans())
@settings(max_examples=20, deadline=None)
def test_auc_is_exact_where_nearly_all_values_share_a_bin(seed, offset, single):
    attention, _, fixations = scene(seed, n=4)
    attention = attention.clone() - 0.5 + offset
    attention[:3, 5, 5] += 1e5 * offset  # one value far above all others; the fourth map has none
    attention = attention.float() if single else attention
    elsewhere, once = scene(seed + 1)[2].sum(0, keepdim=True), (fixations > 0).double()
    assert np.abs(auc_judd(attention, fixations).numpy() - plain_auc(attention, once, 1 - once)).max() < 1e-6
    assert np.abs(sauc(attention, fixations, elsewhere).numpy() - plain_auc(attention, once, elsewhere)).max() < 1e-6
    each = torch.cat([auc_judd(a[None], f[None], mit=True) for a, f in zip(attention, fixations, strict=True)])
    assert torch.equal(each, auc_judd(attention, fixations, mit=True))  # the neighbours in a batch do not matter


def test_unusable_maps_leave_the_others_of_their_batch_alone():
    attention, _, fixations = scene(0, n=6)
    alone = auc_judd(attention, fixations)
    attention[0, 3, 3], attention[1, 3, 3], attention[2] = torch.nan, torch.inf, 0.3
    fixations[3] = 0
    found = auc_judd(attention, fixations)
    assert found[:4].isnan().all() and torch.equal(found[4:], alone[4:])
    assert torch.equal(sauc(attention, fixations, fixations.sum(0, keepdim=True)).isnan(), found.isnan())


@pytest.mark.parametrize("metric", [kl, sim, cc])
def test_gradients_are_those_of_finite_differences(metric):
    attention, density, _ = (m[:, :5, :6] for m in scene(0, n=2))
    attention = attention.clone().requires_grad_()
    metric(attention, density).sum().backward()
    step = torch.zeros_like(attention)
    step[:, 2, 3] = 1e-3 if metric is not kl else 1e-6
    with torch.no_grad():
        slope = (metric(attention + step, density) - metric(attention - step, density)) / (2 * step[0, 2, 3])
    assert torch.allclose(slope.double(), attention.grad[:, 2, 3], rtol=1e-2, atol=1e-3)


def test_mits_trapezoid_by_hand():
    attention = torch.tensor([[[0.1, 0.2], [0.3, 0.4], [0.5, 0.6]]])
    fixations = torch.tensor([[[0.0, 1.0], [0.0, 0.0], [0.0, 3.0]]])
    # thresholds .6 and .2: (0, 0), (0, 1/2), (3/4, 1), (1, 1)
    assert auc_judd(attention, fixations, mit=True).item() == pytest.approx(0.75 * 0.75 + 0.25)
    # exact: .6 beats all four others, .2 one of them
    assert auc_judd(attention, fixations).item() == pytest.approx((4 + 1) / 8)
    # three of the four fixations lie on .6: (0, 0), (0, 3/4), (3/4, 1), (1, 1)
    assert auc_judd(attention, fixations, duplicates=True, mit=True).item() == pytest.approx(0.75 * 0.875 + 0.25)


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_mits_trapezoid_equals_a_loop_over_thresholds(seed):
    attention, _, fixations = scene(seed)
    for a, f, ours in zip(attention.numpy(), fixations.numpy(), auc_judd(attention, fixations, mit=True), strict=True):
        fixated = np.sort(a[f > 0])[::-1]
        hits = np.array([(a[f > 0] >= t).mean() for t in fixated])
        alarms = np.array([(a[f == 0] >= t).mean() for t in fixated])
        area = np.trapezoid([0, *hits, 1], [0, *alarms, 1])
        assert ours.item() == pytest.approx(area, abs=1e-6)
        assert 0 <= area - roc_auc_score((f > 0).ravel(), a.ravel()) <= 0.5 / len(fixated) + 1e-9


def test_new_metrics_by_hand():
    attention = torch.tensor([[[0.0, 0.5], [0.5, 1.0]]])
    density = torch.tensor([[[0.0, 0.0], [0.0, 1.0]]])
    fixations = torch.tensor([[[0.0, 1.0], [0.0, 3.0]]])
    prior = torch.full((1, 2, 2), 0.25)
    # q = (0, 1/4, 1/4, 1/2): nothing is gained at 1/4, one bit at 1/2
    assert information_gain(attention, fixations, prior, uniform=0.0).item() == pytest.approx(3 / 4)
    assert information_gain(attention, fixations, prior, uniform=0.0, duplicates=False).item() == pytest.approx(1 / 2)
    assert information_gain(attention, fixations, prior, mit=True).item() == pytest.approx(3 / 4)
    # half of the uniform distribution mixed in: 1/4 stays, 1/2 becomes 3/8
    assert information_gain(attention, fixations, prior, uniform=0.5).item() == pytest.approx(3 / 4 * np.log2(1.5))
    # model || human: 1/2 of the model lies where the human map is 1, the rest where it is epsilon
    expected = 0.5 * np.log(0.5) + 2 * 0.25 * np.log(0.25 / 1e-10)
    assert kl_reverse(attention, density).item() == pytest.approx(expected, rel=1e-5)
    assert kl(attention, density, mit=True).item() == pytest.approx(np.log(2), abs=1e-6)
    assert nss(attention, fixations, duplicates=False).item() == pytest.approx(2**0.5 / 2)
    # r_ad = .8165, r_ap = .7071, r_dp = .5774 with a prior that knows the row only
    rows = torch.tensor([[[0.0, 0.0], [0.5, 0.5]]])
    by_hand = (0.8164966 - 0.7071068 * 0.5773503) / ((1 - 0.5) * (1 - 1 / 3)) ** 0.5
    assert partial_cc(attention, density, rows).item() == pytest.approx(by_hand, abs=1e-6)


@given(SEEDS)
@settings(max_examples=25, deadline=None)
def test_new_metrics_equal_independent_references(seed):
    attention, density, fixations = scene(seed)
    prior = scene(seed + 1)[1][:1] + 0.1
    b = prior[0].numpy() / prior[0].numpy().sum()
    for i, (a, d, f) in enumerate(zip(attention.numpy(), density.numpy(), fixations.numpy().astype(int), strict=True)):
        mixed = 0.999 * a / a.sum() + 0.001 / a.size, 0.999 * b + 0.001 / a.size
        bits = np.repeat(np.log2(mixed[0] / mixed[1]).ravel(), f.ravel())
        assert information_gain(attention, fixations, prior)[i].item() == pytest.approx(bits.mean(), abs=1e-6)
        assert kl_reverse(attention, density)[i].item() == pytest.approx(
            entropy(a.ravel() + 1e-10, d.ravel() + 1e-10), abs=1e-6
        )
        # the correlation of the residuals of two regressions on the prior
        design = np.stack([np.ones(a.size), b.ravel()], 1)
        left = [m.ravel() - design @ np.linalg.lstsq(design, m.ravel())[0] for m in (a, d)]
        assert partial_cc(attention, density, prior)[i].item() == pytest.approx(pearsonr(*left).statistic, abs=1e-6)


@given(SEEDS, st.floats(0.1, 10), st.floats(-2, 2))
@settings(max_examples=20, deadline=None)
def test_what_the_prior_says_earns_nothing(seed, scale, shift):
    attention, density, fixations = scene(seed)
    prior = scene(seed + 1)[1][:1]
    same = prior.expand(3, -1, -1)
    assert torch.equal(partial_cc(same * scale + shift, density, prior), torch.zeros(3))
    assert torch.equal(partial_cc((same * scale + shift).float(), density.float(), prior.float()), torch.zeros(3))
    assert partial_cc(attention, same, prior).isnan().all()
    assert torch.allclose(information_gain(same * scale, fixations, prior), torch.zeros(3).double(), atol=1e-9)
    # a straight line of the prior added to both maps changes nothing; a prior that says nothing takes nothing away
    moved = partial_cc(attention + scale * prior, density + shift * prior, prior)
    assert torch.allclose(moved, partial_cc(attention, density, prior), atol=1e-5)
    assert torch.allclose(partial_cc(attention, density, torch.ones_like(prior)), cc(attention, density), atol=1e-6)
    assert torch.allclose(kl_reverse(attention, density), kl(density, attention))
    assert torch.allclose(
        information_gain(attention, 3 * fixations, prior), information_gain(attention, fixations, prior)
    )


def test_single_precision_is_good_for_a_millionth():
    attention, density, fixations = scene(3, n=8, size=224)
    prior = density.mean(0, keepdim=True)
    for metric, maps in (
        (cc, (attention, density)), (nss, (attention, fixations)), (sim, (attention, density)),
        (kl, (attention, density)), (partial_cc, (attention, density, prior)), (auc_judd, (attention, fixations)),
        (information_gain, (attention, fixations, prior)),
    ):  # fmt: skip
        assert torch.allclose(metric(*(m.float() for m in maps)).double(), metric(*maps).double(), atol=2e-6, rtol=2e-6)


def test_negative_values_are_no_distribution():
    attention, density, fixations = scene(0)
    negative = attention - 0.5
    for value in (
        kl(negative, density), kl(negative, density, mit=True), kl_reverse(negative, density), kl(attention, -density),
        information_gain(negative, fixations, density[:1]), information_gain(attention, fixations, -density[:1]),
    ):  # fmt: skip
        assert value.isnan().all()
    for value in (
        cc(negative, density),
        nss(negative, fixations),
        auc_judd(negative, fixations),
        sim(negative, density),
    ):
        assert value.isfinite().all()


def test_constant_but_for_rounding_gives_nan():
    constant = torch.full((2, 224, 224), 0.3)
    _, density, fixations = scene(0, n=2, size=224)
    prior = density[:1].float()
    for value in (
        cc(constant, density.float()), nss(constant, fixations.float()), auc_judd(constant, fixations.float()),
        partial_cc(constant, density.float(), prior), sauc(constant, fixations.float(), fixations[:1].float()),
    ):  # fmt: skip
        assert value.isnan().all()
