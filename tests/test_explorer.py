"""What the explorer stores: small photos, maps as bytes, fixations, and text that stays text in a script."""

import base64
import json
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import pearsonr

from gazetune.attention.ready import write_ready
from gazetune.data.synthetic import World, load_synthetic
from gazetune.maps import densities, grid_points, upsampled
from gazetune.prepared import Prepared
from gazetune.report.explorer import script_json
from gazetune.report.explorer_maps import coarse_side, quantised, stored_fixations, stored_maps, text_of
from gazetune.report.thumbnails import long_side_px, shown_rows, thumbnail
from gazetune.run import Run


def opened(jpeg):
    return np.asarray(Image.open(BytesIO(jpeg))).astype(int)


def numbers(text, kind):
    return np.frombuffer(base64.b64decode(text), kind)


def test_all_test_images_are_shown_up_to_a_number_and_then_evenly_chosen_ones():
    parts = ["train", "test", "validation+test", "validation"] * 5
    assert shown_rows(parts).tolist() == [1, 2, 5, 6, 9, 10, 13, 14, 17, 18]
    # of ten, places 0, 3, 6, 9
    assert shown_rows(parts, 4).tolist() == [1, 6, 13, 18]
    many = shown_rows(["test"] * 12_345)
    assert len(many) == 5000 and (many[0], many[-1]) == (0, 12_344) and set(np.diff(many)) == {2, 3}
    assert shown_rows(["train"]).tolist() == []


def test_a_thumbnail_has_the_proportions_of_the_photo_and_is_not_enlarged():
    squashed = np.zeros((224, 224, 3), np.uint8)
    squashed[:, :112, 0] = squashed[:, 112:, 2] = 200
    # 4:3: the height keeps its 224 pixels; 3:4: the width does
    assert opened(thumbnail(squashed, (800, 600), 512)).shape == (224, 299, 3)
    assert opened(thumbnail(squashed, (600, 800), 512)).shape == (299, 224, 3)
    assert opened(thumbnail(squashed, (800, 600), 256)).shape == (192, 256, 3)
    small = np.zeros((30, 40, 3), np.uint8)
    assert opened(thumbnail(small, (40, 30), 512)).shape == (30, 40, 3)
    strip = np.zeros((2, 2000, 3), np.uint8)
    assert opened(thumbnail(strip, (2000, 2), 256)).shape == (1, 256, 3)
    left, right = (opened(thumbnail(squashed, (800, 600), 256))[96, x] for x in (40, 210))
    assert np.abs(left - [200, 0, 0]).max() < 8 and np.abs(right - [0, 0, 200]).max() < 8


def test_many_photos_are_kept_smaller():
    assert [long_side_px(n) for n in (1, 1000, 1001, 5000)] == [512, 512, 256, 256]


def test_maps_are_kept_in_256_steps():
    grid = torch.tensor([[[0.0, 1.0], [0.5, 0.25]], [[7.0, 7.0], [7.0, 7.0]], [[0.0, torch.nan], [1.0, 2.0]]])
    steps, missing = quantised(grid)
    assert steps[0].tolist() == [[0, 255], [128, 64]]  # 127.5 goes to the even 128
    assert missing == [1, 2] and not steps[1:].any()
    random = torch.rand(5, 14, 14, generator=torch.Generator().manual_seed(0))
    np.testing.assert_array_equal(quantised(3 * random + 2)[0], quantised(random)[0])
    back = torch.from_numpy(quantised(random)[0]).float()
    assert (upsampled(back) - upsampled(random)).abs().max() < 1.5 / 255


def test_a_human_map_survives_being_kept_on_a_small_grid():
    points = grid_points(load_synthetic(World(images=8)))
    whole = densities(points)
    # sigma is 15 pixels; a cell has 4 of 224 pixels on the grid of few images, 7 on that of many
    for many, least_r, most in ((8, 0.9995, 0.08), (5000, 0.998, 0.15)):
        side = coarse_side(many)
        kept, _ = quantised(torch.nn.functional.adaptive_avg_pool2d(whole, side))
        shown = upsampled(torch.from_numpy(kept).float())
        assert min(pearsonr(a.flatten(), b.flatten())[0] for a, b in zip(whole, shown, strict=True)) > least_r
        assert (whole - shown).abs().max() < most
    assert [coarse_side(n) for n in (1000, 1001)] == [56, 32]


