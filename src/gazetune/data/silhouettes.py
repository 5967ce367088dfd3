"""The polygons of the generated world's ten categories: five animate, five not, each a stack painted in order.

Coordinates run from about -1 to 1, x to the right and y down. Paints are names that `drawing` turns into colours.
"""

import numpy as np
from jaxtyping import Float

ANIMATE = ("person", "dog", "bird", "fish", "butterfly")
INANIMATE = ("cup", "house", "ball", "lamp", "car")
CLASSES = (*ANIMATE, *INANIMATE)

Part = tuple[Float[np.ndarray, "_ 2"], str]


def _oval(x: float, y: float, rx: float, ry: float, paint: str, tilt: float = 0.0, points: int = 26) -> Part:
    t = np.linspace(0, 2 * np.pi, points, endpoint=False)
    u, v = rx * np.cos(t), ry * np.sin(t)
    return np.stack([x + u * np.cos(tilt) - v * np.sin(tilt), y + u * np.sin(tilt) + v * np.cos(tilt)], axis=1), paint


def _sharp(paint: str, *corners: tuple[float, float]) -> Part:
    return np.array(corners, dtype=float), paint


def _round(paint: str, *corners: tuple[float, float]) -> Part:
    """A polygon with its corners cut three times (Chaikin), which rounds them."""
    points = np.array(corners, dtype=float)
    for _ in range(3):
        after = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * after, 0.25 * points + 0.75 * after], axis=1).reshape(-1, 2)
    return points, paint


def _bar(paint: str, x0: float, y0: float, x1: float, y1: float) -> Part:
    return _sharp(paint, (x0, y0), (x1, y0), (x1, y1), (x0, y1))


def _slice(paint: str, radius: float, start: float, stop: float) -> Part:
    """A slice of a beach ball: between two meridians that meet at the pole."""
    t = np.linspace(np.radians(start), np.radians(stop), 9)
    rim = radius * np.stack([np.cos(t), np.sin(t)], axis=1)
    return np.concatenate([[[-0.12, -0.16]], rim]), paint


def _crescent(paint: str, radius: float) -> Part:
    """The side of a ball that is turned from the light, at the lower right."""
    t = np.linspace(np.radians(-15), np.radians(105), 16)
    rim = radius * np.stack([np.cos(t), np.sin(t)], axis=1)
    inner = rim - np.array([0.14, 0.14]) * radius * np.sin(np.linspace(0, np.pi, 16))[:, None]
    return np.concatenate([rim, inner[::-1]]), paint


def _handle(paint: str) -> Part:
    """The C of a cup's handle, a band with a hole."""
    t = np.linspace(-np.pi / 2, np.pi / 2, 14)
    outer = np.stack([0.5 + 0.46 * np.cos(t), 0.0 + 0.40 * np.sin(t)], axis=1)
    inner = np.stack([0.5 + 0.28 * np.cos(t), 0.0 + 0.23 * np.sin(t)], axis=1)
    return np.concatenate([outer, inner[::-1]]), paint


def _eye(x: float, y: float, r: float) -> tuple[Part, Part]:
    return _oval(x, y, r, r, "white", points=14), _oval(x + 0.2 * r, y, 0.55 * r, 0.6 * r, "ink", points=12)


def _wings(side: float) -> tuple[Part, ...]:
    def turned(part: Part) -> Part:
        return part[0] * (side, 1.0), part[1]

    upper = _round("main", (0.0, -0.05), (0.2, -0.75), (0.75, -1.0), (1.08, -0.75), (0.92, -0.1), (0.35, 0.1))
    lower = _round("deep", (0.0, 0.0), (0.45, -0.02), (0.85, 0.2), (0.78, 0.75), (0.4, 0.95), (0.1, 0.55))
    band = _round("accent", (0.28, -0.2), (0.4, -0.62), (0.72, -0.78), (0.86, -0.6), (0.72, -0.2), (0.42, -0.08))
    glow = _round("pale", (0.34, -0.24), (0.45, -0.55), (0.66, -0.64), (0.72, -0.5), (0.6, -0.24), (0.44, -0.17))
    spot, tip = _oval(0.5, 0.45, 0.17, 0.2, "accent"), _oval(0.9, -0.72, 0.05, 0.05, "white")
    return tuple(turned(part) for part in (lower, upper, band, glow, spot, tip))


