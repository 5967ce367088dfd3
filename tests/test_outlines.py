"""Outlines to masks: the box of an outline gives the pixels that the whole image gives."""

import numpy as np
import pytest

pytest.importorskip("pycocotools")
from gazetune.data.outlines import outlined, outlined_crop


def placed(crop, height, width):
    top, left, pixels = crop
    whole = np.zeros((height, width), dtype=bool)
    whole[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return whole


def test_a_square_by_hand():
    square = np.array([[2.0, 1.0], [5.0, 1.0], [5.0, 4.0], [2.0, 4.0]])
    expected = np.zeros((6, 8), dtype=bool)
    expected[1:4, 2:5] = True
    assert np.array_equal(outlined([square], 6, 8), expected)
    assert np.array_equal(placed(outlined_crop([square], 6, 8), 6, 8), expected)
    assert outlined_crop([square], 6, 8)[2].size < expected.size
    both = [square, square + np.array([3, 2])]
    expected[3:6, 5:8] = True
    assert np.array_equal(outlined(both, 6, 8), expected)


def test_the_box_gives_the_same_pixels_also_of_outlines_that_leave_the_image():
    rng = np.random.default_rng(0)
    for k in range(600):
        height, width = (int(v) for v in rng.integers(5, 60, 2))
        beyond = 20 * (k % 2)
        # two decimals as in COCO, so that many corners lie halfway between two of pycocotools' fifths
        outlines = [
            np.round(rng.uniform(-beyond, (width + beyond, height + beyond), (int(rng.integers(3, 9)), 2)), 2)
            for _ in range(1 + k % 3)
        ]
        whole = outlined(outlines, height, width)
        assert np.array_equal(placed(outlined_crop(outlines, height, width), height, width), whole)
