"""Weather: snow, frost, fog and spatter."""

import numpy as np
from jaxtyping import Float, UInt8
from scipy.ndimage import gaussian_filter

from gazetune.parity.corruptions.blur import smeared
from gazetune.parity.corruptions.levels import Pixels, over_channels, row_blocks, to_levels, to_unit, to_unit32
from gazetune.parity.corruptions.optional import frost_layer, opencv
from gazetune.parity.corruptions.resample import enlarged_centre

Draws = np.random.RandomState
# the luma of ITU-R BT.601
RED, GREEN, BLUE = np.float32(0.299), np.float32(0.587), np.float32(0.114)


def snow(pixels: Pixels, flakes: tuple[float, float, float, float, int, float, float], draws: Draws) -> Pixels:
    """Falling flakes, twice (the second time turned by half a circle), over a picture that is whiter.

    `flakes`: mean and SD of the noise they are made of, how much it is enlarged, below which value there is none,
    radius and SD of their motion in pixels, and the weight of the picture against its whiter version.
    """
    mean, deviation, factor, threshold, radius_px, sigma_px, weight = flakes
    height, width, _ = pixels.shape
    layer = enlarged_centre(draws.normal(size=(height, width, 1), loc=mean, scale=deviation), factor)
    layer[layer < threshold] = 0
    np.minimum(layer, 1, out=layer)
    blocks = smeared(layer, radius_px, sigma_px, angle_degrees=draws.uniform(-135, -45))
    fallen = np.concatenate([np.round(values * 255).astype(np.uint8) for _, values in blocks])
    layer = to_unit(fallen[:height, :width, 0])
    turned, snowy = np.rot90(layer, k=2), np.empty_like(pixels)
    for block in row_blocks(height, width):
        unit = to_unit32(pixels[block])
        mixed = np.maximum(unit, over_channels(_grey(unit) * 1.5 + 0.5))
        mixed *= 1 - weight
        unit *= weight
        mixed += unit
        total = mixed + over_channels(layer[block])
        total += over_channels(turned[block])
        snowy[block] = to_levels(total)
    return snowy


def _grey(unit: Float[np.ndarray, "height width 3"]) -> Float[np.ndarray, "height width"]:
    """The luma in float32, each step rounded as OpenCV does on x86 (multiply and add with one rounding)."""
    red, green, blue = (unit[..., channel] for channel in range(3))
    total = green * GREEN
    for channel, weight in ((red, RED), (blue, BLUE)):  # a product of float32 is exact in float64
        total = (channel * np.float64(weight) + total).astype(np.float32)
    return total


def frost(pixels: Pixels, weights: tuple[float, float], draws: Draws) -> Pixels:
    """A random part of one of five photos of frost, added: `weights` of the picture and of the frost.

    Raises InputError where the photos or OpenCV are missing.
    """
    height, width, _ = pixels.shape
    photo = frost_layer(int(draws.randint(5)), height, width)
    top = draws.randint(0, photo.shape[0] - height)
    left = draws.randint(0, photo.shape[1] - width)
    part, frosted = photo[top : top + height, left : left + width], np.empty_like(pixels)
    for block in row_blocks(height, width):
        total = weights[0] * pixels[block]
        total += weights[1] * part[block]
        frosted[block] = np.minimum(total, 255)
    return frosted


def fog(pixels: Pixels, density: tuple[float, float], draws: Draws) -> Pixels:
    """Fractal clouds, added, and the whole darkened: `density` is how much, and how fast finer clouds grow weaker."""
    thickness, decay = density
    height, width, _ = pixels.shape
    brightest = pixels.max() / 255.0
    side = 1 << (max(height, width) - 1).bit_length()
    clouds, foggy = _clouds(side, decay, draws), np.empty_like(pixels)
    for block in row_blocks(height, width):
        total = over_channels(clouds[block, :width] * thickness)
        total += to_unit(pixels[block])
        total *= brightest
        total /= brightest + thickness
        foggy[block] = to_levels(total)
    return foggy


