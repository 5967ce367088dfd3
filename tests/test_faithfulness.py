"""Deletion and insertion on models whose answer is known in closed form."""

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import nn

from gazetune.backbones import Output
from gazetune.faithfulness import (
    Faithfulness,
    area,
    blurred,
    counts_at,
    curves,
    faithfulness,
    mean_colour,
    random_order,
    ranks,
    taken,
)

SIDE = 8  # pixels; cells of 4x4


class Counting:
    """A model of images of SIDE x SIDE whose answer is p(class 1) = share of white pixels in its left half."""

    heads, grid, image_size, classes, gives = 0, (2, 2), (SIDE, SIDE), (), frozenset()
    model = nn.Linear(1, 1)
    learnable = normalisation = save = lambda *_: None

    def __init__(self, has_head=True):
        self.has_head, self.asked = has_head, []

    def __call__(self, images, attention="mean"):
        self.asked.append(len(images))
        white = (images[:, 0, :, : SIDE // 2] > 250).float().mean((1, 2))
        vector = torch.stack([1 - white, white], dim=1)
        if self.has_head:
            return Output(vector.clamp(min=1e-30).log(), vector, (), 0, self.grid)
        return Output(None, vector, (), 0, self.grid, representation=vector)


def white(n=1):
    """A white image with one black pixel in the right half, so that its mean colour is not white."""
    images = torch.full((n, 3, SIDE, SIDE), 255, dtype=torch.uint8)
    images[:, :, :, -1] = 0
    return images


def grid(*values):
    return torch.tensor(values, dtype=torch.float32).view(1, 2, 2)


STEPS = Faithfulness(steps=4, sigma_px=1000.0)  # so wide a blur that no pixel of its canvas is white


@pytest.mark.parametrize("batch_size", [1, 3, 64])
def test_areas_worked_by_hand(batch_size):
    # left cells first: the answer falls 1, 1/2, 0, 0, 0; trapezia over quarters: (1/2 + 1/2 + 0 + 0 + 0)/4
    left_first, right_first = grid(4, 2, 3, 1), grid(1, 3, 2, 4)
    out, back = curves(Counting(), white(), left_first, STEPS, batch_size)
    assert out[0].tolist() == pytest.approx([1, 0.5, 0, 0, 0])
    assert back[0].tolist() == pytest.approx([0, 0.5, 1, 1, 1])
    table = faithfulness(Counting(), lambda a, b: white(b - a), torch.cat([left_first, right_first]), STEPS, batch_size)
    assert table["deletion"].tolist() == pytest.approx([0.25, 0.75])
    assert table["insertion"].tolist() == pytest.approx([0.75, 0.25])
    assert table["reason"].isna().all()


def test_without_classes_the_answer_is_the_cosine_to_the_whole_image():
    out, back = curves(Counting(has_head=False), white(), grid(4, 2, 3, 1), STEPS, 64)
    half = 0.5**0.5  # of (1/2, 1/2) to (0, 1)
    assert out[0].tolist() == pytest.approx([1, half, 0, 0, 0], abs=1e-6)
    assert back[0].tolist() == pytest.approx([0, half, 1, 1, 1], abs=1e-6)


def test_the_class_is_that_of_the_whole_image_throughout():
    images = white()
    images[:, :, 3:, : SIDE // 2] = 0  # 3 of 8 rows white: the model sees class 0, with 5/8
    out, _ = curves(Counting(), images, grid(4, 2, 3, 1), STEPS, 64)
    assert out[0].tolist() == pytest.approx([5 / 8, 1, 1, 1, 1])


def test_only_the_order_of_a_map_counts():
    maps = random_order(5, (2, 2))
    table, scaled = (faithfulness(Counting(), lambda a, b: white(b - a), m, STEPS) for m in (maps, (7 * maps).exp()))
    assert table["deletion"].tolist() == scaled["deletion"].tolist()


def test_a_random_order_lies_between_the_best_and_the_worst():
    maps = random_order(400, (2, 2))
    table = faithfulness(Counting(), lambda a, b: white(b - a), maps, STEPS)
    # the mean over orders of a quarter of the answers inside: (3/4 + 1/2 + 1/4 + 1/2) / 4 and the same put in
    assert table["deletion"].mean() == pytest.approx(0.5, abs=0.03)
    assert table["insertion"].mean() == pytest.approx(0.5, abs=0.03)
    assert torch.equal(maps, random_order(400, (2, 2)))


def test_a_constant_map_has_no_area_and_the_others_have():
    maps = torch.cat([grid(1, 1, 1, 1), grid(4, 2, 3, 1), grid(1, 2, float("nan"), 3)])
    table = faithfulness(Counting(), lambda a, b: white(b - a), maps, STEPS)
    assert np.isnan(table["deletion"][[0, 2]]).all() and table["deletion"][1] == pytest.approx(0.25)
    assert table["reason"].fillna("").tolist() == ["constant map", "", "constant map"]


def test_ranks_are_by_falling_value_and_ties_in_reading_order():
    assert ranks(grid(0.5, 0.9, 0.5, 0.1)).flatten().tolist() == [1, 0, 2, 3]


def test_counts_go_from_none_to_all_in_steps_as_equal_as_can_be():
    assert counts_at(4, 256).tolist() == [0, 64, 128, 192, 256]
    assert counts_at(3, 7).tolist() == [0, 2, 5, 7]
    assert counts_at(16, 4).tolist() == [0, 1, 2, 3, 4]


def test_images_are_spread_evenly():
    assert Faithfulness(images=3).chosen(9).tolist() == [0, 4, 8]
    assert Faithfulness(images=30).chosen(4).tolist() == Faithfulness().chosen(4).tolist() == [0, 1, 2, 3]


def test_the_area_weighs_steps_by_the_cells_they_take():
    assert area(torch.tensor([[1.0, 0.0, 0.0, 0.0]]), torch.tensor([0, 2, 5, 7])).item() == pytest.approx(1 / 7)
    assert area(torch.ones(1, 4), torch.tensor([0, 2, 5, 7])).item() == pytest.approx(1)


def test_cells_cover_the_pixels_of_any_grid():
    rank = torch.arange(6).view(1, 2, 3)
    gone = taken(rank, torch.tensor([0, 1, 5, 6]), (5, 7))
    assert gone.shape == (1, 4, 1, 5, 7)
    assert gone.sum((2, 3, 4))[0].tolist() == [0, 9, 31, 35]  # the first cell has 3x3, the last 2x2
    assert not gone[0, 2, 0, 3:, 5:].any() and gone[0, 2, 0, :3].all()


def test_baselines():
    photo = torch.randint(0, 256, (2, 3, 32, 48), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    flat = mean_colour(photo)
    assert flat[1, 2].unique().tolist() == [round(photo[1, 2].double().mean().item())]
    soft = blurred(photo, 14.0)  # 2 px down, 3 px across
    inside = gaussian_filter(photo[0, 0].double().numpy(), (2, 3), mode="constant", truncate=4)
    inside /= gaussian_filter(np.ones((32, 48)), (2, 3), mode="constant", truncate=4)
    assert np.abs(soft[0, 0].double().numpy() - inside).max() <= 0.5 + 1e-3
    assert torch.equal(blurred(torch.full_like(photo, 200), 14.0), torch.full_like(photo, 200))  # no dark edge


def test_the_whole_image_is_asked_once():
    model = Counting()
    curves(model, white(2), torch.cat([grid(4, 2, 3, 1)] * 2), STEPS, 64)
    assert sum(model.asked) == 2 * (1 + 4 + 4)


def test_steps_of_a_real_model_are_those_of_plain_loops():
    from gazetune.backbones import load_backbone

    backbone = load_backbone("tiny")
    size = backbone.image_size
    photo = torch.randint(0, 256, (1, 3, *size), dtype=torch.uint8, generator=torch.Generator().manual_seed(5))
    maps, settings = random_order(1, backbone.grid), Faithfulness(steps=5)
    out, back = curves(backbone, photo, maps, settings, 4)
    cells = [(i, j) for i in range(backbone.grid[0]) for j in range(backbone.grid[1])]
    cells.sort(key=lambda ij: -maps[0][ij].item())
    side, canvas = size[0] // backbone.grid[0], blurred(photo, 10.0)
    with torch.no_grad():
        wanted = backbone(photo).logits.argmax().item()
        for step, count in enumerate(counts_at(5, len(cells)).tolist()):
            gone, shown = photo.clone(), canvas.clone()
            for i, j in cells[:count]:
                place = (..., slice(i * side, (i + 1) * side), slice(j * side, (j + 1) * side))
                gone[place] = photo.float().mean((2, 3), keepdim=True).round().to(torch.uint8)
                shown[place] = photo[place]
            for curve, image in ((out, gone), (back, shown)):
                expected = backbone(image).logits.softmax(1)[0, wanted].item()
                assert curve[0, step].item() == pytest.approx(expected, abs=1e-5)
