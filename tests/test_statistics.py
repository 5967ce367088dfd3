from itertools import combinations, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.linear_model import LinearRegression

from gazetune.statistics import resample
from gazetune.statistics.compare import compare, describe
from gazetune.statistics.correlation import least_squares, partial, pearson
from gazetune.statistics.intervals import wilson
from gazetune.statistics.multiple import holm
from gazetune.statistics.paired import paired_test, signed_rank
from gazetune.statistics.resample import DRAWS, bootstrap_interval, bootstrap_intervals


def test_by_hand():
    # differences 1, 2, 3: mean 2, SD 1, t = 2 / (1 / sqrt 3)
    found = paired_test(np.array([2.0, 4, 6]), np.array([1.0, 2, 3]))
    assert (found.n, found.df, found.difference) == (3, 2, 2.0)
    assert found.t == pytest.approx(2 * 3**0.5)
    assert found.d == pytest.approx(2.0)
    assert found.ci_low == pytest.approx(2 - 4.302653 / 3**0.5, abs=1e-6)


@given(st.integers(0, 2**31), st.integers(3, 60))
@settings(max_examples=30, deadline=None)
def test_equals_scipy_and_turns_with_the_order(seed, n):
    a, b = np.random.default_rng(seed).normal(size=(2, n))
    ours, theirs = paired_test(a, b), stats.ttest_rel(a, b)
    interval = theirs.confidence_interval()
    assert (ours.t, ours.p) == pytest.approx((theirs.statistic, theirs.pvalue))
    assert (ours.ci_low, ours.ci_high) == pytest.approx((interval.low, interval.high))
    assert ours.d == pytest.approx(ours.t / n**0.5)
    turned = paired_test(b, a)
    assert (turned.t, turned.d, turned.difference) == pytest.approx((-ours.t, -ours.d, -ours.difference))


def test_pairs_with_a_gap_are_left_out_of_n():
    found = paired_test(np.array([1.0, np.nan, 3, 5]), np.array([0.0, 1, np.nan, 1]))
    assert (found.n, found.difference) == (2, 2.5)


def test_a_test_that_cannot_be_says_why():
    for few in ([], [1.0], [1.0, 3.0], [1.0, 3.0, np.nan]):
        found = paired_test(few, np.zeros(len(few)))
        assert found.reason == "fewer than 3 images"
        assert np.isnan([found.t, found.p, found.d, found.ci_low, found.ci_high]).all()
    assert paired_test([1.0, 3.0], [0.0, 0.0], unit="observer").reason == "fewer than 3 observers"
    assert paired_test([1.0, 2.0, 3.0], [0.0, 0.0, 0.0]).reason == ""
    same = paired_test([1.0, 2.0, 3.0], [1.0, 2.0, 3.0])
    assert same.reason == "no difference anywhere" and np.isnan([same.t, same.p, same.d]).all()
    assert paired_test(np.array([1.0]), np.array([0.0])).n == 1
    assert np.isnan(paired_test(np.array([np.nan]), np.array([0.0])).p)


def test_wilson_equals_scipy():
    for k, n in ((0, 10), (3, 10), (10, 10), (430, 500)):
        theirs = stats.binomtest(k, n).proportion_ci(method="wilson")
        assert wilson(k, n) == pytest.approx((theirs.low, theirs.high))
    assert np.isnan(wilson(0, 0)[0])


def test_every_pair_is_tested_over_shared_images():
    rng = np.random.default_rng(0)
    rows = [{"dataset": "d", "image": f"{i}", "key": key, "cc": rng.normal()} for key in "abc" for i in range(9)]
    scores = pd.DataFrame(rows)
    scores.loc[(scores["key"] == "b") & (scores["image"] == "0"), "cc"] = np.nan
    found = compare(scores, ["cc"], ["a", "b", "c"])
    assert list(zip(found["first"], found["second"], found["n"], strict=True)) == [
        ("b", "a", 8),
        ("c", "a", 9),
        ("c", "b", 8),
    ]
    wide = scores.pivot(index="image", columns="key", values="cc")
    assert found["t"].iloc[1] == pytest.approx(stats.ttest_rel(wide["c"], wide["a"]).statistic)
    shape = describe(scores, ["cc"], ["c", "b", "a"])
    assert shape["model"].tolist() == ["c", "b", "a"]
    assert shape["n"].tolist() == [9, 8, 9]
    assert shape["sem"].iloc[0] == pytest.approx(wide["c"].sem())


def rng(seed=0):
    return np.random.default_rng(seed)


