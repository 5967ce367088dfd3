from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import integrate, optimize, stats

import gazetune
from gazetune.statistics.bayes import R_MEDIUM, bf01_jzs, bf01_unit, jeffreys, ln_bf01_jzs, ln_bf01_unit

SCALE_COLUMNS = {0.5: "ln_bf01_r0.500", 2**-0.5: "ln_bf01_r0.707", 1.0: "ln_bf01_r1.000", 1.414: "ln_bf01_r1.414"}


@pytest.fixture(scope="module")
def stored():
    return pd.read_csv(Path(__file__).parent / "fixtures" / "bayes.csv")


def test_pingouin_over_200_pairs(stored):
    asked = stored.dropna(subset="pingouin_bf01")
    assert len(asked) == 200
    assert bf01_jzs(asked["t"], asked["n"]) == pytest.approx(asked["pingouin_bf01"].to_numpy(), rel=1e-6)


@pytest.mark.parametrize(("r", "column"), SCALE_COLUMNS.items())
def test_an_integration_with_40_digits(stored, r, column):
    exact = stored[column].to_numpy()
    # a difference of logarithms is a relative difference of Bayes factors
    assert ln_bf01_jzs(stored["t"], stored["n"], r) == pytest.approx(exact, rel=1e-13, abs=1e-11)


def test_the_r_package_on_its_own_example():
    # BayesFactor's help page: ttestBF on R's `sleep` data (Student, 1908; Cushny & Peebles, 1905), BF10 = 17.25888
    first = np.array([0.7, -1.6, -0.2, -1.2, -0.1, 3.4, 3.7, 0.8, 0.0, 2.0])
    second = np.array([1.9, 0.8, 1.1, 0.1, -0.1, 4.4, 5.5, 1.6, 4.6, 3.4])
    t = stats.ttest_rel(first, second).statistic
    assert 1 / bf01_jzs(t, 10) == pytest.approx(17.25888, abs=5e-6)


@pytest.mark.parametrize(("t", "n", "r"), [(0.7, 10, 0.7), (2.5, 25, 1.0), (1.2, 4, 0.5)])
def test_an_integral_over_the_effect_size(t, n, r):
    # another formula: the noncentral t density of t, averaged over a Cauchy prior
    alternative, _ = integrate.quad(
        lambda d: stats.nct.pdf(t, n - 1, d * n**0.5) * stats.cauchy.pdf(d, scale=r), -8, 8, points=(0.0, t / n**0.5),
        epsabs=1e-12,
    )  # fmt: skip
    assert bf01_jzs(t, n, r) == pytest.approx(stats.t.pdf(t, n - 1) / alternative, rel=1e-7)


def test_the_ceilings_of_the_paper():
    n = np.array([50_000, 75_000, 18_500])
    assert bf01_jzs(0, n) == pytest.approx([198.17, 242.71, 120.55], abs=0.005)
    assert bf01_jzs(0, n, 1) == pytest.approx([280.3, 343.2, 170.5], abs=0.05)
    assert bf01_unit(0, n) == pytest.approx([223.6, 273.9, 136.0], abs=0.05)
    assert bf01_unit(0, n) == pytest.approx(n**0.5)


@pytest.mark.parametrize(
    ("n", "published", "t_jzs", "t_unit"),
    [(50_000, 222, 0.68, 0.12), (75_000, 242.8, 0.83, 0.49), (18_500, 89, 1.14, 0.92)],
)  # fmt: skip
def test_the_t_behind_the_published_factors(n, published, t_jzs, t_unit):
    assert optimize.brentq(lambda t: bf01_jzs(t, n, 1) - published, 0, 5) == pytest.approx(t_jzs, abs=0.005)
    assert optimize.brentq(lambda t: bf01_unit(t, n) - published, 0, 5) == pytest.approx(t_unit, abs=0.005)


def test_the_logarithm_stays_finite_where_the_factor_does_not():
    assert ln_bf01_jzs(200, 75_000) == pytest.approx(-16_023.1067, abs=1e-4)
    assert ln_bf01_unit(200, 75_000) == pytest.approx(-16_023.7118, abs=1e-4)
    assert bf01_jzs(200, 75_000) == 0


def test_unit_information_by_hand():
    # n = 4, t^2 = 3: sqrt(4) (1 + 3/3)^-2 = 2 / 4
    assert bf01_unit(3**0.5, 4) == pytest.approx(0.5)


@given(st.floats(0, 300), st.integers(2, 10**6), st.floats(0.05, 5))
@settings(max_examples=60, deadline=None)
def test_sign_and_company_do_not_matter_and_zero_is_the_ceiling(t, n, r):
    alone = ln_bf01_jzs(t, n, r)
    assert ln_bf01_jzs(-t, n, r) == alone
    together = ln_bf01_jzs(np.array([[1.0, t], [7.5, 0.0]]), np.array([[30, n], [n, n]]), r)
    assert together.shape == (2, 2)
    assert together[0, 1] == alone
    assert alone <= together[1, 1]
    assert ln_bf01_unit(t, n) <= ln_bf01_unit(0, n)


def test_a_narrower_prior_has_a_lower_ceiling_and_none_at_all_says_nothing():
    assert np.all(np.diff(bf01_jzs(0, 5000, np.array([0.5, 0.707, 1, 1.414]))) > 0)
    assert bf01_jzs(2.0, 30, 1e-9) == pytest.approx(1, abs=1e-6)


def test_edges():
    assert bf01_jzs(3, [0, 1]).tolist() == [1, 1]
    assert bf01_unit(3, [0, 1]).tolist() == [1, 1]
    assert np.isnan(ln_bf01_jzs(np.nan, 10))
    assert ln_bf01_jzs(np.inf, 10) == -np.inf == ln_bf01_unit(np.inf, 10)
    assert isinstance(bf01_jzs(1, 10), float)
    with pytest.raises(ValueError, match="scale r above 0"):
        bf01_jzs(1, 10, 0)
    with pytest.raises(ValueError, match="at least 0"):
        bf01_unit(1, -1)


def test_jeffreys_words():
    said = [jeffreys(np.log(x)) for x in (1, 2, 5, 20, 50, 222, 1 / 222, 1 / 5)]
    assert said == [
        "none", "anecdotal for equality", "moderate for equality", "strong for equality", "very strong for equality",
        "decisive for equality", "decisive for a difference", "moderate for a difference",
    ]  # fmt: skip
    assert jeffreys(np.log(100)) == "very strong for equality"
    assert jeffreys(-np.inf) == "decisive for a difference"
    assert jeffreys(np.nan) == ""


def test_exported():
    assert gazetune.bf01_jzs(0, 50_000, r=R_MEDIUM) == gazetune.bf01_jzs(0, 50_000)
    assert gazetune.bf01_unit(0, 100) == pytest.approx(10)
