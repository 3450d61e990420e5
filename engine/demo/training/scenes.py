"""Drawn scenes with captions: the whole world the demo model knows."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

SIZE = 128
SUPERSAMPLE = 4

RGB = tuple[int, int, int]

COLOURS: dict[str, RGB] = {
    "red": (226, 52, 56),
    "orange": (245, 140, 40),
    "yellow": (252, 212, 64),
    "green": (62, 168, 88),
    "teal": (38, 166, 164),
    "blue": (52, 104, 220),
    "purple": (132, 76, 190),
    "pink": (242, 130, 172),
    "white": (248, 248, 244),
    "black": (34, 34, 42),
}
SHAPES = (
    "circle", "square", "triangle", "star", "moon", "heart",
    "ring", "cross", "flower", "cloud", "tree", "fish",
)  # fmt: skip
RADII = {"small": 0.15, "": 0.25, "large": 0.37}
PLACES = {
    "": (0.5, 0.5),
    "on the left": (0.28, 0.5),
    "on the right": (0.72, 0.5),
    "at the top": (0.5, 0.28),
    "at the bottom": (0.5, 0.72),
}
GROUNDS = ("", "hills", "waves", "city")


@dataclass(frozen=True)
class Thing:
    """One object of a scene; positions and radius are fractions of the picture's side."""

    shape: str
    colour: str
    size: str
    place: str
    x: float
    y: float
    radius: float
    turn: float

    def phrase(self, rng: np.random.Generator) -> str:
        """Describe the thing, leaving an attribute out now and then so short prompts work."""
        size = self.size if rng.random() < 0.95 else ""
        colour = self.colour if rng.random() < 0.97 else ""
        words = " ".join(word for word in (size, colour, self.shape) if word)
        article = "an" if words[0] in "aeiou" else "a"
        return f"{article} {words} {self.place}".strip()


@dataclass(frozen=True)
class Scene:
    """Things before a background, with a strip of ground or none."""

    things: tuple[Thing, ...]
    background: str
    ground: str
    seed: int

    def caption(self, rng: np.random.Generator) -> str:
        """Caption the scene in one of a few wordings."""
        text = " and ".join(thing.phrase(rng) for thing in self.things)
        if rng.random() < 0.96:
            on = f" on a {self.background} background"
            comma = f", {self.background} background"
            text += on if rng.random() < 0.7 else comma
        if self.ground and rng.random() < 0.95:
            text += f", {self.ground}"
        return text


def random_scene(rng: np.random.Generator) -> Scene:
    """Draw the description of a scene: one thing, or (one time in four) two side by side."""
    names = list(COLOURS)
    background = str(rng.choice(names))
    others = [name for name in names if name != background]
    pair = rng.random() < 0.25
    places = ["on the left", "on the right"] if pair else [str(rng.choice(list(PLACES)))]
    things = []
    for place in places:
        size = str(rng.choice(["small", ""])) if pair else str(rng.choice(list(RADII)))
        if size == "large":
            place = ""
        x, y = PLACES[place]
        jitter = 0.02 if size == "large" else 0.04
        things.append(
            Thing(
                shape=str(rng.choice(SHAPES)),
                colour=str(rng.choice(others)),
                size=size,
                place=place,
                x=x + rng.uniform(-jitter, jitter),
                y=y + rng.uniform(-jitter, jitter),
                radius=RADII[size] * rng.uniform(0.92, 1.08) * (0.92 if pair else 1.0),
                turn=rng.uniform(-0.12, 0.12),
            )
        )
    ground = str(rng.choice(GROUNDS, p=[0.61, 0.13, 0.13, 0.13]))
    return Scene(tuple(things), background, ground, int(rng.integers(2**31)))


def shade(colour: RGB, factor: float) -> RGB:
    """Darken (factor < 1) or lighten towards white (factor > 1) a colour."""
    if factor <= 1:
        r, g, b = (round(c * factor) for c in colour)
    else:
        r, g, b = (round(c + (255 - c) * (factor - 1)) for c in colour)
    return r, g, b


def background_layer(scene: Scene, size: int = SIZE) -> Image.Image:
    """The background: a quiet vertical gradient of its colour, then the ground."""
    side = size * SUPERSAMPLE
    top = np.array(shade(COLOURS[scene.background], 1.16), dtype=np.float32)
    low = np.array(shade(COLOURS[scene.background], 0.90), dtype=np.float32)
    ramp = np.linspace(0, 1, side, dtype=np.float32)[:, None, None]
    pixels = np.broadcast_to(top * (1 - ramp) + low * ramp, (side, side, 3))
    image = Image.fromarray(pixels.round().astype(np.uint8))
    _draw_ground(ImageDraw.Draw(image), scene, side)
    return image


