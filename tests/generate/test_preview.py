"""Previews: x0 from every scheduler, and colours from latents."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.generate.preview import SDXL_RGB, LatentRgb, draw_preview, watch_x0
from engine.generate.samplers import make_scheduler, seed_noise
from engine.words.sampler_names import SAMPLERS

# diffusers' schedulers meet numpy 2 with hundreds of thousands of these.
pytestmark = pytest.mark.filterwarnings(
    "ignore:__array_:DeprecationWarning", "ignore:Should have t"
)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("sampler", SAMPLERS)
def test_the_last_x0_is_the_picture(sampler: str, prediction: str) -> None:
    """Every sampler ends at its own last prediction, up to the noise it leaves there."""
    scheduler = make_scheduler(sampler, "Automatic", {"prediction_type": prediction})
    seed_noise(scheduler, 1)
    scheduler.set_timesteps(6)
    generator = torch.Generator().manual_seed(1)
    latents = torch.randn(1, 4, 8, 8, generator=generator) * scheduler.init_noise_sigma
    options = {"generator": generator} if sampler in ("Euler a", "DPM2 a", "LCM", "TCD") else {}
    with watch_x0(scheduler) as x0:
        assert x0.latents is None
        for t in scheduler.timesteps:
            model_output = scheduler.scale_model_input(latents, t).tanh()
            (latents,) = scheduler.step(model_output, t, latents, return_dict=False, **options)
            assert x0.latents is not None
            assert x0.latents.isfinite().all()
    # LMS extrapolates from older steps; DDIM, and TCD from x0, stop at the first noise level.
    tolerance = {"LMS": 0.3, "DDIM": 0.1, "TCD": 0.1}.get(sampler, 1e-4)
    assert (x0.latents - latents).abs().max() < tolerance


def test_watching_ends_with_the_block() -> None:
    scheduler = make_scheduler("Euler", "Karras", {})
    plain = scheduler.step

    def interrupted() -> None:
        with watch_x0(scheduler):
            assert scheduler.step != plain
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert "step" not in vars(scheduler)
    assert scheduler.step == plain


def colour_at(preview: Any, x: int, y: int) -> tuple[int, ...]:
    start = 3 * (y * preview.width + x)
    return tuple(preview.rgb[start : start + 3])


def test_colours_follow_the_factors() -> None:
    rgb = LatentRgb(((1, 0, 0), (0, 1, 0), (0, 0, 1), (0, 0, 0)), bias=(0, 0, -1))
    latents = torch.zeros(1, 4, 3, 5)
    latents[0, 0, 2, 4] = 1
    latents[0, 1, 0, 1] = -9
    latents[0, 3] = 7
    preview = draw_preview(latents, rgb)
    assert (preview.width, preview.height, len(preview.rgb)) == (5, 3, 45)
    assert colour_at(preview, 0, 0) == (128, 128, 0)
    assert colour_at(preview, 4, 2) == (255, 128, 0)
    assert colour_at(preview, 1, 0) == (128, 0, 0)


def test_sdxl_grey_and_broken_values() -> None:
    preview = draw_preview(torch.full((1, 4, 8, 8), torch.nan))
    assert len(preview.rgb) == 3 * 64
    grey = draw_preview(torch.zeros(1, 4, 1, 1), SDXL_RGB)
    assert tuple(grey.rgb) == (141, 125, 127)


@pytest.mark.parametrize(
    ("latent", "shown"), [((128, 128), (128, 128)), ((216, 72), (128, 42)), ((300, 1), (128, 1))]
)
def test_previews_stay_small(latent: tuple[int, int], shown: tuple[int, int]) -> None:
    preview = draw_preview(torch.zeros(1, 4, *latent))
    assert (preview.height, preview.width) == shown
