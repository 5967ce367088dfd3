"""Drawn images for the corruptions, the same bytes under any numpy: whole numbers and the frozen RandomState alone."""

import numpy as np

# name -> (height, width); 225 x 300 needs a larger plasma map, 33 x 40 is near the least that the original takes
SIZES = {"square": (224, 224), "wide": (97, 160), "tall": (300, 225), "small": (33, 40)}


def drawn_image(name):
    """Clouds of five octaves in correlated colours, edges, grain, and a burnt-out and a black corner."""
    height, width = SIZES[name]
    draws = np.random.RandomState(sum(name.encode()))
    light = clouds(draws, height, width)
    colour = np.stack([clouds(draws, height, width) for _ in range(3)], axis=2)
    pixels = (3 * light[..., None] + colour) // 4
    row, column = np.indices((height, width))
    for _ in range(6):
        y, x, radius = draws.randint(height), draws.randint(width), draws.randint(height // 12, height // 4)
        pixels[(row - y) ** 2 + (column - x) ** 2 < radius**2] += draws.randint(-60, 61, size=3)
    pixels += draws.randint(-4, 5, size=pixels.shape)
    pixels[: height // 5, : width // 5] = 255
    pixels[-height // 6 :, -width // 6 :] = 0
    return np.clip(pixels, 0, 255).astype(np.uint8)


def clouds(draws, height, width):
    """Random grids of 2, 4, ... 32 cells, enlarged bilinearly in whole numbers, each half as strong as the last."""
    total = np.zeros((height, width), dtype=np.int64)
    for octave in range(1, 6):
        cells = 2**octave
        grid = draws.randint(0, 256, size=(cells + 1, cells + 1))
        y, y_part = np.divmod(np.arange(height) * cells * 64 // height, 64)
        x, x_part = np.divmod(np.arange(width) * cells * 64 // width, 64)
        upper = grid[y][:, x] * (64 - x_part) + grid[y][:, x + 1] * x_part
        lower = grid[y + 1][:, x] * (64 - x_part) + grid[y + 1][:, x + 1] * x_part
        total += (upper * (64 - y_part[:, None]) + lower * y_part[:, None]) >> octave
    return (total * 264 // (64 * 64 * 255)) - 8


def fixture_seed(image, name, severity):
    """A seed for each of the stored results, so that the random choices differ between them."""
    return sum(image.encode()) * 1000 + sum(name.encode()) * 5 + severity


def sampled(pixels):
    """Twelve values spread over an image."""
    return pixels.reshape(-1)[:: pixels.size // 12][:12].tolist()
