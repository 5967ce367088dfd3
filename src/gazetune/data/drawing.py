"""How the generated world looks: ten paper cut-outs made of polygons, painted over layered hills.

Every category is a stack of polygons around its centroid, scaled to an area of 1, so that an object drawn at scale s
covers about s^2 pixels. The same polygons give the picture and the masks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from jaxtyping import Float, Int16, UInt8
from PIL import Image, ImageDraw, ImageFilter

from gazetune.data.silhouettes import SILHOUETTES, Part

Colour = tuple[int, int, int]
Points = Float[np.ndarray, "point 2"]

OVERSAMPLING = 2  # drawn at twice the size and averaged down: PIL's polygons have hard edges
SHADOW_PX = 6  # how far shadows fall, on the oversampled canvas
RASTER_PX = 400.0  # pixels a unit when a silhouette is measured

# (main, accent) by category: apart enough to be told apart, varied enough that colour alone does not name the category
COLOURS: dict[str, tuple[tuple[str, str], ...]] = {
    "person": (("#d1495b", "#30475e"), ("#2a9d8f", "#5c4b51"), ("#edae49", "#33415c"), ("#6a8caf", "#463f3a")),
    "dog": (("#a9714b", "#6b4226"), ("#d9b382", "#8a5a36"), ("#7d7f85", "#4a4c52"), ("#f0e6d6", "#a1663c")),
    "bird": (("#3f88c5", "#f4a259"), ("#d7483f", "#f2c14e"), ("#f2c14e", "#e76f51"), ("#3d9a86", "#f4a259")),
    "fish": (("#f3722c", "#fff1d6"), ("#ef6f8a", "#ffe0b5"), ("#2f9fb5", "#f9e07f"), ("#8963ba", "#f7c6d9")),
    "butterfly": (("#f08a24", "#3b2c35"), ("#7b5ea7", "#f6bd60"), ("#3a86c8", "#e9f5db"), ("#e56b8f", "#fff3b0")),
    "cup": (("#f6f1e7", "#c8553d"), ("#c8553d", "#f6e7cb"), ("#33658a", "#f6ae2d"), ("#5b9279", "#f7f0dd")),
    "house": (("#f4dcb8", "#b5473c"), ("#e8a87c", "#5d4e60"), ("#cfe0e8", "#3d5a80"), ("#f7efe2", "#8a5a44")),
    "ball": (("#e63946", "#fdf6ec"), ("#2a7fba", "#ffd166"), ("#43aa8b", "#fdf6ec"), ("#f3722c", "#34568b")),
    "lamp": (("#f7d070", "#5c4742"), ("#f2b5a7", "#6d597a"), ("#b8dbc7", "#3d405b"), ("#f4ead5", "#8c6239")),
    "car": (("#c9302c", "#2f3640"), ("#2e6db4", "#2f3640"), ("#f2b134", "#3a3335"), ("#4f9d69", "#2f3640")),
}
SKINS = ("#f6d2b3", "#e0ac7e", "#b77b52", "#7d4f35")
HAIRS = ("#2d2424", "#6b4226", "#c58b45", "#8c3b2a", "#8e8e93")

# sky at the top, sky at the horizon, then three layers of hills from far to near
MOODS: tuple[tuple[str, str, str, str, str], ...] = (
    ("#bfe3f0", "#f3f7ea", "#cfe3c0", "#b4d3a2", "#98c088"),
    ("#fbd9b5", "#fdf0dc", "#eec9a6", "#dfb08c", "#cf9a78"),
    ("#c9d4ee", "#f4eef7", "#cdc5e3", "#b4a9d3", "#9c90c1"),
    ("#d7eef2", "#f8fbf6", "#bfdfe0", "#9ccbd0", "#7fb6bf"),
    ("#f9d5dc", "#fff3ea", "#f1c5c4", "#e0abb0", "#cb959f"),
    ("#e9e4d4", "#faf7ee", "#ded3b6", "#cdbf9a", "#b9aa84"),
    ("#aebfd0", "#dfe7ea", "#a5b6bd", "#8ca0a9", "#758c97"),
)


@dataclass(frozen=True)
class Thing:
    """One object of a scene: where it stands and how it looks; lengths in pixels, `tilt` in radians.

    `x`, `y` is the centroid; `half_width`, `half_height` are half the sides of its bounding box, whose centre is
    `box_x`, `box_y`; `area_px2` is its area where nothing stands before it. `look` seeds the colours.
    """

    category: str
    x: float
    y: float
    area_px2: float
    mirror: bool
    tilt: float
    box_x: float
    box_y: float
    half_width: float
    half_height: float
    look: int


@dataclass(frozen=True)
class Silhouette:
    """A category's polygons around its centroid at area 1: all corners, where each polygon ends, what paints it.

    `sd` is the standard deviation of its pixels across and down: how far it extends, thin parts counting little.
    """

    corners: Points
    sd: tuple[float, float]
    ends: tuple[int, ...]
    paints: tuple[str, ...]


@cache
def silhouette(category: str) -> Silhouette:
    """The polygons of a category, moved to their common centroid and scaled to an area of 1."""
    parts: tuple[Part, ...] = SILHOUETTES[category]
    corners = np.concatenate([points for points, _ in parts])
    canvas = Image.new("L", (int(3 * RASTER_PX), int(3 * RASTER_PX)))
    draw = ImageDraw.Draw(canvas)
    for points, _ in parts:
        draw.polygon(((points + 1.5) * RASTER_PX).ravel().tolist(), fill=1)
    y, x = np.nonzero(np.asarray(canvas))
    centroid = np.array([x.mean(), y.mean()]) / RASTER_PX - 1.5
    scale = RASTER_PX / np.sqrt(len(x))
    ends = tuple(np.cumsum([len(points) for points, _ in parts]).tolist())
    sd = (float(x.std() * scale / RASTER_PX), float(y.std() * scale / RASTER_PX))
    return Silhouette((corners - centroid) * scale, sd, ends, tuple(paint for _, paint in parts))


def placed(category: str, scale_px: float, mirror: bool, tilt: float) -> Points:
    """The corners of a category's polygons in pixels around its centroid, mirrored, tilted and scaled."""
    cos, sin = np.cos(tilt) * scale_px, np.sin(tilt) * scale_px
    side = -1.0 if mirror else 1.0
    return silhouette(category).corners @ np.array([[side * cos, side * sin], [-sin, cos]])


