from dataclasses import replace
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.ndimage import gaussian_filter

from gazetune.data.stimuli import Fixations, Stimuli, grouped
from gazetune.data.synthetic import World, load_synthetic
from gazetune.errors import InputError
from gazetune.maps import Human, grid_points
from gazetune.metrics.consistency import consistency
from gazetune.metrics.gain import (
    at_ceiling,
    categories,
    category_means,
    consistency_correlations,
    gains,
    improved,
    quartile_means,
)
from gazetune.observers import by_observer, only, rank_of_observer


def study(rows, n=None, width=100, height=50):
    """Images from rows of (image, observer, x, y)."""
    image, observer, x, y = (np.array(c) for c in zip(*rows, strict=True))
    n = n or int(image.max()) + 1
    fixations, offsets = grouped(n, image, Fixations(x.astype(float), y.astype(float), observer.astype(np.int32)))
    sides = (np.full(n, width), np.full(n, height))
    return Stimuli("hand", tuple(f"{i}" for i in range(n)), *sides, fixations, offsets, (None,) * n)


def drawn(seed, images=2, observers=5, mean=4, width=100, height=50):
    """A study of random fixations, with observers who do not look at some images."""
    rng = np.random.default_rng(seed)
    n = rng.poisson(mean, (images, observers))
    rows = [
        (i, o, rng.uniform(0, width), rng.uniform(0, height))
        for i, o in np.ndindex(images, observers)
        for _ in range(n[i, o])
    ]
    return study(rows or [(0, 0, 1, 1)], images)


def by_the_plain_loop(stimulus, sigma, size, weight=None):
    """Every observer's map by scipy, every pair's r by numpy."""
    seen, maps = stimulus.fixations, []
    for observer in np.unique(seen.observer):
        mine = seen.observer == observer
        found = np.zeros((size, size))
        row = np.floor(seen.y[mine] * size / stimulus.height).astype(int)
        column = np.floor(seen.x[mine] * size / stimulus.width).astype(int)
        np.add.at(found, (row, column), 1 if weight is None else weight[mine])
        maps.append(gaussian_filter(found, sigma, mode="constant", truncate=4))
    pairs = [np.corrcoef(a.ravel(), b.ravel())[0, 1] for a, b in combinations(maps, 2)]
    return len(maps), np.mean(pairs) if pairs else np.nan


def test_three_observers_by_hand():
    # a filter so narrow that it changes nothing: maps are 1 at single pixels of 16. Same pixel: r = 1; another pixel:
    # r = -1/15. Pairs: (0, 1) same, (0, 2) and (1, 2) apart
    found = consistency(study([(0, 0, 5, 5), (0, 1, 5, 5), (0, 2, 95, 45)]), Human(sigma_px=0.01), size=4)
    assert found["n_observers"].tolist() == [3]
    assert found["consistency"][0] == pytest.approx((1 - 2 / 15) / 3)


@pytest.mark.parametrize("sigma", [1.0, 15.0, 40.0, 80.0])
def test_equals_the_plain_loop_at_full_size(sigma):
    world = drawn(0, images=2, observers=6)
    corner = study([(0, o, x, y) for o, (x, y) in enumerate([(0, 0), (99, 0), (0, 49), (1, 25), (50, 0)])])
    for data in (world, corner):
        found = consistency(data, Human(sigma_px=sigma))
        for item, n, value in zip(data, found["n_observers"], found["consistency"], strict=True):
            assert (n, value) == pytest.approx(by_the_plain_loop(item, sigma, 224), abs=1e-6)


@given(st.integers(0, 2**31), st.floats(0.3, 12), st.integers(1, 7))
@settings(max_examples=30, deadline=None)
def test_equals_the_plain_loop_everywhere(seed, sigma, observers):
    sigma = float(np.float32(sigma))
    data = drawn(seed, observers=observers, mean=1)
    found = consistency(data, Human(sigma_px=sigma), size=32)
    for item, n, value in zip(data, found["n_observers"], found["consistency"], strict=True):
        assert (n, value) == pytest.approx(by_the_plain_loop(item, sigma, 32), abs=1e-6, nan_ok=True)


