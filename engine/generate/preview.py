"""Small RGB previews straight from latents, without the VAE."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.protocol.events import Preview

LARGEST_SIDE = 128


@dataclass(frozen=True)
class LatentRgb:
    """A linear map from latents to colours: RGB in -1..1 = latent @ `factors` + `bias`.

    `factors` has a row of three for each latent channel. A model with its own VAE needs its own.
    """

    factors: tuple[tuple[float, float, float], ...]
    bias: tuple[float, float, float]


SDXL_RGB = LatentRgb(
    factors=(
        (0.3651, 0.4232, 0.4341),
        (-0.2533, -0.0042, 0.1068),
        (0.1076, 0.1111, -0.0362),
        (-0.3165, -0.2492, -0.2188),
    ),
    bias=(0.1084, -0.0175, -0.0011),
)
"""Fitted to SDXL's VAE; the numbers ComfyUI uses."""


def draw_preview(x0: torch.Tensor, latent_rgb: LatentRgb = SDXL_RGB) -> Preview:
    """Turn latents [1, 4, h, w] into a preview of at most 128 pixels a side, one per latent."""
    latents = x0[0].float()
    factors = latents.new_tensor(latent_rgb.factors)
    bias = latents.new_tensor(latent_rgb.bias)
    rgb = torch.einsum("chw,cr->rhw", latents, factors) + bias[:, None, None]
    shrink = LARGEST_SIDE / max(rgb.shape[1:])
    if shrink < 1:
        size = [max(1, int(side * shrink)) for side in rgb.shape[1:]]
        rgb = torch.nn.functional.interpolate(rgb[None], size, mode="area")[0]
    pixels = (rgb.nan_to_num() * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
    height, width = pixels.shape[1:]
    return Preview(width, height, pixels.permute(1, 2, 0).contiguous().cpu().numpy().tobytes())
