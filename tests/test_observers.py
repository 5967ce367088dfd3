"""Scores observer by observer, and intervals for other images and other observers."""

from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch

from gazetune.data.synthetic import World, load_synthetic
from gazetune.maps import Human, Points, grid_points
from gazetune.metrics import METRICS
from gazetune.metrics.observers import OBSERVER_METRICS, pairs_of, score_pairs
from gazetune.metrics.score import score_points
from gazetune.observers import by_observer
from gazetune.priors import of_training, one_each
from gazetune.statistics import crossed
from gazetune.statistics.crossed import crossed_intervals, crossed_means
from gazetune.statistics.resample import bootstrap_intervals
from gazetune.tables.observers import PairScores, observer_tests


def points(rows, size=4, sigma=1.0, images=1):
    """Points of (image, observer, row, column)."""
    image, observer, row, column = np.array(rows).T
    offsets = np.concatenate([[0], np.cumsum(np.bincount(image, minlength=images))])
    grid = (row.astype(np.int16), column.astype(np.int16), np.ones(len(image), np.float32), observer)
    return Points(*grid, offsets, np.full((images, 2), sigma, np.float32), size)


def fixed(maps):
    return lambda index: maps[torch.from_numpy(index)]


# --- one observer's scores -------------------------------------------------------------------------------------


def test_scores_by_hand():
    ramp = torch.arange(16.0).view(1, 4, 4) / 15
    pairs = pairs_of(points([(0, 3, 3, 3), (0, 3, 0, 0), (0, 8, 3, 3), (0, 8, 3, 3)]))
    found = score_pairs(fixed(ramp), pairs)
    assert pairs.observer.tolist() == [3, 8]
    # observer 3: the highest and the lowest of 16 pixels; observer 8: the highest, looked at twice
    assert found["auc_judd"] == pytest.approx([0.5, 1.0])
    sd = np.sqrt((16**2 - 1) / 12)  # of the numbers 0..15, mean 7.5
    assert found["nss"] == pytest.approx([0.0, 7.5 / sd], abs=1e-6)
    assert found["cc"][0] == pytest.approx(0, abs=1e-6)  # the map of two opposite corners is symmetric, the ramp is odd


@pytest.mark.parametrize("human", [Human(), Human(weight="duration", sigma_deg=1, pixels_per_degree=12)])
def test_the_same_as_one_observer_after_the_other(human, generator):
    seen = grid_points(load_synthetic(World(images=19, seed=1)), human, 64)
    pairs = pairs_of(seen)
    maps = (torch.rand(19, 64, 64, generator=generator) * 20).round() / 20  # with ties
    maps[3] = 0.5
    maps[4, 2, 2] = torch.inf
    found = score_pairs(fixed(maps), pairs)
    priors, metrics = one_each(of_training(seen), pairs.image), {m: METRICS[m] for m in OBSERVER_METRICS}
    expected = score_points(lambda index: maps[torch.from_numpy(pairs.image[index])], pairs.points, priors, metrics)
    for metric in OBSERVER_METRICS:
        np.testing.assert_allclose(found[metric], expected[metric], atol=3e-6, err_msg=metric)
        assert np.isnan(found[metric]).sum() == np.isin(pairs.image, (3, 4)).sum() > 0


def test_only_a_map_s_order_and_scale_count():
    seen = points([(0, 0, 1, 2), (0, 1, 5, 5), (0, 1, 0, 7), (2, 1, 3, 3)], size=8, images=3)  # image 1: nobody looked
    maps = torch.rand(3, 8, 8, generator=torch.Generator().manual_seed(1))
    pairs = pairs_of(seen)
    once, twice = score_pairs(fixed(maps), pairs), score_pairs(fixed(3 * maps + 2), pairs)
    for metric in OBSERVER_METRICS:
        np.testing.assert_allclose(once[metric], twice[metric], atol=2e-6)
    assert list(zip(pairs.image, pairs.observer, strict=True)) == [(0, 0), (0, 1), (2, 1)]
    assert not np.isnan(once["cc"]).any()
    assert len(by_observer(seen)[1]) == len(pairs) == 3


def test_a_metric_that_needs_more_than_one_observer_is_refused():
    with pytest.raises(ValueError, match="not by sauc"):
        score_pairs(fixed(torch.rand(1, 4, 4)), pairs_of(points([(0, 0, 0, 0)])), ("cc", "sauc"))


# --- images and observers resampled ----------------------------------------------------------------------------


def study(rng, images=20, observers=10, image_sd=0.1, observer_sd=0.3, noise=0.2, mean=0.0):
    """Differences of two models: effects of images, of observers, and of single pairs."""
    whole = mean + image_sd * rng.normal(size=(images, 1)) + observer_sd * rng.normal(size=observers)
    image, observer = (a.ravel() for a in np.indices((images, observers)))
    return (whole + noise * rng.normal(size=whole.shape)).reshape(-1, 1), image, observer


def test_a_weighted_mean_by_hand():
    table = np.array([[[1.0], [2.0]], [[10.0], [np.nan]]])
    # image 0 twice, observer 1 three times, observer 0 once: (2 * 1 * 1 + 2 * 3 * 2 + 1 * 1 * 10) / (2 + 6 + 1)
    alone, both = crossed_means(table, np.array([[2.0, 1.0]]), np.array([[1.0, 3.0]]))
    assert both == pytest.approx(24 / 9) and alone == pytest.approx((2 * 1 + 2 * 2 + 10) / 5)


