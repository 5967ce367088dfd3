"""Digital: contrast, brightness, saturation, elastic deformation, pixelation and JPEG."""

from io import BytesIO

import numpy as np
from jaxtyping import Float
from PIL import Image
from scipy.ndimage import gaussian_filter

from gazetune.parity.corruptions.levels import Pixels, by_blocks, to_levels, to_unit, to_unit32
from gazetune.parity.corruptions.resample import displaced

Plane = Float[np.ndarray, "height width"]
Draws = np.random.RandomState


def brightness(pixels: Pixels, more: float) -> Pixels:
    """The V of HSV raised by `more`, at most to 1."""

    def brighter(block: Pixels) -> Pixels:
        hue, saturation, value = _to_hsv(block)
        return _from_hsv(hue, saturation, np.minimum(value + more, 1))

    return by_blocks(pixels, brighter)


def saturate(pixels: Pixels, change: tuple[float, float]) -> Pixels:
    """The S of HSV times the first number plus the second, within 0..1."""

    def saturated(block: Pixels) -> Pixels:
        hue, saturation, value = _to_hsv(block)
        return _from_hsv(hue, np.clip(saturation * change[0] + change[1], 0, 1), value)

    return by_blocks(pixels, saturated)


def _to_hsv(pixels: Pixels) -> tuple[Plane, Plane, Plane]:
    """Hue (in turns, 0..1), saturation and value; where two channels are the highest, the later one gives the hue."""
    red, green, blue = (np.ascontiguousarray(pixels[..., i]) for i in range(3))
    highest = np.maximum(np.maximum(red, green), blue)
    lowest = np.minimum(np.minimum(red, green), blue)
    value = to_unit(highest)
    spread = value - to_unit(lowest)
    grey = highest == lowest
    r, g, b = to_unit(red), to_unit(green), to_unit(blue)
    blue_leads, green_leads = highest == blue, highest == green
    across = np.where(blue_leads, r - g, np.where(green_leads, b - r, g - b))
    sector = np.where(blue_leads, 4.0, np.where(green_leads, 2.0, 0.0))
    divisor = np.where(grey, 1, spread)
    hue = (sector + across / divisor) / 6
    hue += hue < 0
    hue[grey] = 0
    saturation = spread / np.where(highest == 0, 1, value)
    return hue, saturation, value


def _from_hsv(hue: Plane, saturation: Plane, value: Plane) -> Pixels:
    sixths = hue * 6
    sector = np.floor(sixths)
    part = sixths - sector
    low = value * (1 - saturation)
    falling = value * (1 - part * saturation)
    rising = value * (1 - (1 - part) * saturation)
    four = np.stack([to_levels(plane) for plane in (value, low, falling, rising)])
    # which of value, low, falling and rising each channel has in each sixth of the circle
    which = np.array([[0, 3, 1], [2, 0, 1], [1, 0, 3], [1, 2, 0], [3, 1, 0], [0, 1, 2]], dtype=np.intp)
    return np.take_along_axis(np.moveaxis(four, 0, 2), which[sector.astype(np.intp) % 6], axis=2)


def contrast(pixels: Pixels, share: float) -> Pixels:
    """Differences from the channel's mean shrunk to `share` of themselves."""
    means = to_unit(pixels).mean(axis=(0, 1))
    level = np.stack([to_levels((to_unit(np.arange(256, dtype=np.uint8)) - mean) * share + mean) for mean in means])
    channel = np.arange(3) * 256
    return by_blocks(pixels, lambda block: np.take(level, block + channel))


def elastic_transform(pixels: Pixels, strength: float, draws: Draws) -> Pixels:
    """Each pixel displaced by smooth noise: uniform within half a percent of the height, blurred, times `strength`."""
    height, width, _ = pixels.shape
    farthest_px = height * 0.005
    sigma_px = np.array([height, width]) * 0.01
    fields = []
    for _ in ("right", "down"):
        noise = draws.uniform(-farthest_px, farthest_px, size=(height, width))
        fields.append((gaussian_filter(noise, sigma_px, mode="reflect", truncate=3) * strength).astype(np.float32))
    right, down = fields
    return to_levels(displaced(to_unit32(pixels), down.astype(np.float64), right.astype(np.float64)))


def pixelate(pixels: Pixels, share: float) -> Pixels:
    """Shrunk to `share` of its sides by averaging, and enlarged again without smoothing; as Pillow does it."""
    height, width, _ = pixels.shape
    small = Image.fromarray(pixels).resize((int(width * share), int(height * share)), Image.Resampling.BOX)
    return np.array(small.resize((width, height), Image.Resampling.NEAREST))


def jpeg_compression(pixels: Pixels, quality: int) -> Pixels:
    """Saved as JPEG of this quality and read again; as Pillow and its libjpeg-turbo do it."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=quality)
    return np.array(Image.open(file, formats=["JPEG"]))