def test_the_bootstrap_of_three_values_has_its_27_outcomes():
    values = np.array([0.0, 1.0, 5.0])
    means = np.sort([sum(chosen) / 3 for chosen in product(values, repeat=3)])
    # the exact distribution: P(mean = 0) = 1/27 = P(mean = 5) > 2.5 %, so both ends are the extremes
    assert (means[0], means[-1]) == (0, 5)
    assert bootstrap_interval(values, rng()) == pytest.approx((0, 5))
    # 80 %: 7 of 27 outcomes lie at or below 1/3 (25.9 %), 1 at 0 (3.7 %); so the 10 % point is 1/3
    assert bootstrap_interval(values, rng(), 0.8)[0] == pytest.approx(1 / 3)


@given(st.integers(0, 2**31), st.integers(5, 80))
@settings(max_examples=10, deadline=None)
def test_the_bootstrap_agrees_with_scipy(seed, n):
    values = rng(seed).normal(0.3, 1, n)
    theirs = stats.bootstrap((values,), np.mean, n_resamples=40_000, method="percentile", rng=rng(seed + 1))
    drawn = theirs.bootstrap_distribution
    low, high = bootstrap_interval(values, rng(seed))
    # 5 SD of the difference of two shares. As shares, because the means of few values are far apart: an end of 5 values
    # may lie anywhere between two of them
    noise = 5 * (0.025 * 0.975 * (1 / DRAWS + 1 / 40_000)) ** 0.5
    assert (drawn < low).mean() - noise <= 0.025 <= (drawn <= low).mean() + noise
    assert (drawn > high).mean() - noise <= 0.025 <= (drawn >= high).mean() + noise


@given(st.integers(0, 2**31), st.floats(-100, 100), st.floats(0.1, 10))
@settings(max_examples=20, deadline=None)
def test_the_bootstrap_moves_with_the_values_and_repeats(seed, shift, scale):
    values = rng(seed).normal(size=12)
    low, high = bootstrap_interval(values, rng(seed), draws=500)
    assert values.min() <= low <= values.mean() + 1e-9 <= high + 2e-9 <= values.max() + 3e-9
    moved = bootstrap_interval(shift + scale * values, rng(seed), draws=500)
    assert moved == pytest.approx((shift + scale * low, shift + scale * high))
    assert bootstrap_interval(-values, rng(seed), draws=500) == pytest.approx((-high, -low))


def test_the_bootstrap_does_not_depend_on_chunks_or_neighbours(monkeypatch):
    values = rng(1).normal(size=(40, 3))
    values[:5, 1] = np.nan
    together = np.array(bootstrap_intervals(values, rng(7)))
    alone = np.array([bootstrap_interval(column, rng(7)) for column in values.T]).T
    np.testing.assert_allclose(together, alone, atol=1e-12)
    np.testing.assert_allclose(together[:, 1], bootstrap_interval(values[5:, 1], rng(7)), atol=1e-12)
    monkeypatch.setattr(resample, "CELLS", 1_000)
    np.testing.assert_allclose(np.array(bootstrap_intervals(values, rng(7))), together, atol=1e-12)


def test_the_bootstrap_covers_as_often_as_it_says():
    inside = 0
    for seed in range(200):
        low, high = bootstrap_interval(rng(seed).normal(size=50), rng(seed + 1000), draws=1000)
        inside += low <= 0 <= high
    assert 180 <= inside <= 199  # 95 % of 200, within 3 binomial SD; a little narrow at n = 50


def test_too_few_images_or_odd_arguments_for_the_bootstrap():
    assert np.isnan(bootstrap_interval([1.0, 2.0], rng())).all()
    assert np.isnan(bootstrap_interval([1.0, 2.0, np.nan], rng())).all()
    assert np.isnan(bootstrap_interval([], rng())).all()
    with pytest.raises(ValueError, match="confidence"):
        bootstrap_interval([1.0, 2, 3], rng(), confidence=95.0)


def test_signed_rank_by_hand_and_as_scipy():
    # differences 1, -2, 3, 4: ranks 1 to 4, the negative has rank 2; of 16 sign patterns 3 give a sum of at most 2
    found = signed_rank(np.array([1.0, 0, 3, 4]), np.array([0.0, 2, 0, 0]))
    assert (found.w, found.p) == (2, pytest.approx(2 * 3 / 16))
    a, b = rng().normal(size=(2, 90))
    theirs = stats.wilcoxon(a, b)
    a[3] = b[4] = np.nan
    gone = signed_rank(a, b)
    assert gone != signed_rank(np.nan_to_num(a), np.nan_to_num(b))
    keep = ~np.isnan(a - b)
    assert gone.p == pytest.approx(stats.wilcoxon(a[keep], b[keep]).pvalue)
    assert theirs.pvalue != gone.p
    for few in ([1.0, 2.0], [0.0, 0, 0, 0], [np.nan] * 5, []):
        assert np.isnan(signed_rank(few, np.zeros(len(few))).p)


