"""What may lie at the foot of a scene, each in its own colours: hills, waves, city, ..."""

from __future__ import annotations

import math

import numpy as np
from PIL import Image, ImageDraw

RGB = tuple[int, int, int]
TONES: dict[str, tuple[RGB, RGB]] = {
    "hills": ((104, 178, 84), (66, 138, 66)),
    "waves": ((74, 152, 220), (36, 104, 186)),
    "city": ((92, 92, 122), (56, 56, 84)),
    "mountains": ((142, 136, 166), (98, 94, 128)),
    "forest": ((58, 122, 84), (32, 84, 62)),
}
"""The far and the near layer of each ground."""

GROUNDS = tuple(TONES)
WINDOW = (250, 214, 110)
SNOW = (244, 246, 250)
NIGHT = 0.5
"""How much of the light is left before a black sky."""


def draw_ground(image: Image.Image, ground: str, seed: int, night: bool) -> None:
    """Draw a ground over the foot of a square picture, the same for the same seed."""
    draw = ImageDraw.Draw(image)
    rng = np.random.default_rng(seed)
    for layer, colour in enumerate(TONES[ground]):
        tone = tuple(round(c * NIGHT) for c in colour) if night else colour
        level = 0.74 + 0.11 * layer
        match ground:
            case "hills":
                _wave(draw, image.width, level, 0.05, 1.5, tone, rng)
            case "waves":
                _wave(draw, image.width, level, 0.022, 5.0, tone, rng)
            case "city":
                _houses(draw, image.width, level, tone, rng)
            case "mountains":
                _peaks(draw, image.width, level, 0.3 - 0.12 * layer, tone, rng, snow=layer == 0)
            case "forest":
                _trees(draw, image.width, level, tone, rng)


def _wave(
    draw: ImageDraw.ImageDraw, side: int, level: float, height: float, waves: float,
    tone: tuple[int, ...], rng: np.random.Generator,
) -> None:  # fmt: skip
    phase = rng.uniform(0, math.tau)
    steps = [k / 96 for k in range(97)]
    line = [(x * side, (level + height * math.sin(x * math.tau * waves + phase)) * side)
            for x in steps]  # fmt: skip
    draw.polygon([*line, (side, side), (0, side)], fill=tone)


def _houses(
    draw: ImageDraw.ImageDraw, side: int, level: float, tone: tuple[int, ...],
    rng: np.random.Generator,
) -> None:  # fmt: skip
    x = -rng.uniform(0, 0.08)
    while x < 1:
        width, top = rng.uniform(0.1, 0.15), level - rng.uniform(0.0, 0.16)
        draw.rectangle((x * side, top * side, (x + width) * side, side), fill=tone)
        x += width


def _peaks(
    draw: ImageDraw.ImageDraw, side: int, level: float, height: float, tone: tuple[int, ...],
    rng: np.random.Generator, *, snow: bool,
) -> None:  # fmt: skip
    draw.rectangle((0, (level + 0.1) * side, side, side), fill=tone)
    for middle in np.arange(rng.uniform(-0.1, 0.15), 1.15, 0.32):
        tip, base = level - height * rng.uniform(0.5, 1.0), level + 0.11
        half = (base - tip) * 0.85
        foot = [((middle - half) * side, base * side), ((middle + half) * side, base * side)]
        draw.polygon([(middle * side, tip * side), *foot], fill=tone)
        if snow:
            cap = 0.3 * (base - tip)
            ends = [((middle + f * cap * 0.85) * side, (tip + cap * (1 - 0.35 * (f == 0))) * side)
                    for f in (-1, 0, 1)]  # fmt: skip
            draw.polygon([(middle * side, tip * side), *ends], fill=SNOW)


def _trees(
    draw: ImageDraw.ImageDraw, side: int, level: float, tone: tuple[int, ...],
    rng: np.random.Generator,
) -> None:  # fmt: skip
    draw.rectangle((0, (level + 0.06) * side, side, side), fill=tone)
    x = rng.uniform(-0.06, 0.04)
    while x < 1.06:
        tip, half = level - rng.uniform(0.08, 0.18), rng.uniform(0.07, 0.09)
        for top, share in ((tip, 0.7), (tip + 0.07, 1.0)):
            foot = (top + 0.14) * side
            left, right = (x - half * share) * side, (x + half * share) * side
            draw.polygon([(x * side, top * side), (left, foot), (right, foot)], fill=tone)
        x += rng.uniform(0.1, 0.15)