def _corners(thing: Thing) -> Points:
    """All corners of an object's polygons on the oversampled canvas."""
    corners = placed(thing.category, np.sqrt(thing.area_px2), thing.mirror, thing.tilt)
    return (corners + np.array([thing.x, thing.y])) * OVERSAMPLING


def _polygons(thing: Thing, corners: Points) -> list[list[float]]:
    """The corners split into polygons, each flat, as PIL wants them."""
    flat, ends = corners.ravel().tolist(), silhouette(thing.category).ends
    return [flat[2 * start : 2 * end] for start, end in zip((0, *ends[:-1]), ends, strict=True)]


def _rgb(code: str, light: float = 1.0) -> Colour:
    """A colour; `light` below 1 darkens, above 1 moves it towards white."""
    value = np.array([int(code[i : i + 2], 16) for i in (1, 3, 5)], dtype=float)
    value = value * light if light <= 1 else value + (255 - value) * (light - 1)
    return tuple(int(v) for v in np.clip(value, 0, 255))  # type: ignore[return-value]


def _wardrobe(thing: Thing) -> dict[str, Colour]:
    """The colour of each paint for one object; the last digits of `look` choose, so nothing else need be stored."""
    choices = COLOURS[thing.category]
    main, accent = choices[thing.look % len(choices)]
    light = 0.86 + 0.32 * (thing.look // 7 % 101) / 100
    return {
        "main": _rgb(main, light),
        "deep": _rgb(main, 0.8 * min(light, 1.0)),
        "pale": _rgb(main, 1.45),
        "accent": _rgb(accent, light),
        "shade": _rgb(accent, 0.78),
        "skin": _rgb(SKINS[thing.look // 11 % len(SKINS)]),
        "hair": _rgb(HAIRS[thing.look // 13 % len(HAIRS)]),
        "white": (250, 248, 242),
        "glass": (203, 226, 234),
        "ink": (44, 40, 48),
    }


@cache
def _grain(width: int, height: int) -> Int16[np.ndarray, "height width 1"]:
    """Paper grain of -5 to 5 grey levels, one sheet for all scenes, each of which is cut from it elsewhere."""
    noise = np.random.default_rng(0).normal(size=(height, width)).astype(np.float32)
    noise += (np.roll(noise, 1, 0) + np.roll(noise, 1, 1) + np.roll(noise, (1, 1), (0, 1))) * 0.8
    return np.clip(1.4 * noise, -5, 5).astype(np.int16)[..., None]


def _backdrop(width: int, height: int, rng: np.random.Generator) -> Image.Image:
    """Sky with a gradient, three layers of hills and some drifting flecks, `width` by `height`."""
    top, bottom, *layers = MOODS[int(rng.integers(len(MOODS)))]
    ends = np.array([_rgb(top), _rgb(bottom)], dtype=np.float32)
    ramp = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    column = (ends[0] * (1 - ramp) + ends[1] * ramp).astype(np.uint8)
    canvas = Image.fromarray(column[:, None]).resize((width, height), Image.Resampling.NEAREST)
    draw = ImageDraw.Draw(canvas, "RGBA")
    for x, y, radius in rng.uniform((0, 0, 0.008), (1, 0.8, 0.03), size=(14, 3)) * (width, height, width):
        draw.ellipse([x - radius, y - radius, x + radius, y + radius], fill=(255, 255, 255, 60))
    x = np.linspace(0, 1, 33)
    for level, colour in zip(np.sort(rng.uniform(0.3, 0.95, size=3)), layers, strict=True):
        waves, phase, rise = rng.uniform((0.6, 0, 0.02), (2.2, 1, 0.09))
        edge = level + rise * np.sin(2 * np.pi * (waves * x + phase))
        edge = edge + 0.3 * rise * np.sin(2 * np.pi * (3.1 * x - phase))
        crest = np.stack([x * width, edge * height], axis=1).ravel().tolist()
        draw.polygon([*crest, width, height, 0, height], fill=_rgb(colour, rng.uniform(0.96, 1.15)))
    return canvas


def _drop_shadow(canvas: Image.Image, thing: Thing, corners: Points) -> None:
    """Darken what lies just below and to the right of an object, softly; only its own box is touched."""
    start = np.floor(corners.min(axis=0)).astype(int) - 2 * SHADOW_PX
    extent = (np.ceil(corners.max(axis=0)).astype(int) + 2 * SHADOW_PX - start) // OVERSAMPLING
    mask = Image.new("L", tuple(extent.tolist()))
    ink = ImageDraw.Draw(mask)
    for polygon in _polygons(thing, (corners - start) / OVERSAMPLING):
        ink.polygon(polygon, fill=75)
    soft = mask.filter(ImageFilter.BoxBlur(2))
    soft = soft.resize(tuple((OVERSAMPLING * extent).tolist()), Image.Resampling.BILINEAR)
    x, y = (start + SHADOW_PX).tolist()
    canvas.paste((40, 36, 60), (x, y, x + soft.width, y + soft.height), soft)


def draw_scene(
    things: Sequence[Thing], width: int, height: int, rng: np.random.Generator
) -> UInt8[np.ndarray, "height width 3"]:
    """The picture of a scene; `things` from the farthest to the nearest, each painted over those before it."""
    canvas = _backdrop(OVERSAMPLING * width, OVERSAMPLING * height, rng)
    draw = ImageDraw.Draw(canvas)
    for thing in things:
        corners, paints = _corners(thing), _wardrobe(thing)
        _drop_shadow(canvas, thing, corners)
        for polygon, paint in zip(_polygons(thing, corners), silhouette(thing.category).paints, strict=True):
            draw.polygon(polygon, fill=paints[paint])
    pixels = np.asarray(canvas.reduce(OVERSAMPLING))
    y, x = rng.integers((height, width))
    grain = _grain(2 * width, 2 * height)[y : y + height, x : x + width]
    return np.clip(pixels + grain, 0, 255).astype(np.uint8)


def draw_masks(things: Sequence[Thing], width: int, height: int) -> UInt8[np.ndarray, "height width"]:
    """Which object each pixel shows: 0 the background, k + 1 the object `things[k]`."""
    canvas = Image.new("L", (OVERSAMPLING * width, OVERSAMPLING * height))
    draw = ImageDraw.Draw(canvas)
    for k, thing in enumerate(things):
        for polygon in _polygons(thing, _corners(thing)):
            draw.polygon(polygon, fill=k + 1)
    # indices cannot be averaged down as colours are: one sample a pixel
    return np.asarray(canvas)[1::OVERSAMPLING, 1::OVERSAMPLING].copy()