def closed_testing(p):
    """Holm's procedure by its definition: the closure of Bonferroni's test over all families that hold a test."""
    families = [f for size in range(1, len(p) + 1) for f in combinations(range(len(p)), size)]
    return [max(min(1, len(f) * min(p[j] for j in f)) for f in families if i in f) for i in range(len(p))]


def test_holm_by_hand():
    # sorted .01 .02 .03 .04, times 4 3 2 1 = .04 .06 .06 .04; monotone: .04 .06 .06 .06
    np.testing.assert_allclose(holm([0.03, 0.01, 0.04, 0.02]), [0.06, 0.04, 0.06, 0.06])
    np.testing.assert_allclose(holm([0.01, np.nan, 0.6]), [0.02, np.nan, 0.6])
    assert holm([]).tolist() == [] and np.isnan(holm([np.nan])).all()
    for bad in ([1.1], [-0.1, 0.5], [np.inf]):
        with pytest.raises(ValueError, match="between 0 and 1"):
            holm(bad)


@given(st.lists(st.one_of(st.floats(0, 1), st.sampled_from([0.0, 0.01, 1.0])), min_size=1, max_size=7))
@settings(max_examples=100, deadline=None)
def test_holm_is_the_closure_of_bonferroni(p):
    adjusted = holm(p)
    np.testing.assert_allclose(adjusted, closed_testing(p), atol=1e-12)
    assert (adjusted >= np.array(p) - 1e-15).all() and (adjusted <= 1).all()


def test_pearson_by_hand_and_as_scipy():
    # x -1 0 1, y -1 1 0: r = 1 / sqrt(2 * 2); three images have no Fisher interval
    found = pearson([-1, 0, 1], [-1, 1, 0])
    assert (found.n, found.r, found.df) == (3, pytest.approx(0.5), 1) and np.isnan(found.ci_low)
    assert found.p == pytest.approx(2 / 3)  # t = 1/sqrt(3) with one degree of freedom: a Cauchy variable
    x, y = rng().normal(size=(2, 40))
    theirs = stats.pearsonr(x, y)
    interval = theirs.confidence_interval()
    ours = pearson(np.append(x, np.nan), np.append(y, 3.0))
    assert (ours.n, ours.r, ours.p) == (40, pytest.approx(theirs.statistic), pytest.approx(theirs.pvalue))
    assert (ours.ci_low, ours.ci_high) == pytest.approx((interval.low, interval.high))


@given(st.integers(0, 2**31), st.integers(5, 50), st.floats(-50, 50), st.floats(0.01, 20))
@settings(max_examples=30, deadline=None)
def test_correlations_do_not_see_units(seed, n, shift, scale):
    x, y, z = rng(seed).normal(size=(3, n))
    for plain, other in (
        (pearson(x, y), pearson(shift + scale * x, -y)),
        (partial(x, y, z), partial(shift + scale * x, -y, shift - scale * z)),
    ):
        assert (other.r, other.p) == pytest.approx((-plain.r, plain.p), abs=1e-9)
        assert (other.ci_low, other.ci_high) == pytest.approx((-plain.ci_high, -plain.ci_low), abs=1e-9)
    # what is correlated with a gain, the baseline held constant, is correlated with the score after: the same number
    assert partial(x, y - z, z).r == pytest.approx(partial(x, y, z).r, abs=1e-9)


def test_partial_correlation_is_the_slope_of_a_multiple_regression():
    x, y, z = rng(3).normal(size=(3, 30)) + rng(4).normal(size=30)
    found = partial(x, y, z)
    # independent: the three plain correlations (Yule, 1907), and the t of x in y ~ x + z from the normal equations
    xy, xz, yz = (np.corrcoef(a, b)[0, 1] for a, b in ((x, y), (x, z), (y, z)))
    assert found.r == pytest.approx((xy - xz * yz) / np.sqrt((1 - xz**2) * (1 - yz**2)))
    design = np.column_stack([np.ones(30), x, z])
    fit = LinearRegression(fit_intercept=False).fit(design, y)
    variance = ((y - fit.predict(design)) ** 2).sum() / (30 - 3) * np.linalg.inv(design.T @ design)[1, 1]
    t = fit.coef_[1] / variance**0.5
    assert (found.n, found.df, found.p) == (30, 27, pytest.approx(2 * stats.t.sf(abs(t), 27)))
    assert np.arctanh([found.ci_low, found.ci_high]) == pytest.approx(
        np.arctanh(found.r) + np.array([-1, 1]) * 1.959964 / 26**0.5, abs=1e-5
    )


