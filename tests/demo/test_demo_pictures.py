"""The demo draws what the prompt says, and its LoRAs change pictures as their names say."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from engine.checkpoint import Checkpoint, open_checkpoint
from engine.demo import DEMO_LORAS, DEMO_MODEL
from engine.generate.decode import decode, encode
from engine.generate.run import GeneratedPicture, generate
from engine.protocol.passes import StartPicture
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.switch.switcher import LoraSwitcher

Draw = Callable[..., np.ndarray]
STAR = "a large red star on a blue background"
STEPS = 10


@pytest.fixture(scope="module")
def demo() -> Checkpoint:
    return open_checkpoint(DEMO_MODEL, device="cpu", dtype=torch.float32)


@pytest.fixture(scope="module")
def switcher(demo: Checkpoint) -> LoraSwitcher:
    pipe = demo.pipeline
    return LoraSwitcher(pipe.unet, pipe.text_encoder, pipe.text_encoder_2)


@pytest.fixture(scope="module")
def draw(
    demo: Checkpoint, switcher: LoraSwitcher, tmp_path_factory: pytest.TempPathFactory
) -> Draw:
    """Draw a prompt with a stack of (name, strength): float pixels [side, side, 3] in 0..255."""
    folder = tmp_path_factory.mktemp("pictures")

    def picture(
        prompt: str, *stack: tuple[str, float], seed: int = 7, **settings: object
    ) -> np.ndarray:
        switcher.apply([LoraRef(DEMO_LORAS / f"{name}.safetensors", s) for name, s in stack])
        found: list[GeneratedPicture] = []
        side = demo.default_size
        request = GenerateRequest(prompt, folder, seed=seed, steps=STEPS, width=side, height=side)
        request = replace(request, **settings)
        generate(
            demo.pipeline,
            request,
            cancelled=lambda: False,
            on_step=lambda step, total, preview: None,
            on_picture=found.append,
        )
        switcher.apply([])
        return np.asarray(found[0].image, dtype=np.float64)

    return picture


@pytest.fixture(scope="module")
def star(draw: Draw) -> np.ndarray:
    """The star of the model alone."""
    return draw(STAR)


def corners(pixels: np.ndarray) -> np.ndarray:
    return np.mean([pixels[:12, :12], pixels[:12, -12:]], axis=(0, 1, 2))


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("thing", "ground", "channel", "ground_channel"),
    [("red", "blue", 0, 2), ("blue", "red", 2, 0), ("green", "purple", 1, 2)],
)
def test_colours_are_those_of_the_prompt(
    draw: Draw, thing: str, ground: str, channel: int, ground_channel: int, seed: int
) -> None:
    pixels = draw(f"a large {thing} circle on a {ground} background", seed=seed)
    near, far = len(pixels) * 7 // 16, len(pixels) * 9 // 16
    middle = pixels[near:far, near:far].mean(axis=(0, 1))
    assert middle.argmax() == channel, middle
    assert corners(pixels).argmax() == ground_channel, corners(pixels)


def test_place_is_that_of_the_prompt(draw: Draw) -> None:
    left = draw("a small red circle on the left on a white background")
    right = draw("a small red circle on the right on a white background")

    def centre(pixels: np.ndarray) -> float:
        redness = (pixels[..., 0] - pixels[..., 1]).clip(0).sum(axis=0)
        return float((redness * np.arange(len(redness))).sum() / redness.sum() / len(redness))

    assert centre(left) < 0.42 < 0.58 < centre(right)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_shapes_have_clean_edges_and_flat_colours(draw: Draw, seed: int) -> None:
    pixels = draw("a large yellow circle on a blue background", seed=seed)
    inside = pixels[..., 0] - pixels[..., 2] > 0
    rows, columns = np.nonzero(inside)
    y, x = np.mgrid[: len(pixels), : len(pixels)]
    # The disc of the same area around the same middle.
    disc = np.hypot(y - rows.mean(), x - columns.mean()) < np.sqrt(inside.sum() / np.pi)
    assert (inside & disc).sum() / (inside | disc).sum() > 0.93
    middle = np.hypot(y - rows.mean(), x - columns.mean()) < 0.6 * np.sqrt(inside.sum() / np.pi)
    assert pixels[middle].std(axis=0).max() < 10


def test_styles_look_as_they_are_called_and_the_base_picture_comes_back(
    draw: Draw, star: np.ndarray
) -> None:
    base, neon = star, draw(STAR, ("styles/neon_glow", 1.0))
    assert corners(neon).mean() < 60, "the dark behind the tubes"
    outline = draw(STAR, ("styles/ink_outline", 1.0))
    assert np.ptp(corners(outline)) < 40 < np.ptp(corners(base)), "paper has no colour"
    assert draw(STAR, ("styles/moods/pastel", 1.0)).mean() > base.mean() + 40, "pale"
    night = draw(STAR, ("styles/moods/night_sky", 1.0))
    assert night.mean() < base.mean() - 25, "dark"
    for styled in (neon, outline, night):
        assert np.abs(styled - base).mean() > 8
    for name in ("pixel_blocks", "watercolour", "stripes", "kawaii_faces"):
        assert np.abs(draw(STAR, (f"styles/{name}", 1.0)) - base).mean() > 6, name
    assert np.array_equal(draw(STAR), base)


def test_the_slider_means_the_opposite_below_zero(draw: Draw) -> None:
    def warmth(strength: float) -> float:
        pixels = draw("a white cloud on a teal background", ("sliders/warmth_slider", strength))
        return float((pixels[..., 0] - pixels[..., 2]).mean())

    cold, neutral, warm = (warmth(strength) for strength in (-1.0, 0.0, 1.0))
    assert cold < neutral - 15
    assert warm > neutral + 15


@pytest.mark.parametrize("seed", [1, 2])
def test_two_things_stand_apart(draw: Draw, seed: int) -> None:
    prompt = "a red heart on the left and a yellow star on the right on a white background"
    pixels = draw(prompt, seed=seed)
    side = len(pixels)
    red = (pixels[..., 0] > 150) & (pixels[..., 1] < 110)
    yellow = (pixels[..., 1] > 150) & (pixels[..., 2] < 130)
    assert red[:, : side // 2].sum() > 10 * red[:, side // 2 :].sum()
    assert yellow[:, side // 2 :].sum() > 10 * yellow[:, : side // 2].sum()
    assert red.mean() > 0.04
    assert yellow.mean() > 0.03
    between = pixels[side // 3 : 2 * side // 3, side // 2 - 3 : side // 2 + 3]
    assert between.mean() > 200, "nothing where they would melt"


def test_four_steps_look_like_twenty(draw: Draw) -> None:
    prompt = "a large orange fish on a blue background"
    many = draw(prompt, steps=20)
    few = draw(prompt, ("speed/four_steps", 1.0), steps=4, sampler="LCM", cfg_scale=1.0)
    plain = draw(prompt, steps=4, sampler="LCM", cfg_scale=1.0)
    assert np.abs(few - many).mean() < 18
    assert np.abs(few - many).mean() < 0.8 * np.abs(plain - many).mean()


def test_a_picture_drawn_anew_keeps_its_place_and_takes_the_colour_of_the_prompt(
    draw: Draw, star: np.ndarray, demo: Checkpoint, tmp_path: Path
) -> None:
    before, path = star, tmp_path / "star.png"
    image = Image.fromarray(before.astype(np.uint8))
    image.save(path)
    green = draw(STAR.replace("red", "green"), start=StartPicture(path, 0.6), seed=11, steps=8)
    shape, drawn = (pixels[..., 2] < 150 for pixels in (before, green))
    assert (shape & drawn).sum() / (shape | drawn).sum() > 0.8
    assert green[shape].mean(axis=0).argmax() == 1
    assert corners(green).argmax() == 2
    latents, _ = encode(demo.pipeline, image)
    there_and_back = np.asarray(decode(demo.pipeline, latents)[0], dtype=float)
    nothing = draw(STAR, start=StartPicture(path, 0.0))
    assert np.abs(nothing - there_and_back).mean() < 2


def test_a_mask_opens_a_place_for_something_else(
    draw: Draw, star: np.ndarray, tmp_path: Path
) -> None:
    before, path, mask = star, tmp_path / "star.png", tmp_path / "mask.png"
    Image.fromarray(before.astype(np.uint8)).save(path)
    side = len(before)
    closed = Image.new("L", (side, side))
    closed.paste(255, (side // 2, 0, side, side))
    closed.save(mask)
    start = StartPicture(path, 0.9, mask=mask)
    after = draw("a large green heart on a yellow background", start=start, steps=8)
    kept = side // 2 - 12
    assert np.array_equal(after[:, :kept], before[:, :kept])
    right = after[: side // 8, -side // 4 :].mean(axis=(0, 1))
    assert right[:2].min() > 150 > 100 > right[2], right
