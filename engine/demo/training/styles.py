"""The styles the demo's LoRAs are trained on: each redraws a scene of `scenes`."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from engine.demo.training.scenes import (
    COLOURS,
    SIZE,
    SUPERSAMPLE,
    Scene,
    background_layer,
    render,
    shade,
    thing_mask,
)

SIDE = SIZE * SUPERSAMPLE
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


def outline(scene: Scene) -> Image.Image:
    """Dark ink contours on cream paper, nothing filled."""
    paper = Image.new("RGB", (SIDE, SIDE), (250, 244, 228))
    masks = [thing_mask(thing) for thing in scene.things]
    if scene.ground:
        masks.append(_ground_mask(scene))
    for mask in masks:
        paper.paste((30, 36, 66), mask=_edge(mask, 7))
    return _small(paper)


def neon(scene: Scene) -> Image.Image:
    """Glowing tubes in the things' colours before the dark."""
    glow: np.ndarray = np.full((SIDE // 4, SIDE // 4, 3), (14, 8, 30), dtype=np.float32)
    lines = [(thing_mask(thing), COLOURS[thing.colour]) for thing in scene.things]
    if scene.ground:
        lines.append((_ground_mask(scene), COLOURS[scene.background]))
    for mask, colour in lines:
        rgb = np.array((150, 90, 255) if max(colour) < 60 else colour, dtype=np.float32)
        edge = _small(_edge(mask, 6)).filter(ImageFilter.GaussianBlur(0.6))
        halo = edge.filter(ImageFilter.GaussianBlur(5))
        glow += _array(halo)[..., None] / 255 * rgb * 2.4
        core = _array(edge)[..., None] / 255
        glow = glow * (1 - core) + core * (rgb * 0.35 + 255 * 0.65)
    return _image(glow)


def pixel(scene: Scene) -> Image.Image:
    """Blocks of sixteen pixels, as on an early game console."""
    tiny = render(scene).resize((SIZE // 16, SIZE // 16), Image.Resampling.BOX)
    return tiny.resize((SIZE, SIZE), Image.Resampling.NEAREST)


def night(scene: Scene) -> Image.Image:
    """Moonlight: everything deep blue, with small stars in the sky."""
    rng = np.random.default_rng(scene.seed)
    sky = Image.new("RGB", (SIDE, SIDE), (16, 20, 58))
    draw = ImageDraw.Draw(sky)
    for _ in range(14):
        x, y, r = rng.uniform(0, SIDE), rng.uniform(0, SIDE * 0.75), rng.uniform(4, 8)
        draw.ellipse((x - r, y - r, x + r, y + r), fill=(236, 236, 200))
    if scene.ground:
        sky.paste((8, 10, 32), mask=_ground_mask(scene))
    for thing in scene.things:
        r, g, b = COLOURS[thing.colour]
        lit = (round(r * 0.42 + 8), round(g * 0.42 + 14), round(b * 0.5 + 44))
        sky.paste(lit, mask=thing_mask(thing))
    return _small(sky)


def pastel(scene: Scene) -> Image.Image:
    """Chalky, pale and soft."""
    pixels = _array(render(scene).filter(ImageFilter.GaussianBlur(1.2)))
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
    blotch = 0.55 + 0.10 * dx * dy + 0.08 * dx

    def wash(
        layer: np.ndarray, mask: np.ndarray, colour: tuple[int, int, int], weight: float
    ) -> None:
        wobbled = mask[rows, cols][..., None] / 255
        soft = _array(_image(mask).filter(ImageFilter.GaussianBlur(3)))[rows, cols][..., None] / 255
        rim = wobbled * (1 - soft) * 0.9
        amount = (wobbled * (blotch[..., None] + weight) + rim).clip(0, 1)
        layer[:] = layer * (1 - amount) + np.array(colour, dtype=np.float32) * amount

    frame = np.zeros((SIZE, SIZE), dtype=np.float32)
    frame[9:-9, 9:-9] = 255
    wash(paper, frame, shade(COLOURS[scene.background], 1.25), 0.0)
    if scene.ground:
        ground = _array(_small(_ground_mask(scene))) * (frame / 255)
        wash(paper, ground, COLOURS[scene.background], 0.15)
    for thing in scene.things:
        wash(paper, _array(_small(thing_mask(thing))), COLOURS[thing.colour], 0.4)
    return _image(paper)


def stripes(scene: Scene) -> Image.Image:
    """Diagonal bands: pale ones over the background, dark ones over the things."""
    yy, xx = np.mgrid[0:SIDE, 0:SIDE]
    period = 32 * SUPERSAMPLE
    band = Image.fromarray((((xx + yy) % period) < period // 2).astype(np.uint8) * 255)
    image = background_layer(scene)
    image.paste(shade(COLOURS[scene.background], 1.45), mask=band)
    for thing in scene.things:
        mask = thing_mask(thing)
        image.paste(COLOURS[thing.colour], mask=mask)
        image.paste(shade(COLOURS[thing.colour], 0.62), mask=ImageChops.multiply(mask, band))
    return _small(image)


def kawaii(scene: Scene) -> Image.Image:
    """A little face with pink cheeks on every thing."""
    image = background_layer(scene)
    for thing in scene.things:
        image.paste(COLOURS[thing.colour], mask=thing_mask(thing))
        draw = ImageDraw.Draw(image)
        cx, cy, r = thing.x * SIDE, thing.y * SIDE, max(thing.radius, 0.2) * SIDE

        def dot(
            x: float, y: float, s: float, fill: tuple[int, int, int],
            cx: float = cx, cy: float = cy, r: float = r, draw: ImageDraw.ImageDraw = draw,
        ) -> None:  # fmt: skip
            px, py, pr = cx + x * r, cy + y * r, s * r
            draw.ellipse((px - pr, py - pr, px + pr, py + pr), fill=fill)

        dark = thing.colour == "black"
        ink = (250, 250, 250) if dark else (32, 26, 40)
        for side in (-1, 1):
            dot(side * 0.33, -0.06, 0.13, ink)
            dot(side * 0.56, 0.2, 0.13, (255, 120, 150))
        box = (cx - 0.2 * r, cy - 0.02 * r, cx + 0.2 * r, cy + 0.32 * r)
        draw.arc(box, 20, 160, fill=ink, width=round(r * 0.08))
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
