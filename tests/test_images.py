import numpy as np
import pytest
from PIL import Image

from gazetune.data.images import image_size, read_rgb
from gazetune.errors import InputError

RAMP = np.arange(60, dtype=np.uint8).reshape(6, 10) * 4


def saved(tmp_path, image, name="x.png", **options):
    image.save(tmp_path / name, **options)
    return tmp_path / name


def test_grey_becomes_three_equal_channels(tmp_path):
    assert (read_rgb(saved(tmp_path, Image.fromarray(RAMP))) == RAMP[..., None]).all()


def test_sixteen_bits_are_scaled_not_clipped(tmp_path):
    deep = RAMP.astype(np.uint16) * 257
    assert (read_rgb(saved(tmp_path, Image.fromarray(deep)))[..., 0] == RAMP).all()


def test_palette_and_transparency(tmp_path):
    colours = Image.fromarray(np.stack([RAMP, 255 - RAMP, RAMP // 2], -1)).quantize(60)
    assert (read_rgb(saved(tmp_path, colours)) == np.asarray(colours.convert("RGB"))).all()
    clear = Image.fromarray(np.zeros((4, 4, 4), np.uint8))
    assert (read_rgb(saved(tmp_path, clear)) == 255).all()


def test_cmyk(tmp_path):
    ink = Image.new("CMYK", (4, 4), (0, 255, 255, 0))
    red = read_rgb(saved(tmp_path, ink, "x.jpg", quality=100))[0, 0]
    assert red[0] > 200 and red[1] < 60 and red[2] < 60


@pytest.mark.parametrize("kind", ["png", "tiff", "webp"])
def test_exif_rotation_turns_pixels_and_size_alike(tmp_path, kind):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright: turn clockwise to show
    lossless = {"lossless": True} if kind == "webp" else {}
    path = saved(tmp_path, Image.fromarray(np.stack([RAMP] * 3, -1)), f"x.{kind}", exif=exif, **lossless)
    assert image_size(path) == (6, 10)
    assert (read_rgb(path)[..., 0] == np.rot90(RAMP, -1)).all()


def test_size_is_height_then_width_by_bicubic(tmp_path):
    path = saved(tmp_path, Image.fromarray(np.stack([RAMP] * 3, -1)))
    expected = np.asarray(Image.open(path).resize((8, 5), Image.Resampling.BICUBIC))
    assert np.array_equal(read_rgb(path, (5, 8)), expected)


def test_what_is_no_image_is_named(tmp_path, monkeypatch):
    (tmp_path / "x.jpg").write_text("not a photo")
    with pytest.raises(InputError, match=r"x\.jpg' cannot be read as an image"):
        read_rgb(tmp_path / "x.jpg")
    whole = saved(
        tmp_path, Image.fromarray(np.random.default_rng(0).integers(0, 255, (50, 50, 3), dtype=np.uint8)), "y.png"
    )
    whole.write_bytes(whole.read_bytes()[:2000])
    with pytest.raises(InputError, match="cannot be read"):
        read_rgb(whole)
    with pytest.raises(InputError, match="does not exist"):
        read_rgb(tmp_path / "nowhere.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    with pytest.raises(InputError, match="pixels and is not read"):
        read_rgb(saved(tmp_path, Image.fromarray(RAMP)))