def test_equal_to_plain_loops_with_missing_pairs():
    rng = np.random.default_rng(0)
    table = study(rng, 5, 4)[0].reshape(5, 4, 1)
    table[rng.random((5, 4)) < 0.4] = np.nan
    times_image, times_observer = rng.integers(3, size=(6, 5)).astype(float), rng.integers(3, size=(6, 4)).astype(float)
    alone, both = crossed_means(table, times_image, times_observer)
    for draw in range(6):
        of_images, of_both = [], []
        for i, o in product(range(5), range(4)):
            for _ in range(int(times_image[draw, i])):
                of_images.append(table[i, o, 0])
                of_both += [table[i, o, 0]] * int(times_observer[draw, o])
        assert alone[draw, 0] == pytest.approx(np.nanmean(of_images))
        assert both[draw, 0] == pytest.approx(np.nanmean(of_both))


def test_where_observers_agree_both_intervals_are_that_of_images():
    values, image, observer = study(np.random.default_rng(0), observer_sd=0, noise=0)
    found = crossed_intervals(values, image, observer, np.random.default_rng(5))
    assert found.both_low == pytest.approx(found.images_low, abs=1e-12)
    assert found.both_high == pytest.approx(found.images_high, abs=1e-12)
    one_an_image = values.reshape(20, 10)[:, :1]
    low, high = bootstrap_intervals(one_an_image, np.random.default_rng(7))
    assert [found.images_low[0], found.images_high[0]] == pytest.approx([low[0], high[0]], abs=0.005)


def test_seeded_chunked_and_shifted(monkeypatch):
    values, image, observer = study(np.random.default_rng(0))
    whole = crossed_intervals(values, image, observer, np.random.default_rng(5), draws=200)
    beside = crossed_intervals(np.hstack([values + 1000, values]), image, observer, np.random.default_rng(5), draws=200)
    for name, limit in vars(whole).items():
        assert vars(beside)[name] == pytest.approx([1000 + limit[0], limit[0]], abs=1e-9)
    order = np.random.default_rng(1).permutation(len(values))
    shuffled = crossed_intervals(values[order], image[order], observer[order], np.random.default_rng(5), draws=200)
    assert vars(shuffled)["both_low"] == pytest.approx(whole.both_low)
    monkeypatch.setattr(crossed, "TABLE", 200)
    split = crossed_intervals(np.hstack([values] * 3), image, observer, np.random.default_rng(5), draws=200)
    assert split.both_low == pytest.approx([whole.both_low[0]] * 3)


def test_neither_chunks_nor_the_columns_beside_it_move_an_interval(monkeypatch):
    values, image, observer = study(np.random.default_rng(0))
    whole = crossed_intervals(values, image, observer, np.random.default_rng(5), draws=500)
    monkeypatch.setattr(crossed, "CELLS", 1000)  # chunks of 50 draws for one column, of 9 for ten
    for columns in (1, 10):
        beside = crossed_intervals(np.hstack([values] * columns), image, observer, np.random.default_rng(5), draws=500)
        for name, limit in vars(whole).items():
            assert vars(beside)[name] == pytest.approx([limit[0]] * columns, abs=1e-12)


def test_too_few_of_either():
    values, image, observer = study(np.random.default_rng(0), images=4, observers=2)
    found = crossed_intervals(values, image, observer, np.random.default_rng(0), draws=50)
    assert np.isfinite(found.images_low).all() and np.isnan(found.both_low).all()
    few = crossed_intervals(values[:4], image[:4], observer[:4], np.random.default_rng(0), draws=50)
    assert np.isnan(few.images_low).all()
    with pytest.raises(ValueError, match="at least one draw"):
        crossed_intervals(values, image, observer, np.random.default_rng(0), draws=0)


def test_coverage_of_the_true_mean():
    """Other observers and other images in each of 300 studies: images alone promise too much, both do not."""
    rng, held = np.random.default_rng(3), np.zeros(2)
    for _ in range(300):
        values, image, observer = study(rng, images=25, observers=20, mean=0.4)
        found = crossed_intervals(values, image, observer, rng, draws=400)
        held += (found.images_low[0] <= 0.4 <= found.images_high[0], found.both_low[0] <= 0.4 <= found.both_high[0])
    images, both = held / 300
    assert images < 0.65 and 0.9 <= both <= 0.98, (images, both)


# --- the table -------------------------------------------------------------------------------------------------


def test_tests_by_hand():
    image, observer = np.repeat([0, 1, 2], 3), np.tile([4, 5, 6], 3)
    first = np.array([1, 2, 0, 1, 2, 0, 1, 2, np.nan], np.float32)
    values = np.stack([first, np.ones(9, np.float32), np.zeros(9, np.float32)])[:, None]
    pairs = PairScores(values, image, observer, ("tuned-s1", "base", "centre_gaussian"), ("cc",))
    order = ["base", "centre_gaussian", "tuned-s1"]
    table = observer_tests("d", pairs, order, {"base": "reference", "tuned-s1": "tuned"})
    assert list(zip(table["first"], table["second"], strict=True)) == [
        ("centre_gaussian", "base"), ("tuned-s1", "base"), ("tuned-s1", "centre_gaussian"),
    ]  # fmt: skip
    row = table.iloc[1]
    assert (row["n_images"], row["n_observers"], row["n_pairs"]) == (3, 3, 8)
    assert row["difference"] == pytest.approx((3 * 0 + 3 * 1 - 2) / 8)
    assert (row["n_higher"], row["share_higher"]) == (1, pytest.approx(1 / 3))
    assert row["boot_both_low"] <= row["boot_images_low"] <= row["difference"] <= row["boot_images_high"]
    only_priors = observer_tests("d", pairs, ["centre_gaussian"], {})
    assert isinstance(only_priors, pd.DataFrame) and only_priors.empty
