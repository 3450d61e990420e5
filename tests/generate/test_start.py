"""Pictures that begin with a picture: its noise, how much of it is drawn, and what a mask keeps."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from engine.errors import EngineError, FileFormatError
from engine.generate.start import fitted, size_of
from engine.protocol.passes import StartPicture, planned_and_drawn

SIDE = 64
LOW, HIGH = 0.0291675, 14.614642
"""SDXL's smallest and largest sigma."""


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """Colours that change everywhere, as large as what is drawn."""
    path = tmp_path / "start.png"
    pixels = np.random.default_rng(5).integers(0, 256, (8, 8, 3), dtype=np.uint8)
    Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(path)
    return path


@pytest.fixture
def left_half(tmp_path: Path) -> Path:
    """A mask that leaves the left half open."""
    path = tmp_path / "mask.png"
    mask = Image.new("L", (SIDE, SIDE))
    mask.paste(255, (0, 0, SIDE // 2, SIDE))
    mask.save(path)
    return path


class Inputs:
    """What the UNet is given, with the noise level of each: latents of the first picture."""

    def __init__(self, pipe: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        self.latents: list[torch.Tensor] = []
        self.timesteps: list[float] = []
        forward = pipe.unet.forward

        def noted(rows: torch.Tensor, timestep: torch.Tensor, **options: Any) -> Any:
            self.latents.append(rows[0].double())
            self.timesteps.append(float(timestep))
            return forward(rows, timestep, **options)

        monkeypatch.setattr(pipe.unet, "forward", noted)


@pytest.fixture
def inputs(pipe: Any, monkeypatch: pytest.MonkeyPatch) -> Inputs:
    return Inputs(pipe, monkeypatch)


def karras(steps: int) -> np.ndarray:
    """The schedule of the paper, rho 7, in float64."""
    ramp = np.linspace(HIGH ** (1 / 7), LOW ** (1 / 7), steps)
    return np.append(ramp**7, 0.0)


def encoded(pipe: Any, path: Path) -> torch.Tensor:
    """The middle of what the VAE gives, scaled, in float64."""
    pixels = torch.from_numpy(np.asarray(Image.open(path).convert("RGB"), np.float64))
    with torch.no_grad():
        given = (pixels / 127.5 - 1).permute(2, 0, 1)[None].float()
        moments = pipe.vae.quant_conv(pipe.vae.encoder(given))
    return moments[0, :4].double() * 0.13025


def noise_of(seed: int, side: int = SIDE // 8) -> torch.Tensor:
    generator = torch.Generator("cpu").manual_seed(seed)
    return torch.randn(1, 4, side, side, generator=generator)[0].double()


@pytest.mark.parametrize(
    ("steps", "denoising", "exact", "planned", "drawn"),
    [
        (28, 0.5, False, 28, 15),
        (20, 0.75, False, 20, 16),
        (20, 0.0, False, 20, 1),
        (20, 1.0, False, 20, 20),
        (1, 1.0, False, 1, 1),
        (10, 0.5, True, 20, 10),
        (10, 1.0, True, 10, 10),
        (15, 0.7, True, 21, 15),
    ],
)
def test_steps_are_counted_as_in_a1111(
    steps: int, denoising: float, exact: bool, planned: int, drawn: int
) -> None:
    assert planned_and_drawn(steps, denoising, exact) == (planned, drawn)
    if not exact:
        assert drawn == min(int(denoising * steps), steps - 1) + 1


@pytest.mark.parametrize("denoising", [0.3, 0.5, 1.0])
def test_noise_of_the_seed_is_added_at_the_level_of_the_strength(
    pipe: Any, draw: Any, request_of: Any, picture: Path, inputs: Inputs, denoising: float
) -> None:
    start = StartPicture(picture, denoising)
    draw(request_of(steps=10, schedule="Karras", start=start, cfg_scale=1))
    drawn = min(int(denoising * 10), 9) + 1
    assert len(inputs.latents) == drawn
    sigma = karras(10)[10 - drawn]
    wanted = (encoded(pipe, picture) + noise_of(7) * sigma) / math.sqrt(sigma**2 + 1)
    difference = (inputs.latents[0] - wanted).norm() / wanted.norm()
    assert difference < 1e-5


def test_the_full_strength_begins_where_a_picture_of_noise_does(
    draw: Any, request_of: Any, picture: Path, inputs: Inputs
) -> None:
    draw(request_of(steps=4))
    draw(request_of(steps=4, start=StartPicture(picture, 1.0)))
    assert inputs.timesteps[:4] == inputs.timesteps[4:]


def test_exact_steps_are_the_end_of_a_longer_schedule(
    draw: Any, request_of: Any, picture: Path, inputs: Inputs
) -> None:
    start = StartPicture(picture, 0.5, exact_steps=True)
    draw(request_of(steps=3, schedule="Karras", start=start, cfg_scale=1))
    draw(request_of(steps=6, schedule="Karras", cfg_scale=1))
    assert len(inputs.timesteps) == 9
    assert inputs.timesteps[:3] == inputs.timesteps[6:]


@pytest.mark.parametrize("sampler", ["Euler", "Euler a", "DPM++ 2M SDE", "LMS", "Euler CFG++"])
def test_pixels_outside_the_mask_stay_exactly(
    draw: Any, request_of: Any, picture: Path, left_half: Path, sampler: str
) -> None:
    start = StartPicture(picture, 1.0, mask=left_half, mask_blur=2)
    before = np.asarray(Image.open(picture))
    for drawn in draw(request_of(sampler=sampler, start=start, batch=2, steps=4)):
        after = np.asarray(drawn.image)
        # Blurring by 2 pixels reaches 6 at the most.
        assert np.array_equal(after[:, SIDE // 2 + 6 :], before[:, SIDE // 2 + 6 :])
        assert (after[:, : SIDE // 2 - 6] != before[:, : SIDE // 2 - 6]).mean() > 0.5


def test_latents_outside_the_mask_have_the_noise_of_each_step(
    pipe: Any, draw: Any, request_of: Any, picture: Path, left_half: Path, inputs: Inputs
) -> None:
    start = StartPicture(picture, 1.0, mask=left_half, mask_blur=0)
    draw(request_of(steps=5, schedule="Karras", start=start, cfg_scale=1))
    kept, noise = encoded(pipe, picture), noise_of(7)
    for latents, sigma in zip(inputs.latents, karras(5), strict=False):
        wanted = (kept + noise * sigma) / math.sqrt(sigma**2 + 1)
        right = (slice(None), slice(None), slice(SIDE // 16, None))
        assert (latents - wanted)[right].norm() / wanted[right].norm() < 1e-5
    assert len(inputs.latents) == 5


def test_a_mask_of_another_size_lies_over_the_picture(
    draw: Any, request_of: Any, picture: Path, tmp_path: Path
) -> None:
    mask = Image.new("L", (2, 1))
    mask.putpixel((0, 0), 255)
    mask.resize((640, 320), Image.Resampling.NEAREST).save(tmp_path / "wide.png")
    start = StartPicture(picture, 1.0, mask=tmp_path / "wide.png", mask_blur=0)
    (drawn,) = draw(request_of(start=start, steps=2))
    same = (np.asarray(drawn.image) == np.asarray(Image.open(picture))).all(axis=(0, 2))
    assert same[SIDE // 2 + 1 :].all()
    assert not same[: SIDE // 2 - 1].any()


def test_pictures_are_fitted_as_in_a1111() -> None:
    wide = Image.new("RGB", (80, 40), "red")
    wide.paste("blue", (40, 0, 80, 40))
    cut = fitted(wide, (40, 40), "crop")
    assert [cut.getpixel((x, 20)) for x in (2, 37)] == [(255, 0, 0), (0, 0, 255)]
    wide.paste("green", (0, 0, 80, 2))
    filled = np.asarray(fitted(wide, (80, 80), "fill"))
    assert filled.shape == (80, 80, 3)
    assert (filled[:20] == (0, 128, 0)).all(), "the upper edge is drawn out"
    assert (filled[70, 70] == (0, 0, 255)).all()
    assert fitted(wide, (40, 40), "stretch").getpixel((2, 30)) == (255, 0, 0)
    assert fitted(wide, (80, 40), "crop") is wide
    assert fitted(Image.new("L", (30, 90), 9), (64, 64), "fill").size == (64, 64)


def test_a_photograph_is_upright_and_what_is_transparent_is_white(
    draw: Any, request_of: Any, tmp_path: Path
) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    turned = Image.new("RGB", (128, 64))
    turned.paste("red", (0, 0, 64, 64))
    turned.save(tmp_path / "turned.jpg", exif=exif, quality=95)
    assert size_of(tmp_path / "turned.jpg", 96) == (64, 128)
    clear = Image.new("RGBA", (SIDE, SIDE))
    clear.save(tmp_path / "clear.png")
    mask = Image.new("L", (SIDE, SIDE))
    mask.save(tmp_path / "mask.png")
    for path, colour in (("turned.jpg", (254, 0, 0)), ("clear.png", (255, 255, 255))):
        start = StartPicture(tmp_path / path, 0.5, mask=tmp_path / "mask.png")
        (kept,) = draw(request_of(start=start, steps=1))
        assert kept.image.getpixel((SIDE // 2, 2)) == pytest.approx(colour, abs=3)


@pytest.mark.parametrize(
    ("size", "wanted"),
    [((1216, 832), (1216, 832)), ((1000, 1001), (1000, 1000)), ((4000, 3000), (1184, 888)),
     ((100, 100), (1024, 1024)), ((4, 4000), (64, 32384))],
)  # fmt: skip
def test_a_picture_keeps_its_size_where_the_model_can(
    tmp_path: Path, size: tuple[int, int], wanted: tuple[int, int]
) -> None:
    Image.new("L", size).save(tmp_path / "a.png")
    assert size_of(tmp_path / "a.png", 1024) == wanted


def test_what_cannot_be_is_refused(draw: Any, request_of: Any, picture: Path) -> None:
    text = picture.with_name("text.png")
    text.write_text("no picture")
    for start, words in (
        (StartPicture(picture, 1.5), "denoising strength"),
        (StartPicture(picture, 0.0, exact_steps=True), "denoising strength"),
        (StartPicture(picture, mask_blur=-1), "blurred"),
        (StartPicture(picture, resize="bend"), "bend"),  # type: ignore[arg-type]
        (StartPicture(text), "text.png"),
        (StartPicture(picture, mask=text), "text.png"),
    ):
        with pytest.raises((EngineError, FileFormatError), match=words):
            draw(request_of(start=start))
