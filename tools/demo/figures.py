"""The things that the demo model knows, as polygons around the origin: radius 1, y downwards."""

from __future__ import annotations

import math
from dataclasses import dataclass

Points = tuple[tuple[float, float], ...]


@dataclass(frozen=True)
class Part:
    """One polygon of a figure.

    `role` says its colour: `body` is the thing's own, `shade` and `light` are darker and lighter,
    `ink` is black (white on a black thing), `beak`, `wood` and `glow` are orange, brown and yellow.
    """

    role: str
    points: Points


def _oval(
    role: str, x: float, y: float, rx: float, ry: float | None = None, turn: float = 0.0
) -> Part:
    c, s = math.cos(turn), math.sin(turn)
    points = []
    for k in range(40):
        a, b = rx * math.cos(math.tau * k / 40), (ry or rx) * math.sin(math.tau * k / 40)
        points.append((x + a * c - b * s, y + a * s + b * c))
    return Part(role, tuple(points))


def _box(role: str, left: float, top: float, right: float, bottom: float) -> Part:
    return Part(role, ((left, top), (right, top), (right, bottom), (left, bottom)))


def _mirrored(part: Part) -> tuple[Part, Part]:
    return part, Part(part.role, tuple((-x, y) for x, y in part.points))


def _arc(x: float, y: float, radius: float, start: float, end: float) -> list[tuple[float, float]]:
    """Points on a circle between two angles in degrees, clockwise from the right."""
    angles = [math.radians(start + (end - start) * k / 32) for k in range(33)]
    return [(x + radius * math.cos(a), y + radius * math.sin(a)) for a in angles]


def _star() -> Part:
    points = []
    for k in range(10):
        radius, angle = (1.08, 0.46)[k % 2], math.pi * k / 5 - math.pi / 2
        points.append((radius * math.cos(angle), radius * math.sin(angle)))
    return Part("body", tuple(points))


def _heart() -> Part:
    points = []
    for k in range(80):
        t = math.tau * k / 80
        height = 13 * math.cos(t) - 5 * math.cos(2 * t) - 2 * math.cos(3 * t) - math.cos(4 * t)
        points.append((16 * math.sin(t) ** 3 / 17, -height / 16))
    return Part("body", tuple(points))


def _rays() -> list[Part]:
    rays = []
    for k in range(10):
        tip = math.tau * k / 10
        corners = ((0.72, tip - 0.2), (1.1, tip), (0.72, tip + 0.2))
        rays.append(Part("body", tuple((r * math.cos(a), r * math.sin(a)) for r, a in corners)))
    return rays


def _petals() -> list[Part]:
    angles = [math.tau * k / 5 - math.pi / 2 for k in range(5)]
    return [_oval("body", 0.58 * math.cos(a), 0.58 * math.sin(a), 0.44) for a in angles]


def _eyes(x: float, y: float, rx: float, ry: float) -> tuple[Part, Part]:
    return _mirrored(_oval("ink", x, y, rx, ry))


