"""Previews: colours from latents."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from engine.generate.preview import SDXL_RGB, LatentRgb, draw_preview


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
