"""The corruptions against the original package's stored pixels, against plain loops and libraries, and by hand."""

import colorsys
import csv
import hashlib
import math
import sys
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from corruption_images import SIZES, drawn_image, fixture_seed, sampled
from gazetune.errors import InputError
from gazetune.parity.corruptions import CORRUPTIONS, IMAGENET_C, SEVERITIES, corrupt, image_seed, not_run, optional
from gazetune.parity.corruptions.blur import _copied, _disk, smeared
from gazetune.parity.corruptions.resample import displaced, enlarged_centre
from gazetune.parity.corruptions.weather import _clouds, _grey

FIXTURES = Path(__file__).parent / "fixtures"
RUNNABLE = [name for name in CORRUPTIONS if not_run(name) is None]  # frost and spatter need the extra `corruptions`
ROUNDED = ("defocus_blur", "motion_blur")  # one level on a thousandth of the pixels may differ


@cache
def drawn(name):
    pixels = drawn_image(name)
    pixels.flags.writeable = False  # a corruption that changed its input would fail
    return pixels


@cache
def stored():
    with (FIXTURES / "corruptions.csv").open() as opened:
        return {(r["image"], r["corruption"], int(r["severity"])): r for r in csv.DictReader(opened)}


def made(image, name, severity):
    return corrupt(drawn(image), name, severity, fixture_seed(image, name, severity))


def gradient(height=40, width=48):
    row, column, channel = np.indices((height, width, 3))
    return ((row * 5 + column * 3 + channel * 40) % 256).astype(np.uint8)


def test_every_corruption_is_stored_for_every_image():
    assert set(stored()) == {(i, n, s) for i in SIZES for n in CORRUPTIONS for s in SEVERITIES}
    assert len(CORRUPTIONS) == 19 and len(IMAGENET_C) == 15


@pytest.mark.parametrize("name", [n for n in RUNNABLE if n != "impulse_noise"])
def test_same_pixels_as_the_original(name):
    full = np.load(FIXTURES / "corruptions.npz")
    for image in SIZES:
        for severity in SEVERITIES:
            pixels, row = made(image, name, severity), stored()[image, name, severity]
            same = hashlib.sha256(pixels.tobytes()).hexdigest() == row["sha256"]
            if name in ROUNDED and not same:
                near = np.abs(np.array(sampled(pixels)) - np.array(row["samples"].split(), dtype=int))
                assert near.max() <= 1
                if f"{image}/{name}/{severity}" in full:
                    apart = np.abs(full[f"{image}/{name}/{severity}"].astype(int) - pixels)
                    assert apart.max() <= 1 and (apart > 0).mean() <= 1e-3
            else:
                assert sampled(pixels) == [int(v) for v in row["samples"].split()], (image, severity)
                assert same, (image, severity)


@pytest.mark.parametrize("severity", SEVERITIES)
def test_impulse_noise_is_distributed_as_the_original(severity):
    share = CORRUPTIONS["impulse_noise"].severities[severity - 1]
    before, after = drawn("square"), made("square", "impulse_noise", severity)
    row = stored()["square", "impulse_noise", severity]
    changed = after != before
    assert set(np.unique(after[changed])) == {0, 255}
    for value, name in ((0, "black"), (255, "white")):
        other = before > 0 if value == 0 else before < 255
        found = np.mean(after[other] == value)
        already = 4 * math.sqrt(share / 2 * (1 - share / 2) / other.sum())
        assert abs(found - share / 2) < already + np.mean(before[other] == value)
        assert abs(found - float(row[name])) < math.sqrt(2) * already
    channels = changed[..., 0] & changed[..., 1] & ((before > 0) & (before < 255)).all(axis=2)
    assert channels.mean() < 2 * share**2 + 0.002  # each value by itself, not whole pixels


@pytest.mark.parametrize("name", RUNNABLE)
def test_depends_on_the_arguments_alone(name):
    cases = [(image, severity) for image in ("small", "wide") for severity in (1, 3, 5)]
    alone = [made(image, name, severity) for image, severity in cases]
    np.random.seed(7)  # noqa: NPY002
    with ThreadPoolExecutor(3) as pool:
        together = list(pool.map(lambda case: made(case[0], name, case[1]), reversed(cases)))[::-1]
    for (image, _), first, second in zip(cases, alone, together, strict=True):
        assert np.array_equal(first, second)
        assert first.dtype == np.uint8 and first.shape == drawn(image).shape and first.flags.writeable
    other = corrupt(drawn("wide"), name, 3, 1)
    assert np.array_equal(other, corrupt(drawn("wide"), name, 3, 2)) != CORRUPTIONS[name].random