def _clouds(side: int, decay: float, draws: Draws) -> Float[np.ndarray, "side side"]:
    """A height map in 0..1 by the diamond-square algorithm on a torus (Fournier, Fussell & Carpenter 1982).

    `side` is a power of two. Each finer step adds uniform noise that is `decay` times weaker than before.
    """
    heights = np.empty((side, side))
    heights[0, 0] = 0
    step, noise = side, 100.0

    def mean_and_noise(total: Float[np.ndarray, "row column"]) -> Float[np.ndarray, "row column"]:
        total /= 4
        total += noise * draws.uniform(-noise, noise, total.shape)
        return total

    while step >= 2:
        half = step // 2
        corner = heights[::step, ::step]
        sides = corner + _next(corner, 0)
        middle = mean_and_noise(sides + _next(sides, 1))
        heights[half::step, half::step] = middle
        across = (middle + _previous(middle, 0)) + (corner + _next(corner, 1))
        heights[::step, half::step] = mean_and_noise(across)
        along = (middle + _previous(middle, 1)) + sides
        heights[half::step, ::step] = mean_and_noise(along)
        step, noise = half, noise / decay
    heights -= heights.min()
    heights /= heights.max()
    return heights


def _next(grid: Float[np.ndarray, "row column"], axis: int) -> Float[np.ndarray, "row column"]:
    """Each point's next neighbour on the torus, as np.roll has it, but for much less on small grids."""
    return np.concatenate((grid[1:], grid[:1]) if axis == 0 else (grid[:, 1:], grid[:, :1]), axis=axis)


def _previous(grid: Float[np.ndarray, "row column"], axis: int) -> Float[np.ndarray, "row column"]:
    return np.concatenate((grid[-1:], grid[:-1]) if axis == 0 else (grid[:, -1:], grid[:, :-1]), axis=axis)


def spatter(pixels: Pixels, drops: tuple[float, float, float, float, float, bool], draws: Draws) -> Pixels:
    """Drops of water or mud on the lens.

    `drops`: mean and SD of the noise they are made of, the SD in pixels of its blur, below which value there is none,
    how strong the water is (or the SD in pixels of the mud's edge), and whether it is mud.

    Raises InputError where OpenCV is missing (water only).
    """
    mean, deviation, sigma_px, threshold, strength, mud = drops
    layer = gaussian_filter(draws.normal(size=pixels.shape[:2], loc=mean, scale=deviation), sigma_px, mode="nearest")
    layer[layer < threshold] = 0
    if not mud:
        return _water(pixels, (layer * 255).astype(np.uint8), strength)
    cover = gaussian_filter((layer > threshold).astype(np.float32), strength, mode="nearest")
    cover[cover < 0.8] = 0
    brown = np.array([63, 42, 20]) / 255.0
    total = to_unit32(pixels) * over_channels(1 - cover)
    return to_levels(total + brown * cover[..., None])


def _water(pixels: Pixels, layer: UInt8[np.ndarray, "height width"], strength: float) -> Pixels:
    """Pale turquoise drops, lit from one side: brightest a little inside their edges."""
    cv2 = opencv()
    distance = cv2.distanceTransform(255 - cv2.Canny(layer, 50, 150), cv2.DIST_L2, 5)
    depth = cv2.equalizeHist(cv2.blur(np.minimum(distance, np.float32(20)), (3, 3)).astype(np.uint8))
    slope = np.array([[-2, -1, 0], [-1, 1, 1], [0, 1, 2]])
    light = layer * cv2.blur(cv2.filter2D(depth, cv2.CV_8U, slope), (3, 3)).astype(np.float32)
    brightest = light.max()
    if brightest == 0:
        return pixels.copy()
    light /= brightest
    light *= strength
    turquoise = np.array([175 / 255, 238 / 255, 238 / 255], dtype=np.float32)
    return to_levels(to_unit32(pixels) + light[..., None] * turquoise)