FIGURES: dict[str, tuple[Part, ...]] = {
    "circle": (_oval("body", 0, 0, 1),),
    "square": (_box("body", -0.85, -0.85, 0.85, 0.85),),
    "triangle": (Part("body", ((0, -1), (0.98, 0.8), (-0.98, 0.8))),),
    "star": (_star(),),
    "moon": (Part("body", (*_arc(0, 0, 1, 33, 285.2), *_arc(0.42, -0.16, 0.82, 259, 59.3))),),
    "heart": (_heart(),),
    "ring": (Part("body", (*_arc(0, 0, 1, 0, 360), *_arc(0, 0, 0.56, 360, 0))),),
    "cross": (_box("body", -0.33, -1, 0.33, 1), _box("body", -1, -0.33, 1, 0.33)),
    "flower": (*_petals(), _oval("glow", 0, 0, 0.3)),
    "cloud": (
        _oval("body", -0.55, 0.2, 0.42), _oval("body", 0, -0.12, 0.58),
        _oval("body", 0.58, 0.2, 0.42), _box("body", -0.55, 0.1, 0.58, 0.62),
    ),
    "tree": (
        _box("wood", -0.15, 0.4, 0.15, 1.0),
        Part("body", ((0, -1.05), (0.52, -0.25), (-0.52, -0.25))),
        Part("body", ((0, -0.6), (0.76, 0.5), (-0.76, 0.5))),
    ),
    "fish": (
        Part("shade", ((0.3, 0), (1.0, -0.55), (0.85, 0), (1.0, 0.55))),
        _oval("body", -0.17, 0, 0.76, 0.54), _oval("ink", -0.52, -0.12, 0.13),
        Part("shade", ((-0.05, 0.05), (0.3, -0.1), (0.3, 0.25))),
    ),
    "cat": (
        *_mirrored(Part("body", ((-0.9, 0.1), (-0.82, -1.0), (-0.12, -0.5)))),
        *_mirrored(Part("light", ((-0.72, -0.3), (-0.7, -0.72), (-0.4, -0.5)))),
        _oval("body", 0, 0.2, 0.92, 0.76),
        *_eyes(0.38, 0.1, 0.14, 0.19),
        Part("ink", ((-0.16, 0.42), (0.16, 0.42), (0, 0.6))),
    ),
    "dog": (
        _oval("body", 0, 0.05, 0.76, 0.84),
        *_mirrored(_oval("shade", 0.76, 0.0, 0.25, 0.66, -0.22)),
        _oval("light", 0, 0.48, 0.46, 0.38),
        *_eyes(0.3, -0.14, 0.14, 0.16),
        _oval("ink", 0, 0.38, 0.22, 0.16),
    ),
    "rabbit": (
        *_mirrored(_oval("body", 0.33, -0.52, 0.21, 0.56, 0.12)),
        *_mirrored(_oval("light", 0.33, -0.52, 0.1, 0.4, 0.12)),
        _oval("body", 0, 0.4, 0.72, 0.62),
        *_eyes(0.3, 0.28, 0.13, 0.16),
        Part("ink", ((-0.14, 0.54), (0.14, 0.54), (0, 0.7))),
    ),
    "bird": (
        Part("shade", ((0.5, 0.1), (1.12, -0.32), (1.06, 0.28))),
        Part("beak", ((-0.8, -0.55), (-1.18, -0.3), (-0.8, -0.14))),
        _box("wood", -0.14, 0.6, -0.03, 1.0), _box("wood", 0.16, 0.6, 0.27, 1.0),
        _oval("body", 0.05, 0.16, 0.72, 0.56), _oval("body", -0.48, -0.36, 0.43),
        _oval("shade", 0.22, 0.12, 0.4, 0.27, -0.2), _oval("ink", -0.56, -0.42, 0.12),
    ),
    "house": (
        _box("shade", 0.42, -0.95, 0.66, -0.3),
        _box("body", -0.75, -0.15, 0.75, 0.95),
        Part("shade", ((-1.02, -0.1), (0, -1.0), (1.02, -0.1))),
        *_mirrored(_box("glow", 0.3, 0.1, 0.62, 0.44)),
        _box("shade", -0.18, 0.35, 0.18, 0.95),
    ),
    "face": (
        _oval("body", 0, 0, 1), *_eyes(0.36, -0.25, 0.14, 0.2),
        Part("ink", (*_arc(0, 0.1, 0.58, 15, 165), *_arc(0, 0.06, 0.48, 165, 15))),
    ),
    "sun": (_oval("body", 0, 0, 0.64), *_rays()),
    "boat": (
        _box("wood", -0.07, -0.98, 0.07, 0.45),
        Part("light", ((0.1, -0.92), (0.1, 0.28), (0.86, 0.28))),
        Part("light", ((-0.1, -0.7), (-0.1, 0.28), (-0.66, 0.28))),
        Part("body", ((-1.0, 0.4), (1.0, 0.4), (0.62, 0.92), (-0.62, 0.92))),
    ),
}  # fmt: skip
"""Each thing's parts from the back to the front."""