def test_correlations_that_cannot_be_computed_are_nan():
    for found in (
        pearson([1, 2], [2, 1]),
        pearson([], []),
        pearson([0.1] * 9, range(9)),
        pearson([np.nan] * 5, range(5)),
        partial([1, 2, 3], [1, 3, 2], [3, 1, 2]),
        partial(range(9), rng().normal(size=9), [2.0] * 9),
        partial(range(9), rng().normal(size=9), range(9)),
    ):
        assert np.isnan([found.r, found.p, found.ci_low, found.ci_high]).all()
    assert pearson(range(5), range(5)).p == 0
    with pytest.raises(ValueError, match="one length"):
        pearson([1, 2, 3], [1, 2])


def test_the_line_by_hand():
    # (0, 1) (1, 3) (2, 2): slope 1/2, mean 2 at x = 1
    found = least_squares([0, 1, 2, np.nan], [1, 3, 2, 5])
    assert (found.n, found.slope, found.intercept) == (3, 0.5, 1.5)
    x, y = rng().normal(size=(2, 20))
    theirs = stats.linregress(x, y)
    assert (least_squares(x, y).slope, least_squares(x, y).intercept) == pytest.approx((theirs.slope, theirs.intercept))
    assert np.isnan(least_squares([1, 1], [1, 2]).slope) and np.isnan(least_squares([1], [1]).slope)


def table_of(n=12, keys="ab", metrics=("cc", "nss", "kl"), dataset="d", seed=0):
    values = rng(seed).normal(size=(len(keys), n, len(metrics))) + np.arange(len(keys))[:, None, None] * 0.7
    return pd.DataFrame(
        {"dataset": dataset, "image": str(i), "key": key, **dict(zip(metrics, values[k, i], strict=True))}
        for k, key in enumerate(keys)
        for i in range(n)
    )


def test_compare_has_bootstrap_wilcoxon_and_holm():
    found = compare(table_of(), ["cc", "nss", "kl"], ["a", "b"], rng(5)).set_index("metric")
    wide = table_of().pivot(index="image", columns="key", values="nss")
    row = found.loc["nss"]
    assert (row["wilcoxon_w"], row["wilcoxon_p"]) == pytest.approx(tuple(stats.wilcoxon(wide["b"], wide["a"])))
    assert row["boot_low"] < row["difference"] < row["boot_high"]
    assert row["boot_high"] - row["boot_low"] == pytest.approx(row["ci_high"] - row["ci_low"], rel=0.25)
    np.testing.assert_allclose(found["p_holm"], closed_testing(found["p"].tolist()))


def test_holm_families_are_data_sets_and_pairs():
    both = pd.concat([table_of(keys="abc"), table_of(keys="abc", dataset="e", seed=1)])
    found = compare(both, ["cc", "nss", "kl"], ["a", "b", "c"])
    assert len(found) == 18
    for _, family in found.groupby(["dataset", "first", "second"]):
        np.testing.assert_allclose(family["p_holm"], closed_testing(family["p"].tolist()))


def test_intervals_of_a_data_set_do_not_depend_on_what_else_is_tested():
    both = pd.concat([table_of(n=30), table_of(n=7, dataset="e", seed=1)])
    whole = compare(both, ["cc", "nss"], ["a", "b"]).query("dataset == 'e' and metric == 'cc'")
    alone = compare(table_of(n=7, dataset="e", seed=1), ["cc"], ["a", "b"])
    columns = ["boot_low", "boot_high", "wilcoxon_p"]
    np.testing.assert_allclose(whole[columns], alone[columns], atol=1e-12)
    other = compare(table_of(n=7, dataset="e", seed=1), ["cc"], ["a", "b"], rng(9))
    assert (other["boot_low"] != alone["boot_low"]).all()


def test_compare_with_few_images_or_none():
    two = compare(table_of(n=2), ["cc"], ["a", "b"]).iloc[0]
    unknown = ["t", "p", "d", "ci_low", "ci_high", "p_holm", "boot_low", "boot_high", "wilcoxon_w", "wilcoxon_p"]
    assert two["n"] == 2 and np.isnan(two[unknown].astype(float)).all() and np.isfinite(two["difference"])
    assert two["reason"] == "fewer than 3 images" and set(compare(table_of(n=3), ["cc"], ["a", "b"])["reason"]) == {""}
    one = compare(table_of(n=1), ["cc", "nss"], ["a", "b"])
    assert one[["p", "p_holm"]].isna().all(axis=None)
    none = compare(table_of(), ["cc"], ["a", "not there"])
    assert none.empty and list(none) == list(compare(table_of(), ["cc"], ["a", "b"]))
    nothing = describe(table_of().assign(cc=np.nan), ["cc"], ["a", "b"])
    assert nothing.empty and list(nothing) == list(describe(table_of(), ["cc"], ["a", "b"]))