def test_seed_of_an_image():
    # the first eight hex digits of sha256 of ["a", "fog", 1, 0]
    assert image_seed("a", "fog", 1) == 0x9E62BE7E
    seeds = {image_seed(i, n, s, k) for i in ("a", "b") for n in CORRUPTIONS for s in SEVERITIES for k in (0, 1)}
    assert len(seeds) == 2 * 19 * 5 * 2


@pytest.mark.parametrize(
    ("name", "severity", "seed", "size", "message"),
    [
        ("rain", 1, 0, 40, "no corruption called 'rain'"),
        ("fog", 0, 0, 40, "from 1 to 5, not 0"),
        ("fog", 6, 0, 40, "from 1 to 5, not 6"),
        ("fog", 1, -1, 40, "from 0 to 4294967295"),
        ("fog", 1, 2**32, 40, "from 0 to 4294967295"),
        ("fog", 1, 0, 31, "at least 32 pixels"),
    ],
)
def test_refuses(name, severity, seed, size, message):
    with pytest.raises(InputError, match=message):
        corrupt(np.zeros((40, size, 3), dtype=np.uint8), name, severity, seed)


# --- noise


def test_noise_is_drawn_in_order():
    pixels = gradient()
    unit = pixels / 255
    normal = np.random.RandomState(3).normal(scale=0.08, size=pixels.shape)
    assert np.array_equal(
        corrupt(pixels, "gaussian_noise", 1, 3), (np.clip(unit + normal, 0, 1) * 255).astype(np.uint8)
    )
    normal = np.random.RandomState(3).normal(scale=0.15, size=pixels.shape)
    expected = (np.clip(unit + unit * normal, 0, 1) * 255).astype(np.uint8)
    assert np.array_equal(corrupt(pixels, "speckle_noise", 1, 3), expected)


def test_shot_noise_counts_photons():
    black, white = np.zeros((64, 64, 3), dtype=np.uint8), np.full((64, 64, 3), 255, dtype=np.uint8)
    assert not corrupt(black, "shot_noise", 5, 0).any()
    seen = corrupt(white, "shot_noise", 5, 0)
    assert set(np.unique(seen)) == {0, 85, 170, 255}  # 0, 1, 2, 3 or more of 3 photons
    assert abs(np.mean(seen == 0) - math.exp(-3)) < 4 * math.sqrt(math.exp(-3) / seen.size)


# --- blur


def test_disk():
    assert np.count_nonzero(_disk(3, 0.1) > 1e-6) == 29  # pixels within a radius of 3
    assert _disk(3, 0.1).max() == np.float32(1 / 29)
    assert _disk(10, 0.5).shape == (21, 21)
    for turned in (_disk(6, 0.5)[::-1], _disk(6, 0.5).T):
        assert np.allclose(_disk(6, 0.5), turned, rtol=1e-6, atol=0)
    # the frame mirrors what the edge loses: the sums are the original's
    assert [round(float(_disk(*d).sum()), 4) for d in CORRUPTIONS["defocus_blur"].severities] == [
        1,
        1,
        1,
        1.013,
        1.0108,
    ]


def test_defocus_is_a_convolution():
    pixels = gradient()
    for severity, disk in enumerate(CORRUPTIONS["defocus_blur"].severities, 1):
        kernel = _disk(*disk).astype(float)[..., None]
        expected = ndimage.correlate(pixels / 255, kernel, mode="mirror").clip(0, 1) * 255
        apart = corrupt(pixels, "defocus_blur", severity, 0) - expected
        assert apart.max() < 1e-9 and apart.min() > -1 - 1e-9  # cut off


def test_glass_copies_in_turn():
    height, width, farthest = 20, 17, 3
    source = np.arange(height * width).reshape(height, width)
    draws = np.random.RandomState(5)
    for row in range(height - farthest, farthest, -1):
        for column in range(width - farthest, farthest, -1):
            right, down = draws.randint(-farthest, farthest, size=2)
            source[row, column] = source[row + down, column + right]
    found = _copied(height, width, farthest, np.random.RandomState(5))
    assert np.array_equal(found.reshape(height, width), source)