@pytest.fixture(scope="module")
def world():
    stimuli = load_synthetic(World(images=6))
    table = pd.DataFrame({"image": stimuli.ids, "split": ["train", "test"] * 3, "reason": pd.NA})
    points = grid_points(stimuli)
    return Prepared(
        "synthetic", table, points, (), "", Path("nowhere"), pd.DataFrame(), {}, ("Ann", "Bo", *map(str, range(2, 15)))
    )


def test_fixations_are_kept_cell_by_cell(world):
    stored = stored_fixations(world, np.array([1, 5]))
    offsets = numbers(stored["offsets"], "<u4")
    for i, row in enumerate((1, 5)):
        theirs = slice(*world.points.offsets[row : row + 2])
        ours = slice(*offsets[i : i + 2])
        np.testing.assert_array_equal(numbers(stored["row"], "u1")[ours], world.points.row[theirs])
        np.testing.assert_array_equal(numbers(stored["column"], "u1")[ours], world.points.column[theirs])
        who = [stored["observers"][k] for k in numbers(stored["observer"], "u1")[ours]]
        assert who == world.observer_names(world.points.observer[theirs])
    assert stored["cells"] == 224 and stored["observers"][:2] == ["Ann", "Bo"] and not stored["wide"]
    np.testing.assert_array_equal(numbers(stored["counted"], "<u4"), np.diff(offsets))


def test_many_fixations_are_thinned_evenly_and_counted(world):
    assert numbers(stored_fixations(world, np.array([1, 5]), 10, 7)["offsets"], "<u4").tolist() == [0, 7, 14]
    stored = stored_fixations(world, np.array([1, 5]), most=10, least=3)  # two images: five each
    assert numbers(stored["offsets"], "<u4").tolist() == [0, 5, 10]
    start, stop = world.points.offsets[1:3]
    chosen = start + np.round(np.linspace(0, stop - start - 1, 5)).astype(int)
    np.testing.assert_array_equal(numbers(stored["row"], "u1")[:5], world.points.row[chosen])
    assert numbers(stored["counted"], "<u4")[0] == stop - start


def test_ready_made_maps_are_kept_as_means_of_cells_and_missing_ones_named(world, tmp_path):
    made = np.random.default_rng(0).random((2, 224, 224)).astype(np.float32)
    files = {}
    for values, image in zip(made, ("scene-00001", "scene-00005"), strict=True):
        files[image] = tmp_path / f"{image}.npy"
        np.save(files[image], values)
    run, ids = Run(tmp_path / "run"), world.table["image"].iloc[world.rows("test")].tolist()
    write_ready(run, "attention/synthetic/theirs", "", files, ids, 224, skip_bad=True)
    stored = stored_maps(run, world, np.array([3, 5]), ["theirs"])  # of three test images the last two
    assert stored["theirs"]["missing"] == [0] and stored["theirs"]["grid"] == [56, 56]
    means = made[1].reshape(56, 4, 56, 4).mean(axis=(1, 3))
    want = np.round((means - means.min()) / (means.max() - means.min()) * 255)
    kept = numbers(stored["theirs"]["data"], "u1").reshape(2, 56, 56)
    assert np.abs(kept[1] - want).max() <= 1 and not kept[0].any()
    assert stored["human"]["missing"] == []


def test_no_image_gives_empty_columns(world):
    stored = stored_fixations(world, np.zeros(0, dtype=np.int64))
    assert numbers(stored["offsets"], "<u4").tolist() == [0] and stored["row"] == ""


def test_numbers_are_written_little_endian():
    assert base64.b64decode(text_of(np.array([1, 258], dtype=">u4"))) == bytes([1, 0, 0, 0, 2, 1, 0, 0])


@given(st.text(st.sampled_from("</script>!-&\u2028\u2029\"'\\ aä")))
def test_no_text_ends_a_script(text):
    written = script_json({text: [text]})
    assert not set("<>\u2028\u2029") & set(written)
    assert json.loads(written) == {text: [text]}