def test_options_of_the_human_side_reach_it():
    world = load_synthetic(World(images=2))
    found = consistency(world, Human(weight="duration", sigma_px=8.0))
    expected = by_the_plain_loop(world[1], 8.0, 224, world[1].fixations.duration_ms)
    assert tuple(found.loc[1, ["n_observers", "consistency"]]) == pytest.approx(expected, abs=1e-6)
    wide = consistency(drawn(0), Human(sigma_deg=1.0, pixels_per_degree=5.0))
    item = drawn(0)[0]  # 100 x 50: a degree is 11.2 px across and 22.4 px down
    assert wide["consistency"][0] == pytest.approx(by_the_plain_loop(item, np.float32([22.4, 11.2]), 224)[1], abs=1e-6)
    with pytest.raises(InputError, match="order"):
        consistency(drawn(0), Human(drop_first=True))


def test_who_did_not_look_is_left_out_and_one_observer_is_no_pair():
    rows = [(0, 0, 5, 5), (0, 4, 60, 20), (1, 4, 5, 5), (3, 1, 5, 5), (3, 2, 5, 5), (3, 9, 5, 5)]
    found = consistency(study(rows))
    assert found["n_observers"].tolist() == [2, 1, 0, 3]
    assert found["consistency"].isna().tolist() == [False, True, True, False]
    assert found["consistency"][3] == pytest.approx(1)
    three = study([(0, o, 5, 5) for o in range(3)])
    weightless = replace(three, fixations=replace(three.fixations, duration_ms=np.array([0.0, 100, 200])))
    assert consistency(weightless, Human(weight="duration"))["n_observers"].tolist() == [2]
    assert consistency(study(rows, 5).take(np.array([4, 2])))["n_observers"].tolist() == [0, 0]
    assert len(consistency(study(rows).take(np.array([], dtype=int)))) == 0


@given(st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_observers_numbers_and_order_do_not_matter(seed):
    data = drawn(seed, images=1)
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(data.fixations))
    names = rng.choice(1000, 5, replace=False)
    other = [(0, names[data.fixations.observer[k]], data.fixations.x[k], data.fixations.y[k]) for k in order]
    ours, theirs = (consistency(d, Human(sigma_px=3.0), size=32) for d in (data, study(other, 1)))
    pd.testing.assert_frame_equal(ours, theirs, atol=1e-9)


def test_pairs_of_image_and_observer_keep_their_fixations():
    points = grid_points(study([(0, 7, 1, 1), (0, 3, 2, 2), (0, 7, 3, 3), (2, 5, 4, 4)], width=9, height=9), size=9)
    pairs, image = by_observer(points)
    assert image.tolist() == [0, 0, 2]
    assert np.split(pairs.column, pairs.offsets[1:-1])[1].tolist() == [1, 3] and pairs.column.tolist() == [2, 1, 3, 4]
    assert pairs.observer.tolist() == [3, 7, 7, 5]
    assert rank_of_observer(points).tolist() == [1, 0, 1, 0]
    kept = only(points, points.observer != 7)
    assert kept.column.tolist() == [2, 4] and kept.offsets.tolist() == [0, 1, 1, 2]


def scores_of(**columns):
    n = len(next(iter(columns.values())))
    rows = [{"image": f"{i}", "key": key, "cc": v[i]} for key, v in columns.items() for i in range(n)]
    return pd.DataFrame(rows)


def consistent(values):
    return pd.DataFrame({"image": [f"{i}" for i in range(len(values))], "n_observers": 5, "consistency": values})


def test_gains_by_hand():
    scores = scores_of(after=[0.5, 0.9, 0.995, np.nan], before=[0.0, 0.8, 0.991, 0.1])
    found = gains(scores, consistent([0.1, 0.4, 0.3, 0.2]), [("after", "before"), ("before", "after")])
    assert found[["first", "second"]].drop_duplicates().to_numpy().tolist() == [
        ["after", "before"],
        ["before", "after"],
    ]
    forth = found.iloc[:4]
    np.testing.assert_allclose(forth["gain"], [0.5, 0.1, 0.004, np.nan])
    np.testing.assert_allclose(forth["normalised_gain"], [0.5, 0.5, np.nan, np.nan], rtol=1e-6)
    assert forth["quartile"].tolist() == [1, 4, 3, 2]
    assert at_ceiling(found)["at_ceiling"].tolist() == [1, 1]
    share = improved(found)
    assert share.loc[0, ["of", "improved", "n", "share"]].tolist() == ["images", 3, 3, 1.0]
    theirs = stats.binomtest(0, 3).proportion_ci(method="wilson")
    assert (share.loc[1, "ci_low"], share.loc[1, "ci_high"]) == pytest.approx((theirs.low, theirs.high))


