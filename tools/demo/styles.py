"""The styles the demo's LoRAs are trained on: each redraws a scene of `scenes`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from tools.demo.grounds import RGB, TONES
from tools.demo.scenes import (
    COLOURS,
    SIDE,
    SIZE,
    SUPERSAMPLE,
    Scene,
    Thing,
    background_layer,
    paint_thing,
    placed_parts,
    render,
    role_colour,
    shade,
    thing_mask,
)

PAPER, INK = (250, 244, 228), (30, 36, 66)
GREYS = {"body": 130, "shade": 70, "light": 200, "ink": 20, "beak": 90, "wood": 50, "glow": 180}
"""Tells the parts of a thing apart where their contours are looked for."""

Style = Callable[[Scene], Image.Image]


def _array(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=np.float32)


def _image(pixels: np.ndarray) -> Image.Image:
    return Image.fromarray(pixels.clip(0, 255).round().astype(np.uint8))


def _small(image: Image.Image) -> Image.Image:
    return image.resize((SIZE, SIZE), Image.Resampling.BOX)


def _edge(mask: Image.Image, width: int) -> Image.Image:
    """The contour of a silhouette, `width` supersampled pixels wide."""
    half = width // 2 * 2 + 1
    wide = mask.resize((SIDE // 2, SIDE // 2)).filter(ImageFilter.MaxFilter(half))
    slim = mask.resize((SIDE // 2, SIDE // 2)).filter(ImageFilter.MinFilter(half))
    return ImageChops.subtract(wide, slim).resize((SIDE, SIDE))


def _ground_mask(scene: Scene) -> Image.Image:
    bare = Scene(scene.things, scene.background, "", scene.seed)
    changed = ImageChops.difference(background_layer(scene), background_layer(bare)).convert("L")
    return changed.point(lambda value: 255 if value > 3 else 0)


def _part_edges(thing: Thing, width: int) -> Image.Image:
    """The contours of a thing and of its parts that are not hidden by others."""
    image = Image.new("L", (SIDE, SIDE), 0)
    grey = ImageDraw.Draw(image)
    for role, points in placed_parts(thing):
        grey.polygon(points, fill=GREYS[role])
    return _edge(image, width).point(lambda value: min(255, value * 6))


def outline(scene: Scene) -> Image.Image:
    """Dark ink contours on cream paper, nothing filled."""
    paper = Image.new("RGB", (SIDE, SIDE), PAPER)
    if scene.ground:
        paper.paste(INK, mask=_edge(_ground_mask(scene), 9))
    for thing in scene.things:
        paper.paste(PAPER, mask=thing_mask(thing))
        paper.paste(INK, mask=_part_edges(thing, 9))
        paper.paste(INK, mask=thing_mask(thing, ink=True))
    return _small(paper)


def neon(scene: Scene) -> Image.Image:
    """Glowing tubes in the things' colours before the dark."""
    glow: np.ndarray = np.full((SIZE, SIZE, 3), (14, 8, 30), dtype=np.float32)
    lines = [(_part_edges(thing, 9), COLOURS[thing.colour]) for thing in scene.things]
    if scene.ground:
        lines.insert(0, (_edge(_ground_mask(scene), 9), TONES[scene.ground][0]))
    for contour, colour in lines:
        rgb = np.array((150, 90, 255) if max(colour) < 60 else colour, dtype=np.float32)
        edge = _small(contour).filter(ImageFilter.GaussianBlur(0.8))
        halo = edge.filter(ImageFilter.GaussianBlur(7))
        glow += _array(halo)[..., None] / 255 * rgb * 2.2
        core = _array(edge)[..., None] / 255
        glow = glow * (1 - core) + core * (rgb * 0.4 + 255 * 0.6)
    return _image(glow)


