import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from gazetune.data.stimuli import Fixations, Stimuli
from gazetune.errors import InputError
from gazetune.maps import Human, blur, counts, densities, density, grid_points, min_max, upsampled


def study(x, y, width=100, height=50, **columns):
    n = len(x)
    return Stimuli(
        name="hand",
        ids=("a",),
        width=np.array([width]),
        height=np.array([height]),
        fixations=Fixations(np.array(x, float), np.array(y, float), np.zeros(n, int), **columns),
        offsets=np.array([0, n]),
        paths=(None,),
    )


def test_a_fixation_falls_into_the_cell_worked_by_hand():
    # 100 x 50 onto 10 x 10: x = 99.9 -> floor(9.99) = 9; y = 4.9 -> floor(.98) = 0, y = 5 -> 1
    points = grid_points(study([0, 99.9, 10.0], [4.9, 5.0, 49.9]), size=10)
    assert points.column.tolist() == [0, 9, 1]
    assert points.row.tolist() == [0, 1, 9]
    found = counts(points)[0]
    assert found[0, 0] == found[1, 9] == found[9, 1] == 1
    assert found.sum() == 3


def test_repeated_fixations_count():
    assert counts(grid_points(study([5, 5, 6], [5, 5, 5]), size=10))[0, 1, 0] == 3


@given(st.floats(0.3, 8.0), st.integers(0, 2**31))
@settings(max_examples=20, deadline=None)
def test_blur_equals_scipy_with_zero_padding(sigma, seed):
    maps = np.random.default_rng(seed).poisson(0.05, (2, 23, 31)).astype(np.float64)
    ours = blur(torch.from_numpy(maps), sigma)
    exact = float(np.float32(sigma))  # scipy would square a float32 in float32
    for one, theirs in zip(ours, maps, strict=True):
        np.testing.assert_allclose(one, gaussian_filter(theirs, exact, mode="constant", truncate=4), atol=1e-12)


def test_sigma_in_degrees_follows_the_frame():
    human = Human(sigma_deg=1.0, pixels_per_degree=20.0)
    points = grid_points(study([50], [25]), human, size=200)
    np.testing.assert_allclose(points.sigma_px, [[20 * 200 / 50, 20 * 200 / 100]])
    found = densities(points)[0]
    assert found[100, 100] == 1
    assert found[100 + 40, 100] == pytest.approx(found[100, 100 + 20].item(), abs=1e-6)  # half a degree each way


def test_options_choose_fixations():
    times = {
        "order": np.array([0, 1, 2]),
        "onset_ms": np.array([0.0, 300, 600]),
        "duration_ms": np.array([100.0, 200, 400]),
    }
    data = study([1, 2, 3], [1, 1, 1], **times)
    assert len(grid_points(data, Human(drop_first=True)).row) == 2
    assert len(grid_points(data, Human(window_ms=(300, 600))).row) == 1
    assert grid_points(data, Human(weight="duration")).weight.tolist() == [100, 200, 400]
    with pytest.raises(InputError, match="duration_ms"):
        grid_points(study([1], [1]), Human(weight="duration"))


@pytest.mark.parametrize("start", [0, 1])
def test_the_first_fixation_is_the_lowest_order_of_the_data_set(start, capsys):
    # the second observer's first fixation was lost before: of theirs, all stay
    order = np.array([0, 1, 2, 1, 2]) + start
    data = study([1, 2, 3, 4, 5], [1] * 5, order=order)
    assert grid_points(data, Human(drop_first=True), size=100).column.tolist() == [2, 3, 4, 5]
    assert f"1 of 5 fixations (order {start}) are left out" in capsys.readouterr().err
    assert len(grid_points(study([], [], order=np.array([], int)), Human(drop_first=True)).row) == 0


def test_no_fixation_and_constant_maps_become_nan():
    assert density(study([], [])).isnan().all()
    assert min_max(torch.ones(1, 3, 3)).isnan().all()
    assert min_max(1 + 1e-7 * torch.rand(1, 3, 3)).isnan().all()  # rounding is not a map
    assert min_max(1 + 1e-4 * torch.rand(1, 3, 3)).max() == 1


def test_upsampled_runs_from_0_to_1(generator):
    maps = upsampled(torch.rand(3, 7, 9, generator=generator), 64)
    assert maps.shape == (3, 64, 64)
    assert maps.amin((1, 2)).tolist() == [0, 0, 0]
    assert maps.amax((1, 2)).tolist() == [1, 1, 1]


def test_taking_images_keeps_their_points():
    data = study([1, 2, 3], [1, 2, 3])
    three = Stimuli(
        name="three", ids=("a", "b", "c"), width=np.array([10] * 3), height=np.array([10] * 3),
        fixations=data.fixations, offsets=np.array([0, 1, 1, 3]), paths=(None,) * 3,
    )  # fmt: skip
    points = grid_points(three, size=10)
    for index in ([2, 0], [1, 2], [0, 0], [-1], [1], []):  # in a row: seen, not copied
        assert torch.equal(counts(points.take(np.array(index, dtype=int))), counts(points)[index])
    assert np.shares_memory(points.take(np.array([1, 2])).row, points.row)
    assert torch.equal(counts(points, np.array([1])), torch.zeros(1, 10, 10))
    assert three.take(np.array([2])).fixations.x.tolist() == [2, 3]


def test_a_point_rounded_up_to_the_edge_stays_in_the_last_cell():
    near = np.array([np.float32(99.9999999)])  # 100 in float32
    points = grid_points(study(near, [0.0]), size=10)
    assert points.column.tolist() == [9]


def test_fixations_of_no_duration_weigh_nothing():
    data = study([1, 2], [1, 1], duration_ms=np.array([0.0, 0.0]))
    assert len(grid_points(data, Human(weight="duration")).row) == 0
