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
    return _preview(_pixels(x0, *_numbers(latent_rgb, x0.device)))


def _numbers(latent_rgb: LatentRgb, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """The factors and the bias on a device."""
    numbers = latent_rgb.factors, latent_rgb.bias
    factors, bias = (torch.tensor(n, dtype=torch.float32, device=device) for n in numbers)
    return factors, bias


def _pixels(x0: torch.Tensor, factors: torch.Tensor, bias: torch.Tensor) -> torch.Tensor:
    """Colours [h, w, 3] (uint8) where the latents are."""
    latents = x0[0].float()
    rgb = torch.einsum("chw,cr->rhw", latents, factors) + bias[:, None, None]
    shrink = LARGEST_SIDE / max(rgb.shape[1:])
    if shrink < 1:
        size = [max(1, int(side * shrink)) for side in rgb.shape[1:]]
        rgb = torch.nn.functional.interpolate(rgb[None], size, mode="area")[0]
    pixels = (rgb.nan_to_num() * 127.5 + 127.5).round().clamp(0, 255).to(torch.uint8)
    return pixels.permute(1, 2, 0).contiguous()


def _preview(pixels: torch.Tensor) -> Preview:
    height, width = pixels.shape[:2]
    return Preview(width, height, pixels.cpu().numpy().tobytes())


class Previews:
    """The previews of a run: on a GPU one call late, so that it need not wait to be looked at.

    While the GPU is at a call, the one before is read from pinned memory. It is waited for, with or
    without a preview, so that what is told of the progress is no more than a call ahead.
    """

    def __init__(self, latent_rgb: LatentRgb = SDXL_RGB) -> None:
        self._latent_rgb = latent_rgb
        self._numbers: tuple[torch.Tensor, torch.Tensor] | None = None
        self._before: _OnItsWay | None = None

    def after_call(self, x0: torch.Tensor, *, is_due: bool, is_last: bool) -> Preview | None:
        """What there is to show after a call that has given x0; the last call's comes at once."""
        if not _is_late(x0.device):
            return draw_preview(x0, self._latent_rgb) if is_due else None
        if self._numbers is None:
            # Once: to send them would wait for the GPU.
            self._numbers = _numbers(self._latent_rgb, x0.device)
        pixels = _pixels(x0, *self._numbers) if is_due else None
        before, self._before = self._before, _OnItsWay(x0.device, pixels)
        if is_last:
            before, self._before = self._before, None
        return before.arrived() if before is not None else None


def _is_late(device: torch.device) -> bool:
    return device.type == "cuda"


class _OnItsWay:
    """Pixels that are copied to main memory when the GPU comes to it."""

    def __init__(self, device: torch.device, pixels: torch.Tensor | None) -> None:
        self._host = None
        if pixels is not None:
            self._host = torch.empty(pixels.shape, dtype=pixels.dtype, pin_memory=True)
            self._host.copy_(pixels, non_blocking=True)
        self._event = torch.cuda.Event()  # type: ignore[no-untyped-call]
        self._event.record(torch.cuda.current_stream(device))

    def arrived(self) -> Preview | None:
        """Wait for the call, and give its preview where one was due."""
        self._event.synchronize()
        return None if self._host is None else _preview(self._host)
