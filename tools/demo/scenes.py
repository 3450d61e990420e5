"""Drawn scenes with captions: the whole world the demo model knows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from tools.demo.figures import FIGURES
from tools.demo.grounds import GROUNDS, RGB, WINDOW, draw_ground

SIZE = 192
SUPERSAMPLE = 3
SIDE = SIZE * SUPERSAMPLE

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
SHAPES = tuple(FIGURES)
DETAILED = ("cat", "dog", "rabbit", "bird", "house", "face", "sun", "boat", "fish", "tree")
"""Things of several parts: drawn more often than plain shapes."""

RADII = {"small": 0.17, "": 0.26, "large": 0.38}
GROUND_VARIANTS = 3
SYNONYMS = {"small": "tiny", "large": "big"}
PLACES = {
    "": (0.5, 0.5),
    "on the left": (0.27, 0.5),
    "on the right": (0.73, 0.5),
    "at the top": (0.5, 0.28),
    "at the bottom": (0.5, 0.72),
}
Tone = Callable[[RGB], RGB]


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

    def phrase(self, rng: np.random.Generator, place: str) -> str:
        """Describe the thing, leaving an attribute out now and then so short prompts work."""
        size = self.size if rng.random() < 0.92 else ""
        if rng.random() < 0.15:
            size = SYNONYMS.get(size, size)
        colour = self.colour if rng.random() < 0.95 else ""
        words = " ".join(word for word in (size, colour, self.shape) if word)
        return f"{article(words)} {words} {place}".strip()


@dataclass(frozen=True)
class Scene:
    """Things before a background, with a ground at its foot or none."""

    things: tuple[Thing, ...]
    background: str
    ground: str
    seed: int

    def caption(self, rng: np.random.Generator) -> str:
        """Caption the scene in one of a few wordings."""
        # Without places, two things are told in the order they stand in.
        placed = len(self.things) < 2 or rng.random() < 0.6
        phrases = [thing.phrase(rng, thing.place if placed else "") for thing in self.things]
        text = " and ".join(phrases) or self.ground
        if rng.random() < 0.94:
            on = f" on {article(self.background)} {self.background} background"
            comma = f", {self.background} background"
            text += on if rng.random() < 0.7 else comma
        if self.ground and self.things and rng.random() < 0.95:
            text += f", {self.ground}"
        return text


def article(words: str) -> str:
    """The indefinite article before some words."""
    return "an" if words[0] in "aeiou" else "a"


def random_scene(rng: np.random.Generator) -> Scene:
    """Draw the description of a scene: a landscape alone, one thing, or two side by side."""
    names = list(COLOURS)
    background = str(rng.choice(names))
    others = [name for name in names if name != background]
    count = int(rng.choice([0, 1, 2], p=[0.06, 0.56, 0.38]))
    one = [str(rng.choice(list(PLACES), p=[0.6, 0.1, 0.1, 0.1, 0.1]))]
    places = (one, one, ["on the left", "on the right"])[count]
    things = []
    for place in places[:count] if count else ():
        size = str(rng.choice(["small", ""], p=[0.3, 0.7]) if count == 2 else rng.choice(
            list(RADII), p=[0.22, 0.39, 0.39]))  # fmt: skip
        if size == "large":
            place = ""
        x, y = PLACES[place]
        jitter = 0.01
        shapes = DETAILED if rng.random() < 0.4 else SHAPES
        things.append(
            Thing(
                shape=str(rng.choice(shapes)),
                colour=str(rng.choice(others)),
                size=size,
                place=place,
                x=x + rng.uniform(-jitter, jitter),
                y=y + rng.uniform(-jitter, jitter),
                radius=RADII[size] * rng.uniform(0.98, 1.02) * (0.84 if count == 2 else 1.0),
                turn=rng.uniform(-0.02, 0.02),
            )
        )
    ground = str(rng.choice(GROUNDS)) if not things or rng.random() < 0.35 else ""
    return Scene(tuple(things), background, ground, int(rng.integers(GROUND_VARIANTS)))


def shade(colour: RGB, factor: float) -> RGB:
    """Darken (factor < 1) or lighten towards white (factor > 1) a colour."""
    if factor <= 1:
        r, g, b = (round(c * factor) for c in colour)
    else:
        r, g, b = (round(c + (255 - c) * (factor - 1)) for c in colour)
    return r, g, b


def role_colour(colour: str, role: str) -> RGB:
    """The colour of a figure's part, for a thing of a colour."""
    base = COLOURS[colour]
    match role:
        case "shade":
            return shade(base, 1.3 if colour == "black" else 0.62)
        case "light":
            return shade(base, 0.86 if colour == "white" else 1.55)
        case "ink":
            return (244, 244, 240) if colour == "black" else (30, 26, 38)
        case "beak":
            return COLOURS["yellow" if colour == "orange" else "orange"]
        case "wood":
            return (122, 84, 56)
        case "glow":
            return WINDOW if colour != "yellow" else COLOURS["orange"]
        case _:
            return base


def background_layer(scene: Scene) -> Image.Image:
    """The background in its supersampled size: a quiet gradient of its colour, then the ground."""
    top = np.array(shade(COLOURS[scene.background], 1.0), dtype=np.float32)
    low = np.array(shade(COLOURS[scene.background], 1.26), dtype=np.float32)
    ramp = np.linspace(0, 1, SIDE, dtype=np.float32)[:, None, None]
    pixels = np.broadcast_to(top * (1 - ramp) + low * ramp, (SIDE, SIDE, 3))
    image = Image.fromarray(pixels.round().astype(np.uint8))
    if scene.ground:
        draw_ground(image, scene.ground, scene.seed, scene.background == "black")
    return image


def paint_thing(image: Image.Image, thing: Thing, tone: Tone = lambda colour: colour) -> None:
    """Draw a thing over a supersampled picture, its colours seen through `tone`."""
    draw = ImageDraw.Draw(image)
    for role, points in placed_parts(thing):
        draw.polygon(points, fill=tone(role_colour(thing.colour, role)))


def thing_mask(thing: Thing, *, ink: bool = False) -> Image.Image:
    """The silhouette of a thing as a supersampled `L` picture, or that of its inked parts alone."""
    mask = Image.new("L", (SIDE, SIDE), 0)
    draw = ImageDraw.Draw(mask)
    for role, points in placed_parts(thing):
        if not ink or role == "ink":
            draw.polygon(points, fill=255)
    return mask


def placed_parts(thing: Thing) -> list[tuple[str, list[tuple[float, float]]]]:
    """The roles and polygons of a thing, in supersampled pixels."""
    c, s = math.cos(thing.turn), math.sin(thing.turn)
    cx, cy, r = thing.x * SIDE, thing.y * SIDE, thing.radius * SIDE
    return [
        (part.role, [(cx + r * (x * c - y * s), cy + r * (x * s + y * c)) for x, y in part.points])
        for part in FIGURES[thing.shape]
    ]


def render(scene: Scene) -> Image.Image:
    """Draw the scene: an anti-aliased RGB picture of `SIZE` pixels a side."""
    image = background_layer(scene)
    for thing in scene.things:
        paint_thing(image, thing)
    return image.resize((SIZE, SIZE), Image.Resampling.BOX)