def test_smear_of_a_point():
    point = np.zeros((9, 9, 1))
    point[4, 4] = 1
    lines = np.concatenate([values for _, values in smeared(point, 1, 1.0, 0.0)])[..., 0]
    total = 1 + math.exp(-0.5) + math.exp(-2)  # steps to the left: 0, 1, 2
    assert lines[4, [4, 3, 2, 1, 5]] == pytest.approx([1 / total, math.exp(-0.5) / total, math.exp(-2) / total, 0, 0])
    up = np.concatenate([values for _, values in smeared(point, 1, 1.0, 90.0)])[..., 0]
    assert np.allclose(up, lines.T)
    even = np.concatenate([values for _, values in smeared(np.full((40, 40, 3), 7.0), 20, 15.0, -30.0)])
    assert np.allclose(even, 7)  # edge pixels are continued, so that nothing comes in from outside


@pytest.mark.parametrize("factor", [1.0, 1.06, 1.15, 1.3, 2.5, 4.5])
@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_enlarged_as_scipy(factor, kind):
    pixels = (drawn("wide") / 255).astype(kind)
    (height, width), (top, left) = pixels.shape[:2], (0, 0)
    rows, columns = math.ceil(height / factor), math.ceil(width / factor)
    top, left = (height - rows) // 2, (width - columns) // 2
    expected = ndimage.zoom(pixels[top : top + rows, left : left + columns], (factor, factor, 1), order=1)
    found = enlarged_centre(pixels, factor)
    assert found.dtype == kind and found.shape[0] >= height and found.shape[1] >= width
    # float32 is what pixels are made of; in float64 a processor may join a product and a sum
    assert np.array_equal(found, expected) if kind == np.float32 else np.abs(found - expected).max() < 1e-15


def test_blurs_leave_even_areas():
    even = np.full((40, 50, 3), 100, dtype=np.uint8)
    for name in ("gaussian_blur", "glass_blur", "motion_blur", "zoom_blur", "elastic_transform"):
        assert np.abs(corrupt(even, name, 3, 0).astype(int) - 100).max() <= 1, name


# --- weather


def test_clouds():
    clouds = _clouds(64, 2.0, np.random.RandomState(0))
    assert clouds.min() == 0 and clouds.max() == 1
    steps = np.abs(np.diff(clouds, axis=1)).mean()
    assert steps < np.abs(np.diff(_clouds(64, 1.4, np.random.RandomState(0)), axis=1)).mean()  # slower decay, rougher


def test_fog_on_white_and_black():
    assert not corrupt(np.zeros((64, 64, 3), dtype=np.uint8), "fog", 1, 0).any()
    white = corrupt(np.full((64, 64, 3), 255, dtype=np.uint8), "fog", 1, 0)
    assert white.min() == 102 and white.max() == 255  # 255 / (1 + 1.5) where there is no cloud


def test_snow_only_adds():
    pixels = drawn("wide")
    assert (corrupt(pixels, "snow", 1, 0).astype(int) >= pixels.astype(int) - 1).all()
    assert (corrupt(np.full((40, 40, 3), 255, dtype=np.uint8), "snow", 5, 0) == 255).all()


def test_grey_of_white_and_of_pure_colours():
    unit = np.array([[[1, 1, 1], [1, 0, 0], [0, 1, 0], [0, 0, 1]]], dtype=np.float32)
    assert _grey(unit)[0].tolist() == pytest.approx([1, 0.299, 0.587, 0.114])


def test_frost_on_black_is_part_of_a_photo():
    if not_run("frost"):  # then it says so, whoever asks
        with pytest.raises(InputError, match="corruptions"):
            corrupt(np.zeros((100, 120, 3), dtype=np.uint8), "frost", 1, 4)
        return
    black = np.zeros((100, 120, 3), dtype=np.uint8)
    draws = np.random.RandomState(4)
    photo = optional.frost_layer(draws.randint(5), 100, 120)
    top, left = draws.randint(0, photo.shape[0] - 100), draws.randint(0, photo.shape[1] - 120)
    expected = (0.4 * photo[top : top + 100, left : left + 120]).astype(np.uint8)
    assert np.array_equal(corrupt(black, "frost", 1, 4), expected)
    assert optional.frost_layer(1, 700, 100).shape[0] == math.ceil(315 * (700 / 315 * 1.1))


