import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gazetune.statistics.compare import compare, describe
from gazetune.statistics.intervals import wilson
from gazetune.statistics.paired import paired_test


def test_by_hand():
    # differences 1, 2, 3: mean 2, SD 1, t = 2 / (1 / sqrt 3)
    found = paired_test(np.array([2.0, 4, 6]), np.array([1.0, 2, 3]))
    assert (found.n, found.df, found.difference) == (3, 2, 2.0)
    assert found.t == pytest.approx(2 * 3**0.5)
    assert found.d == pytest.approx(2.0)
    assert found.ci_low == pytest.approx(2 - 4.302653 / 3**0.5, abs=1e-6)


@given(st.integers(0, 2**31), st.integers(2, 60))
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
