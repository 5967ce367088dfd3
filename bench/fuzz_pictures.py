"""Pictures that are fuzzed: photos of every kind, and ready-made maps."""

import io
import struct
from contextlib import suppress
from pathlib import Path

import fuzz_mutate as m
import numpy as np
from fuzz_reader import HEIGHT, WIDTH, one_of, pickled
from PIL import Image

from gazetune.attention.ready import _on_grid, read_map
from gazetune.data.faults import Faults
from gazetune.data.images import image_size, read_rgb
from gazetune.data.objectnet import red_border
from gazetune.data.salicon_files import read_points, released_density


def write_photos(folder: Path) -> None:
    """Photos of every kind and mode."""
    rng = np.random.default_rng(3)
    rgb = Image.fromarray(rng.integers(0, 255, (HEIGHT, WIDTH, 3), dtype=np.uint8))
    turned = Image.Exif()
    turned[0x0112] = 6
    rgb.save(folder / "a.jpg", exif=turned)
    rgb.save(folder / "progressive.jpg", progressive=True)
    rgb.convert("CMYK").save(folder / "cmyk.jpg")
    rgb.save(folder / "b.png")
    rgb.quantize(16).save(folder / "palette.png")
    rgb.convert("RGBA").save(folder / "alpha.png")
    Image.fromarray(rng.integers(0, 65535, (HEIGHT, WIDTH), dtype=np.uint16)).save(folder / "deep.png")
    for kind in ("gif", "bmp", "tif", "webp"):
        rgb.save(folder / f"c.{kind}")
    rgb.save(folder / "packed.tif", compression="tiff_lzw", exif=turned)
    Image.fromarray(rng.random((HEIGHT, WIDTH), dtype=np.float32)).save(folder / "float.tif")


def spoil_photo(folder: Path, draw: m.Draw) -> None:
    """One of them; now and then a bomb that unpacks to hundreds of millions of pixels."""
    path = draw.choice(sorted(folder.iterdir()))
    for other in list(folder.iterdir()):
        if other != path:
            other.unlink()
    if draw.random() < 0.004:
        side, kind, depth = draw.choice(((9_900, 0, 8), (9_900, 2, 8), (9_900, 6, 8), (9_900, 0, 16), (15_000, 0, 8)))
        path.write_bytes(m.png_bomb(side, kind, depth))
    else:
        how = (m.any_bytes, m.png_header) if path.suffix == ".png" else (m.any_bytes,)
        one_of("*", *how)(folder, draw)


def read_photo(folder: Path) -> None:
    """The one photo: its size, its pixels at their own size and at a model's."""
    path = next(folder.iterdir())
    image_size(path)
    read_rgb(path, (56, 56))
    pixels = read_rgb(path)
    if max(pixels.shape) < 1000:
        with suppress(ValueError):
            red_border(pixels)


def write_maps(folder: Path) -> None:
    """Ready-made maps, and pictures of fixation points."""
    rng = np.random.default_rng(4)
    grey = rng.integers(0, 255, (HEIGHT, WIDTH), dtype=np.uint8)
    Image.fromarray(grey).save(folder / "grey.png")
    Image.fromarray(grey.astype(np.uint16) * 200).save(folder / "deep.png")
    Image.fromarray(((grey > 250) * 255).astype(np.uint8)).save(folder / "points.png")
    np.save(folder / "a.npy", rng.random((HEIGHT, WIDTH)).astype(np.float32))
    np.save(folder / "b.npy", np.asfortranarray(rng.random((HEIGHT, WIDTH))))


def spoil_map(folder: Path, draw: m.Draw) -> None:
    """One of them; arrays of pickled objects and archives of arrays among them."""
    path = draw.choice(sorted(folder.iterdir()))
    for other in list(folder.iterdir()):
        if other != path:
            other.unlink()
    what = draw.random()
    if path.suffix == ".png":
        one_of("*", m.any_bytes, m.png_header)(folder, draw)
        if what < 0.004:
            path.write_bytes(m.png_bomb(9_900, draw.choice((0, 2, 6))))
    elif what < 0.02:
        said = b"{'descr': '|O', 'fortran_order': False, 'shape': (1, 1), }\n"
        path.write_bytes(b"\x93NUMPY\x01\x00" + struct.pack("<H", len(said)) + said + pickled())
    elif what < 0.03:
        path.write_bytes(pickled())
    elif what < 0.05:
        target = io.BytesIO()
        np.savez(target, a=np.ones((3, 3)))
        path.write_bytes(target.getvalue())
    else:
        one_of("*", m.any_bytes, m.npy_header, m.npy_header)(folder, draw)


def read_maps(folder: Path) -> None:
    """The one map, on the grid; as a picture of points; as a released map."""
    path = next(folder.iterdir())
    if path.suffix == ".png":
        released_density(path)
        if path.name == "points.png":
            read_points([path], Faults())
    _on_grid(read_map(path), 56)