SILHOUETTES: dict[str, tuple[Part, ...]] = {
    "person": (
        _round("skin", (-0.42, -0.3), (-0.3, -0.25), (-0.44, 0.32), (-0.6, 0.34), (-0.62, 0.2)),
        _round("skin", (0.42, -0.3), (0.3, -0.25), (0.44, 0.32), (0.6, 0.34), (0.62, 0.2)),
        _bar("accent", -0.3, 0.25, -0.03, 0.9),
        _bar("accent", 0.03, 0.25, 0.3, 0.9),
        _round("ink", (-0.4, 0.86), (-0.02, 0.84), (-0.02, 1.02), (-0.42, 1.02)),
        _round("ink", (0.4, 0.86), (0.02, 0.84), (0.02, 1.02), (0.42, 1.02)),
        _round(
            "main",
            (-0.3, -0.4),
            (0.3, -0.4),
            (0.58, -0.3),
            (0.62, 0.06),
            (0.36, 0.0),
            (0.36, 0.44),
            (-0.36, 0.44),
            (-0.36, 0.0),
            (-0.62, 0.06),
            (-0.58, -0.3),
        ),
        _bar("deep", -0.31, 0.3, 0.31, 0.37),
        _bar("skin", -0.09, -0.5, 0.09, -0.33),
        _oval(0.0, -0.76, 0.34, 0.34, "hair"),
        _oval(0.0, -0.68, 0.28, 0.29, "skin"),
        _round("hair", (-0.34, -0.72), (-0.3, -1.08), (0.3, -1.1), (0.36, -0.7), (0.2, -0.86), (-0.1, -0.86)),
        _oval(-0.1, -0.66, 0.035, 0.045, "ink", points=10),
        _oval(0.1, -0.66, 0.035, 0.045, "ink", points=10),
        _sharp("ink", (-0.11, -0.56), (-0.05, -0.525), (0.05, -0.525), (0.11, -0.56), (0.06, -0.48), (-0.06, -0.48)),
    ),
    "dog": (
        _round("deep", (-0.78, -0.2), (-0.95, -0.62), (-1.08, -0.62), (-1.0, -0.1), (-0.72, 0.1)),
        _round("deep", (-0.52, 0.2), (-0.26, 0.2), (-0.3, 0.85), (-0.52, 0.85)),
        _round("deep", (0.18, 0.2), (0.42, 0.2), (0.42, 0.85), (0.2, 0.85)),
        _round(
            "main",
            (-0.9, -0.25),
            (-0.3, -0.32),
            (0.3, -0.38),
            (0.62, -0.2),
            (0.55, 0.34),
            (0.0, 0.34),
            (-0.6, 0.4),
            (-0.95, 0.2),
        ),
        _round("main", (-0.82, 0.0), (-0.48, 0.1), (-0.56, 0.9), (-0.82, 0.9)),
        _round("main", (0.3, 0.0), (0.62, -0.1), (0.6, 0.9), (0.36, 0.9)),
        _oval(-0.25, -0.1, 0.28, 0.17, "accent"),
        _round(
            "main", (0.2, -0.75), (0.75, -0.9), (0.85, -0.55), (1.15, -0.5), (1.15, -0.2), (0.75, -0.1), (0.3, -0.15)
        ),
        _round("accent", (0.3, -0.95), (0.56, -0.8), (0.44, -0.15), (0.2, -0.1), (0.14, -0.5)),
        _oval(1.07, -0.47, 0.08, 0.07, "ink", points=14),
        *_eye(0.73, -0.58, 0.075),
        _bar("shade", 0.3, -0.06, 0.6, 0.0),
    ),
    "bird": (
        _bar("shade", -0.06, 0.5, -0.01, 0.95),
        _bar("shade", 0.16, 0.5, 0.21, 0.95),
        _sharp("deep", (-0.45, 0.05), (-1.2, -0.15), (-1.15, 0.12), (-1.25, 0.35), (-0.4, 0.4)),
        _round(
            "main",
            (-0.8, 0.1),
            (-0.2, -0.2),
            (0.1, -0.75),
            (0.6, -0.85),
            (0.85, -0.5),
            (0.7, 0.3),
            (0.25, 0.75),
            (-0.4, 0.6),
        ),
        _round("pale", (0.75, -0.25), (0.72, 0.25), (0.25, 0.68), (-0.1, 0.6), (0.25, 0.3)),
        _round("deep", (0.3, -0.1), (0.28, 0.3), (-0.3, 0.5), (-0.9, 0.42), (-0.4, 0.1)),
        _round("shade", (0.0, 0.15), (-0.05, 0.3), (-0.4, 0.38), (-0.75, 0.38), (-0.3, 0.22)),
        _sharp("accent", (0.72, -0.58), (1.18, -0.42), (0.74, -0.3)),
        *_eye(0.5, -0.48, 0.1),
    ),
    "fish": (
        _round("deep", (-0.5, 0.0), (-1.15, -0.62), (-1.2, -0.3), (-0.98, 0.0), (-1.2, 0.3), (-1.15, 0.62)),
        _round("deep", (-0.3, -0.3), (0.0, -0.85), (0.4, -0.75), (0.45, -0.3)),
        _round("deep", (-0.1, 0.3), (-0.1, 0.75), (0.25, 0.6), (0.3, 0.3)),
        _round("main", (-0.9, 0.0), (-0.3, -0.55), (0.5, -0.6), (1.05, 0.0), (0.5, 0.6), (-0.3, 0.55)),
        _round("accent", (-0.28, -0.38), (-0.1, -0.42), (-0.02, 0.0), (-0.1, 0.42), (-0.28, 0.38), (-0.18, 0.0)),
        _round("accent", (0.16, -0.45), (0.36, -0.46), (0.42, 0.0), (0.36, 0.46), (0.16, 0.45), (0.24, 0.0)),
        _round("deep", (0.1, 0.05), (-0.25, 0.0), (-0.3, 0.25), (0.05, 0.2)),
        *_eye(0.63, -0.12, 0.11),
        _round("ink", (0.9, 0.13), (0.74, 0.2), (0.76, 0.16), (0.88, 0.1)),
    ),
    "butterfly": (
        *_wings(1.0),
        *_wings(-1.0),
        _sharp("ink", (-0.03, -0.45), (-0.28, -0.98), (-0.22, -1.0), (0.02, -0.5)),
        _sharp("ink", (0.03, -0.45), (0.28, -0.98), (0.22, -1.0), (-0.02, -0.5)),
        _oval(0.0, 0.1, 0.1, 0.6, "ink"),
        _oval(0.0, -0.5, 0.13, 0.13, "ink"),
    ),
    "cup": (
        _handle("deep"),
        _oval(0.0, 0.78, 0.95, 0.13, "shade"),
        _round(
            "main",
            (-0.7, -0.72),
            (-0.7, -0.72),
            (0.7, -0.72),
            (0.7, -0.72),
            (0.6, 0.5),
            (0.35, 0.82),
            (-0.35, 0.82),
            (-0.6, 0.5),
        ),
        _sharp("accent", (-0.655, -0.2), (0.655, -0.2), (0.62, 0.12), (-0.62, 0.12)),
        _round("deep", (0.66, -0.72), (0.7, -0.7), (0.6, 0.5), (0.35, 0.8), (0.2, 0.8), (0.45, 0.4)),
        _oval(0.0, -0.7, 0.69, 0.19, "pale"),
        _oval(0.0, -0.67, 0.58, 0.13, "shade"),
    ),
    "house": (
        _bar("shade", 0.4, -0.95, 0.62, -0.4),
        _bar("main", -0.8, -0.2, 0.8, 0.9),
        _bar("deep", -0.8, 0.78, 0.8, 0.9),
        _sharp("accent", (-1.0, -0.15), (-0.55, -0.85), (0.55, -0.85), (1.0, -0.15)),
        _bar("shade", -1.0, -0.2, 1.0, -0.12),
        _bar("shade", -0.16, 0.3, 0.2, 0.9),
        _oval(0.12, 0.6, 0.035, 0.035, "white", points=10),
        *(
            part
            for x in (-0.62, 0.38)
            for part in (
                _bar("white", x, 0.12, x + 0.28, 0.48),
                _bar("glass", x + 0.04, 0.16, x + 0.12, 0.44),
                _bar("glass", x + 0.16, 0.16, x + 0.24, 0.44),
            )
        ),
    ),
    "ball": (
        _oval(0.0, 0.0, 0.95, 0.95, "main", points=40),
        *(_slice("accent", 0.95, start, start + 45) for start in (10.0, 100.0, 190.0, 280.0)),
        _crescent("deep", 0.95),
        _oval(-0.12, -0.16, 0.13, 0.13, "white"),
    ),
    "lamp": (
        _oval(0.0, 0.88, 0.5, 0.14, "accent"),
        _bar("accent", -0.1, 0.0, 0.1, 0.85),
        _oval(0.0, 0.45, 0.2, 0.24, "accent"),
        _oval(-0.06, 0.4, 0.05, 0.12, "shade"),
        _oval(0.0, 0.08, 0.8, 0.12, "deep"),
        _sharp(
            "main", (-0.42, -0.95), (0.42, -0.95), (0.8, 0.06), (0.5, 0.13), (0.0, 0.16), (-0.5, 0.13), (-0.8, 0.06)
        ),
        _sharp("pale", (-0.26, -0.95), (-0.04, -0.95), (-0.12, 0.15), (-0.46, 0.13)),
        _sharp("deep", (0.24, -0.95), (0.42, -0.95), (0.8, 0.06), (0.52, 0.13)),
    ),
    "car": (
        _round("main", (-0.75, 0.0), (-0.5, -0.58), (-0.4, -0.6), (0.3, -0.6), (0.42, -0.56), (0.8, 0.0)),
        _sharp("glass", (-0.56, -0.04), (-0.42, -0.44), (-0.06, -0.46), (-0.06, -0.04)),
        _sharp("glass", (0.04, -0.04), (0.04, -0.46), (0.3, -0.44), (0.6, -0.04)),
        _round(
            "main",
            (-1.15, 0.0),
            (-1.05, -0.1),
            (0.75, -0.12),
            (1.12, 0.05),
            (1.2, 0.36),
            (1.1, 0.44),
            (-1.1, 0.44),
            (-1.18, 0.36),
        ),
        _round("deep", (-1.15, 0.28), (1.17, 0.28), (1.15, 0.46), (-1.13, 0.46)),
        _oval(1.02, 0.12, 0.1, 0.08, "white", points=14),
        _bar("pale", -0.02, 0.06, 0.14, 0.1),
        *(
            part
            for x in (-0.64, 0.64)
            for part in (
                _oval(x, 0.42, 0.27, 0.27, "ink"),
                _oval(x, 0.42, 0.13, 0.13, "white", points=18),
            )
        ),
    ),
}
