"""Small RGB previews straight from latents, without the VAE."""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from diffusers import TCDScheduler

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


class X0:
    """The latest prediction of the finished latents [1, 4, h, w]; None before the first step."""

    latents: torch.Tensor | None = None


@contextmanager
def watch_x0(scheduler: Any) -> Iterator[X0]:
    """Keep what each `scheduler.step` predicts as the finished latents, until the block ends."""
    x0 = X0()
    step = scheduler.step
    wrapped_before = "step" in vars(scheduler)

    @functools.wraps(step)
    def watched(
        model_output: torch.Tensor,
        timestep: Any,
        sample: torch.Tensor,
        return_dict: bool = True,
        **options: Any,
    ) -> Any:
        result = step(model_output, timestep, sample, return_dict=True, **options)
        x0.latents = _predicted(scheduler, result, model_output, timestep, sample)
        return result if return_dict else (result.prev_sample,)

    scheduler.step = watched
    try:
        yield x0
    finally:
        if wrapped_before:
            scheduler.step = step
        else:
            del scheduler.step


def _predicted(
    scheduler: Any, result: Any, model_output: torch.Tensor, timestep: Any, sample: torch.Tensor
) -> torch.Tensor:
    """Find x0 where each family of schedulers puts it; TCD keeps only a noised form of it."""
    x0: torch.Tensor | None = result.get("pred_original_sample", result.get("denoised"))
    if x0 is not None:
        return x0
    if isinstance(scheduler, TCDScheduler):
        alpha = float(scheduler.alphas_cumprod[timestep.cpu()])
        signal, noise = math.sqrt(alpha), math.sqrt(1 - alpha)
        if scheduler.config.prediction_type == "v_prediction":
            return signal * sample - noise * model_output
        return (sample - noise * model_output) / signal
    converted: torch.Tensor = scheduler.model_outputs[-1]
    return converted


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
