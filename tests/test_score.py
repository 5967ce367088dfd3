"""Scores of many images: batches, missing values and their reasons, maps of a wrong size."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from gazetune.maps import Points, blur, counts, densities, min_max
from gazetune.metrics import METRICS, Metric
from gazetune.metrics.score import by_batch, score_points
from gazetune.priors import centre_gaussian, of_training

SIZE = 32


def seen(per_image, sigma_px=3.0, seed=0):
    """Random fixations, so many on each image."""
    rng = np.random.default_rng(seed)
    n = int(sum(per_image))
    row, column = rng.integers(0, SIZE, (2, n), dtype=np.int16)
    offsets = np.concatenate([[0], np.cumsum(per_image)]).astype(np.int64)
    sigma = np.full((len(per_image), 2), sigma_px, np.float32)
    return Points(row, column, np.ones(n, np.float32), np.zeros(n, np.int32), offsets, sigma, SIZE)


def scored(attention, points, metrics=METRICS):
    training = seen([30] * 20, seed=1)
    return score_points(lambda index: attention[torch.from_numpy(index)], points, of_training(training), metrics)


def maps(n, seed=0):
    return min_max(torch.rand(n, SIZE, SIZE, generator=torch.Generator().manual_seed(seed)))


def test_batches_do_not_matter():
    points, attention = seen([20] * 50), maps(50)
    table = scored(attention, points)
    assert list(table) == [*METRICS, "reason"] and len(table) == 50
    assert table["reason"].isna().all() and table[list(METRICS)].notna().all().all()
    one = scored(attention[37:38], points.take(np.array([37])))
    assert np.allclose(table.loc[37, list(METRICS)].astype(float), one.loc[0, list(METRICS)].astype(float), atol=1e-6)


def test_reasons():
    attention = maps(8)
    attention[1] = 0.4  # constant
    attention[2] = torch.nan  # what min-max makes of a constant map
    attention[3, 5, 5] = torch.nan
    attention[4, 5, 5] = torch.inf
    attention[5] -= 0.5
    table = scored(attention, seen([0, 9, 9, 9, 9, 9, 1, 9]))
    assert table["reason"].tolist()[:6] == [
        "no fixation", "constant map", "constant map", "NaN in the map", "infinity in the map", "negative values",
    ]  # fmt: skip
    assert table["reason"].isna().tolist()[6:] == [True, True]
    names = list(METRICS)
    assert table.loc[1:4, names].isna().all().all() and table.loc[6:, names].notna().all().all()
    assert set(table.columns[table.loc[0].notna()]) == {"entropy_bits", "reason"}  # the map itself is fine
    assert set(table.columns[table.loc[5].isna()]) == {"kl", "kl_reverse", "ig_bits"}


def test_one_fixation_and_all_on_one_pixel():
    points = seen([1, 12])
    points.row[:], points.column[:] = 3, 30
    table = scored(maps(2), points)
    assert table["reason"].isna().all() and table[list(METRICS)].notna().all().all()
    attention = maps(2).double()
    z = (attention[:, 3, 30] - attention.mean((1, 2))) / attention.std((1, 2), correction=0)
    assert np.allclose(table["nss"], z, atol=1e-5)


def test_a_metric_never_sees_a_map_that_cannot_be_used():
    def finite(attention, density, prior):
        assert attention.isfinite().all() and density.isfinite().all() and prior.shape == (1, SIZE, SIZE)
        return attention.sum((1, 2))

    attention = maps(3)
    attention[1] = torch.nan
    own = {"own": Metric(finite, "", "neither", ("attention", "density", "prior"))}
    table = scored(attention, seen([5, 5, 0]), own)
    assert table["own"].notna().tolist() == [True, False, False]


def test_maps_of_another_size():
    with pytest.raises(ValueError, match=r"needed attention maps of 32x32.*got maps of 16x16"):
        scored(torch.rand(3, 16, 16), seen([5, 5, 5]))


def test_no_image():
    assert list(scored(maps(1)[:0], seen([]))) == [*METRICS, "reason"]


def test_by_batch_is_in_order_and_gives_the_threads_back():
    before = torch.get_num_threads()
    assert np.concatenate(by_batch(lambda index: index * 2, 100)).tolist() == [2 * i for i in range(100)]
    with pytest.raises(ZeroDivisionError):
        by_batch(lambda index: 1 // 0, 100)
    assert torch.get_num_threads() == before


def test_densities_equal_the_plain_blur():
    points = seen([12, 0, 40, 7])
    mixed = replace(points, weight=points.weight * 2.5)
    mixed.sigma_px[2:] = (2.0, 4.5)
    index = np.array([3, 0, 2])
    plain = min_max(blur(counts(mixed, index), mixed.sigma_px[index]))
    assert torch.allclose(densities(mixed, index), plain, atol=1e-5)
    assert densities(mixed, np.array([1])).isnan().all()


def test_centre_gaussian():
    points = seen([40_000], seed=3)
    rng = np.random.default_rng(0)
    points.row[:] = np.round(np.clip(rng.normal(14, 3, 40_000), 0, SIZE - 1))
    points.column[:] = np.round(np.clip(rng.normal(20, 2, 40_000), 0, SIZE - 1))
    prior = centre_gaussian(points).double()
    assert prior.sum().item() == pytest.approx(1, abs=1e-6)
    place = torch.arange(SIZE).double()
    for profile, mean, sd in ((prior.sum(1), 14, 3), (prior.sum(0), 20, 2)):
        assert (profile * place).sum().item() == pytest.approx(mean, abs=0.05)
        assert ((profile * (place - mean) ** 2).sum() ** 0.5).item() == pytest.approx(sd, abs=0.05)
    # worked by hand: fixations on columns 10 and 14, mean 12, SD 2; the peak's neighbour is exp(-1/8) of it
    two = seen([2])
    two.row[:], two.column[:] = 5, (10, 14)
    prior = centre_gaussian(two)
    assert divmod(prior.argmax().item(), SIZE) == (5, 12)
    assert (prior[5, 13] / prior[5, 12]).item() == pytest.approx(np.exp(-1 / 8), rel=1e-5)
    with pytest.raises(ValueError, match="at least one fixation"):
        centre_gaussian(seen([0, 0]))
