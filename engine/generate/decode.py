"""Turn finished latents into a picture, in fp32 where half precision overflows."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image


@torch.no_grad()
def decode(pipe: Any, latents: torch.Tensor) -> tuple[Image.Image, str | None]:
    """Decode latents [1, 4, h, w] of the pipeline's UNet; returns the picture and a warning.

    A half-precision VAE that gives NaN is run once more in fp32; one that says `force_upcast` runs
    in fp32 at once. Its dtype is the same afterwards.
    """
    vae = pipe.vae
    dtype = vae.dtype
    warning = None
    if dtype == torch.float16 and vae.config.force_upcast:
        pixels = _decode_in_fp32(vae, latents)
    else:
        pixels = _decode(vae, latents.to(dtype))
        overflowed = not pixels.isfinite().all() and bool(latents.isfinite().all())
        if overflowed and dtype != torch.float32:
            pixels = _decode_in_fp32(vae, latents)
            name = str(dtype).removeprefix("torch.")
            warning = f"The VAE overflowed in {name}; the picture was decoded again in float32."
    if not pixels.isfinite().all():
        warning = "The picture holds values that are not numbers: the model overflowed."
        pixels = pixels.nan_to_num()
    image: Image.Image = pipe.image_processor.postprocess(pixels, output_type="pil")[0]
    return image, warning


def _decode(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    pixels: torch.Tensor = vae.decode(_unscale(latents, vae.config), return_dict=False)[0]
    return pixels


def _decode_in_fp32(vae: Any, latents: torch.Tensor) -> torch.Tensor:
    dtype = vae.dtype
    vae.to(dtype=torch.float32)
    try:
        return _decode(vae, latents.float())
    finally:
        vae.to(dtype=dtype)


def _unscale(latents: torch.Tensor, config: Any) -> torch.Tensor:
    """Undo the scaling that latents have inside the UNet, as diffusers' pipeline does."""
    scale = float(config.scaling_factor)
    if config.get("latents_mean") is None or config.get("latents_std") is None:
        return latents / scale
    mean, std = (
        torch.tensor(values).view(1, -1, 1, 1).to(latents.device, latents.dtype)
        for values in (config.latents_mean, config.latents_std)
    )
    return latents * std / scale + mean