@pytest.mark.parametrize("damaged", [True, False])
def test_frost_says_what_it_lacks(damaged, tmp_path, monkeypatch):
    folder = tmp_path / "imagecorruptions" / "frost"
    folder.mkdir(parents=True)
    (folder / "frost1.png").write_bytes(b"another file")
    about = tmp_path / "imagecorruptions-1.1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: imagecorruptions\nVersion: 1.1.2\n")
    (about / "RECORD").write_text("imagecorruptions/frost/frost1.png,,\n" if damaged else "")
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    optional.frost_photo.cache_clear()
    with pytest.raises(InputError, match="sha256 differs" if damaged else "not installed") as found:
        optional.frost_photo("frost1.png")
    assert "pip install" in str(found.value)
    assert not_run("frost") is not None and not_run("fog") is None


def test_mud_is_brown():
    muddy = corrupt(np.full((64, 64, 3), 255, dtype=np.uint8), "spatter", 5, 0).reshape(-1, 3).astype(int)
    covered = muddy[muddy[:, 0] < 110]
    assert len(covered) > 100
    assert (np.abs(covered.min(axis=0) - [63, 42, 20]) <= 1).all()


# --- digital


def test_hsv_as_colorsys():
    pixels = np.random.default_rng(0).integers(0, 256, (32, 32, 3), dtype=np.uint8)
    brighter, greyer = corrupt(pixels, "brightness", 1, 0), corrupt(pixels, "saturate", 1, 0)
    for place in np.ndindex(32, 32):
        hue, saturation, value = colorsys.rgb_to_hsv(*(pixels[place] / 255))
        expected = np.array(colorsys.hsv_to_rgb(hue, saturation, min(value + 0.1, 1))) * 255
        assert np.abs(brighter[place] - expected).max() < 1 + 1e-9
        expected = np.array(colorsys.hsv_to_rgb(hue, saturation * 0.3, value)) * 255
        assert np.abs(greyer[place] - expected).max() < 1 + 1e-9


def test_digital_by_hand():
    def pixel(name, severity, *levels):
        return corrupt(np.full((32, 32, 3), levels, dtype=np.uint8), name, severity, 0)[5, 5].tolist()

    assert pixel("brightness", 1, 100, 100, 100) == [125, 125, 125]  # 100 + 25.5, cut off
    assert pixel("brightness", 5, 200, 100, 0) == [255, 127, 0]  # V at most 1, hue and saturation kept
    assert pixel("saturate", 2, 201, 100, 100) == [201, 190, 190]  # S a tenth: 201 - 101 / 10
    halves = np.full((32, 32, 3), 100, dtype=np.uint8)
    halves[16:] = 200
    assert sorted(set(corrupt(halves, "contrast", 5, 0).ravel())) == [147, 152]  # 150 +- 50 / 20, cut off


def test_pixelate_averages_squares():
    pixels = np.zeros((32, 32, 3), dtype=np.uint8)
    pixels[:2, :4] = 200  # half of the first square of 4 x 4
    found = corrupt(pixels, "pixelate", 5, 0)
    assert (found[:4, :4] == 100).all()
    assert not found[4:].any() and not found[:, 4:].any()


def test_jpeg_is_pillows():
    file = BytesIO()
    Image.fromarray(drawn("wide")).save(file, "JPEG", quality=7)
    assert np.array_equal(corrupt(drawn("wide"), "jpeg_compression", 5, 0), np.asarray(Image.open(file)))


def test_displaced_as_scipy():
    unit = (drawn("small") / 255).astype(np.float32)
    rng = np.random.default_rng(0)
    for reach in (0.4, 6, 150):  # also beyond the mirrored picture
        down, right = rng.uniform(-reach, reach, (2, *unit.shape[:2]))
        row, column, channel = np.indices(unit.shape)
        at = row + down[..., None], column + right[..., None], channel
        expected = ndimage.map_coordinates(unit, at, order=1, mode="reflect")
        assert np.abs(displaced(unit, down, right) - expected).max() < 1e-7


def test_whole_pixels_displaced():
    unit = drawn("small").astype(np.float64)
    still, one = np.zeros(unit.shape[:2]), np.ones(unit.shape[:2])
    assert np.array_equal(displaced(unit, still, still), unit)
    assert np.array_equal(displaced(unit, one, still)[:-1], unit[1:])
    assert np.array_equal(displaced(unit, still, -one)[:, 1:], unit[:, :-1])