def _draw_ground(draw: ImageDraw.ImageDraw, scene: Scene, side: int) -> None:
    if not scene.ground:
        return
    rng = np.random.default_rng(scene.seed)
    base = COLOURS[scene.background]
    dark = scene.background == "black"
    tones = [shade(base, f) for f in ((1.28, 1.42) if dark else (0.74, 0.58))]
    xs = np.linspace(0, side, 96)
    for layer, tone in enumerate(tones):
        level = 0.80 + 0.09 * layer
        phase = rng.uniform(0, 2 * math.pi)
        if scene.ground == "city":
            x = 0.0
            while x < side:
                width = rng.uniform(0.07, 0.13) * side
                top = (level - rng.uniform(0.0, 0.12)) * side
                draw.rectangle((x, top, x + width, side), fill=tone)
                x += width
            continue
        waves, height = (1.6, 0.045) if scene.ground == "hills" else (5.0, 0.018)
        ys = (level + height * np.sin(xs / side * 2 * math.pi * waves + phase)) * side
        line = [(float(x), float(y)) for x, y in zip(xs, ys, strict=True)]
        draw.polygon([*line, (side, side), (0, side)], fill=tone)


def thing_mask(thing: Thing, size: int = SIZE) -> Image.Image:
    """The thing's silhouette as an `L` picture of `size * SUPERSAMPLE` pixels a side."""
    side = size * SUPERSAMPLE
    mask = Image.new("L", (side, side), 0)
    draw = ImageDraw.Draw(mask)
    cx, cy, r = thing.x * side, thing.y * side, thing.radius * side

    def at(
        points: list[tuple[float, float]], turn: float = thing.turn
    ) -> list[tuple[float, float]]:
        c, s = math.cos(turn), math.sin(turn)
        return [(cx + r * (x * c - y * s), cy + r * (x * s + y * c)) for x, y in points]

    def disc(x: float, y: float, radius: float, fill: int = 255) -> None:
        px, py = cx + r * x, cy + r * y
        draw.ellipse(
            (px - r * radius, py - r * radius, px + r * radius, py + r * radius), fill=fill
        )

    match thing.shape:
        case "circle":
            disc(0, 0, 1)
        case "square":
            draw.polygon(at([(-0.85, -0.85), (0.85, -0.85), (0.85, 0.85), (-0.85, 0.85)]), fill=255)
        case "triangle":
            draw.polygon(at([(0, -1), (0.98, 0.8), (-0.98, 0.8)]), fill=255)
        case "star":
            points = []
            for k in range(10):
                radius = 1.08 if k % 2 == 0 else 0.46
                angle = math.pi * k / 5 - math.pi / 2
                points.append((radius * math.cos(angle), radius * math.sin(angle)))
            draw.polygon(at(points), fill=255)
        case "moon":
            disc(0, 0, 1)
            disc(0.42, -0.16, 0.82, fill=0)
        case "heart":
            t = np.linspace(0, 2 * math.pi, 80)
            x = 16 * np.sin(t) ** 3 / 17
            y = -(13 * np.cos(t) - 5 * np.cos(2 * t) - 2 * np.cos(3 * t) - np.cos(4 * t)) / 16
            points = [(float(a), float(b)) for a, b in zip(x, y, strict=True)]
            draw.polygon(at(points), fill=255)
        case "ring":
            disc(0, 0, 1)
            disc(0, 0, 0.56, fill=0)
        case "cross":
            arm = 0.33
            draw.polygon(at([(-arm, -1), (arm, -1), (arm, 1), (-arm, 1)]), fill=255)
            draw.polygon(at([(-1, -arm), (1, -arm), (1, arm), (-1, arm)]), fill=255)
        case "flower":
            for k in range(5):
                angle = 2 * math.pi * k / 5 - math.pi / 2 + thing.turn
                disc(0.58 * math.cos(angle), 0.58 * math.sin(angle), 0.44)
            disc(0, 0, 0.24, fill=0)
        case "cloud":
            disc(-0.55, 0.2, 0.42)
            disc(0.0, -0.12, 0.58)
            disc(0.58, 0.2, 0.42)
            draw.polygon(at([(-0.55, 0.1), (0.58, 0.1), (0.58, 0.62), (-0.55, 0.62)], 0), fill=255)
        case "tree":
            draw.polygon(at([(-0.14, 0.4), (0.14, 0.4), (0.14, 1.0), (-0.14, 1.0)], 0), fill=255)
            draw.polygon(at([(0, -1.05), (0.52, -0.25), (-0.52, -0.25)], 0), fill=255)
            draw.polygon(at([(0, -0.6), (0.74, 0.5), (-0.74, 0.5)], 0), fill=255)
        case "fish":
            box = (cx - 0.9 * r, cy - 0.52 * r, cx + 0.55 * r, cy + 0.52 * r)
            draw.ellipse(box, fill=255)
            draw.polygon(at([(0.3, 0), (1.0, -0.55), (1.0, 0.55)], 0), fill=255)
            disc(-0.5, -0.14, 0.1, fill=0)
        case _:
            raise ValueError(f"no such shape: {thing.shape}")
    return mask


def render(scene: Scene, size: int = SIZE) -> Image.Image:
    """Draw the scene: an anti-aliased RGB picture of `size` pixels a side."""
    image = background_layer(scene, size)
    for thing in scene.things:
        image.paste(COLOURS[thing.colour], mask=thing_mask(thing, size))
    return image.resize((size, size), Image.Resampling.BOX)