def test_gains_with_bad_input():
    scores = scores_of(after=[0.5, 0.9], before=[0.0, 0.8])
    with pytest.raises(ValueError, match="scores of control"):
        gains(scores, consistent([0.1, 0.2]), [("after", "control")])
    with pytest.raises(ValueError):
        gains(pd.concat([scores, scores]), consistent([0.1, 0.2]), [("after", "before")])
    few = gains(scores, consistent([0.1, 0.2]), [("after", "before")])  # too few for quartiles and correlations
    assert few["quartile"].isna().all()
    assert quartile_means(few)["n"].tolist() == [0] * 16
    assert consistency_correlations(few)["r"].isna().all()
    unknown = gains(scores, consistent([np.nan, np.nan]), [("after", "before")])
    assert improved(unknown)["n"].tolist() == [2]


def test_quartiles_have_means_and_sem():
    rng = np.random.default_rng(0)
    before, after, value = rng.uniform(0, 0.9, (3, 41))
    value[7] = np.nan
    found = gains(scores_of(after=after, before=before), consistent(value), [("after", "before")])
    assert found["quartile"].value_counts().tolist() == [10, 10, 10, 10]
    table = quartile_means(found).set_index(["quartile", "quantity"])
    top = value >= np.sort(value[~np.isnan(value)])[30]
    row = table.loc[(4, "gain")]
    expected = (after - before)[top]
    assert (row["n"], row["mean"], row["sem"]) == pytest.approx((10, expected.mean(), stats.sem(expected)))
    assert row["consistency_mean"] == pytest.approx(value[top].mean())
    assert table.index.get_level_values("quartile").tolist() == np.repeat([1, 2, 3, 4], 4).tolist()


def test_regression_to_the_mean_is_told_from_an_effect():
    # scores before and after are the same consistency plus independent noise: nothing depends on consistency but a
    # common level. The gain then falls with its own baseline, and with the consistency only where the slope differs
    rng = np.random.default_rng(1)
    value = rng.uniform(0.3, 0.9, 4000)
    before = 0.8 * value + rng.normal(0, 0.02, 4000)
    after = 0.4 + rng.normal(0, 0.02, 4000)  # a ceiling: all images end at the same score
    found = gains(scores_of(after=after, before=before), consistent(value), [("after", "before")])
    table = consistency_correlations(found).set_index(["quantity", "given"])
    assert table.loc[("gain", ""), "r"] < -0.95
    assert abs(table.loc[("gain", "score_second"), "r"]) < 0.05
    assert table.loc[("gain", ""), "slope"] == pytest.approx(-0.8, abs=0.02)
    assert table.loc[("score_second", ""), "r"] == pytest.approx(stats.pearsonr(value, before).statistic)
    assert table.loc[("gain", "score_second"), "df"] == 3997


def test_categories_of_images():
    world = load_synthetic(World(images=6))
    present = categories(world)
    assert set(present[present["image"] == world.ids[0]]["category"]) == {o.category for o in world[0].objects}
    assert not present.duplicated().any()
    scores = scores_of(after=[0.5, 0.5, np.nan, 0.1], before=[0.2, 0.3, 0.1, 0.2])
    found = gains(scores, consistent([0.1] * 4), [("after", "before")])
    held = pd.DataFrame({"image": ["0", "1", "1", "2", "3"], "category": ["cat", "cat", "dog", "dog", "cup"]})
    table = category_means(found, held).set_index("category")
    assert table.loc["cat", ["n", "mean_first", "mean_second", "gain"]].tolist() == pytest.approx([2, 0.5, 0.25, 0.25])
    assert table["n"].to_dict() == {"cat": 2, "cup": 1, "dog": 1}
    share = improved(table.reset_index(), of="categories").iloc[0]
    assert (share["of"], share["improved"], share["n"]) == ("categories", 2, 3)


@pytest.mark.slow
def test_osie_observers_agree_as_the_plain_loop_says(osie_folder):
    from gazetune import load_osie

    some = load_osie(osie_folder)[:5]
    found = consistency(some)
    for item, n, value in zip(some, found["n_observers"], found["consistency"], strict=True):
        assert (n, value) == pytest.approx(by_the_plain_loop(item, 15, 224), abs=1e-6)
