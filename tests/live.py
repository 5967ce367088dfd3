"""Photos to drop into the live page."""

import io
import struct
import zlib

import numpy as np
from PIL import Image


def drawn(width=120, height=80, seed=0):
    """A generated photo: a smooth background and a bright disc, RGB."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:height, :width]
    base = np.stack([40 + 120 * x / width, 60 + 90 * y / height, np.full(x.shape, 90.0)], axis=-1)
    disc = (x - width * rng.uniform(0.3, 0.7)) ** 2 + (y - height * rng.uniform(0.3, 0.7)) ** 2 < (height / 5) ** 2
    base[disc] = rng.integers(150, 255, 3)
    return base.astype(np.uint8)


def encoded(pixels, kind="PNG", **options):
    """The pixels as the bytes of an image file."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def empty_png(width, height):
    """A PNG whose head says width x height and that has no pixels at all: a few bytes."""

    def chunk(kind, content):
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")