def pixel(scene: Scene) -> Image.Image:
    """Blocks of sixteen pixels, as on an early game console."""
    tiny = render(scene).resize((SIZE // 16, SIZE // 16), Image.Resampling.BOX)
    return tiny.resize((SIZE, SIZE), Image.Resampling.NEAREST)


def _moonlit(colour: RGB) -> RGB:
    r, g, b = colour
    return round(r * 0.42 + 8), round(g * 0.42 + 14), round(b * 0.5 + 44)


def night(scene: Scene) -> Image.Image:
    """Moonlight: everything deep blue, with stars in the sky."""
    rng = np.random.default_rng(scene.seed)
    sky = Image.new("RGB", (SIDE, SIDE), (16, 20, 58))
    draw = ImageDraw.Draw(sky)
    for _ in range(16):
        x, y, r = rng.uniform(0, SIDE), rng.uniform(0, SIDE * 0.75), rng.uniform(6, 10)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(236, 236, 200))
    if scene.ground:
        sky.paste((8, 10, 32), mask=_ground_mask(scene))
    for thing in scene.things:
        paint_thing(sky, thing, _moonlit)
    return _small(sky)


def pastel(scene: Scene) -> Image.Image:
    """Chalky, pale and soft."""
    pixels = _array(render(scene).filter(ImageFilter.GaussianBlur(1.6)))
    grey = pixels.mean(axis=2, keepdims=True)
    soft = grey * 0.3 + pixels * 0.7
    return _image(soft * 0.36 + 255 * 0.62)


def watercolour(scene: Scene) -> Image.Image:
    """Washes on white paper: wobbling, darker edges and blotchy fillings."""
    rng = np.random.default_rng(scene.seed)
    noise = rng.normal(0, 255, (2, 9, 9)).astype(np.float32)
    dx, dy = (
        _array(Image.fromarray(n).resize((SIZE, SIZE), Image.Resampling.BICUBIC)) / 255
        for n in noise
    )
    paper = np.full((SIZE, SIZE, 3), (252, 250, 244), dtype=np.float32)
    yy, xx = np.mgrid[0:SIZE, 0:SIZE]
    rows = (yy + dy * 1.6).round().clip(0, SIZE - 1).astype(int)
    cols = (xx + dx * 1.6).round().clip(0, SIZE - 1).astype(int)
    blotch = 0.55 + 0.04 * dx * dy + 0.06 * dx

    def wash(
        layer: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int], weight: float
    ) -> None:
        wobbled = mask[rows, cols][..., None] / 255
        soft = _array(_image(mask).filter(ImageFilter.GaussianBlur(3)))[rows, cols][..., None] / 255
        rim = wobbled * (1 - soft) * 0.9
        amount = (wobbled * (blotch[..., None] + weight) + rim).clip(0, 1)
        layer[:] = layer * (1 - amount) + np.array(colour, dtype=np.float32) * amount

    frame = np.zeros((SIZE, SIZE), dtype=np.float32)
    frame[13:-13, 13:-13] = 255
    wash(paper, frame, shade(COLOURS[scene.background], 1.25), 0.0)
    if scene.ground:
        ground = _array(_small(_ground_mask(scene))) * (frame / 255)
        wash(paper, ground, TONES[scene.ground][1], 0.15)
    for thing in scene.things:
        mask = _small(thing_mask(thing))
        wash(paper, _array(mask), COLOURS[thing.colour], 0.4)
        details = Image.new("RGB", (SIDE, SIDE), COLOURS[thing.colour])
        paint_thing(details, thing)
        inner = np.abs(_array(_small(details)) - COLOURS[thing.colour]).max(axis=2)
        covered = (inner / 40).clip(0, 1)[rows, cols][..., None] * 0.85
        paper = paper * (1 - covered) + _array(_small(details))[rows, cols] * covered
    return _image(paper)


def stripes(scene: Scene) -> Image.Image:
    """Diagonal bands: pale ones over the background, dark ones over the things."""
    yy, xx = np.mgrid[0:SIDE, 0:SIDE]
    period = 40 * SUPERSAMPLE
    band = Image.fromarray((((xx + yy) % period) < period // 2).astype(np.uint8) * 255)
    image = background_layer(scene)
    image.paste(Image.blend(image, Image.new("RGB", image.size, "white"), 0.45), mask=band)
    for thing in scene.things:
        paint_thing(image, thing)
        dark = image.copy()
        paint_thing(dark, thing, lambda colour: shade(colour, 0.58))
        image.paste(dark, mask=ImageChops.multiply(thing_mask(thing), band))
    return _small(image)


def kawaii(scene: Scene) -> Image.Image:
    """A happy face with pink cheeks on every thing."""
    image = background_layer(scene)
    draw = ImageDraw.Draw(image)
    for thing in scene.things:
        bodies = [(r, p) for r, p in placed_parts(thing) if r != "ink"]
        for role, points in bodies:
            draw.polygon(points, fill=role_colour(thing.colour, role))
        cx, cy, r = thing.x * SIDE, thing.y * SIDE, max(thing.radius, 0.2) * SIDE

        def dot(
            x: float, y: float, s: float, fill: RGB,
            cx: float = cx, cy: float = cy, r: float = r,
        ) -> None:  # fmt: skip
            px, py, pr = cx + x * r, cy + y * r, s * r
            draw.ellipse((px - pr, py - pr, px + pr, py + pr), fill=fill)

        ink = role_colour(thing.colour, "ink")
        for side in (-1, 1):
            dot(side * 0.34, 0.02, 0.15, ink)
            dot(side * 0.38, -0.04, 0.055, role_colour(thing.colour, "body"))
            dot(side * 0.6, 0.3, 0.15, (255, 110, 145))
        box = (cx - 0.24 * r, cy + 0.02 * r, cx + 0.24 * r, cy + 0.46 * r)
        draw.arc(box, 15, 165, fill=ink, width=round(r * 0.1))
    return _small(image)


def warm(scene: Scene) -> Image.Image:
    """Evening sun: reds and yellows up, blues down."""
    return _image(_array(render(scene)) * (1.12, 0.86, 0.5) + (46, 18, 0))


def cold(scene: Scene) -> Image.Image:
    """Frost: blues up, reds down. The opposite of `warm`."""
    return _image(_array(render(scene)) * (0.5, 0.82, 1.08) + (0, 26, 58))


STYLES: dict[str, Style] = {
    "outline": outline,
    "neon": neon,
    "pixel": pixel,
    "night": night,
    "pastel": pastel,
    "watercolour": watercolour,
    "stripes": stripes,
    "kawaii": kawaii,
    "warm": warm,
    "cold": cold,
}
