"""Turn finished latents into a picture, in fp32 where half precision overflows."""

from __future__ import annotations

from typing import Any

import torch
from PIL import Image

from engine.host_memory import is_out_of_memory


@torch.no_grad()
def decode(pipe: Any, latents: torch.Tensor) -> tuple[Image.Image, str | None]:
    """Decode latents [1, 4, h, w] of the pipeline's UNet; returns the picture and a warning.

    A half-precision VAE that gives NaN is run once more in fp32; one that says `force_upcast` runs
    in fp32 at once. Where memory runs out, it decodes in tiles. Its dtype is the same afterwards.
    """
    try:
        pixels, warning = _decode_in_range(pipe.vae, latents)
        is_full = False
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error) or pipe.vae.use_tiling:
            raise
        is_full = True
    if is_full:
        # Not while the error is handled: it keeps alive what the failed try has made.
        pixels, warning = _decode_in_tiles(pipe.vae, latents)
    if not pixels.isfinite().all():
        warning = "The picture holds values that are not numbers: the model overflowed."
        pixels = pixels.nan_to_num()
    image: Image.Image = pipe.image_processor.postprocess(pixels, output_type="pil")[0]
    return image, warning


def _decode_in_tiles(vae: Any, latents: torch.Tensor) -> tuple[torch.Tensor, str]:
    if torch.cuda.is_available():
        torch.cuda.empty_cache()
    vae.enable_tiling()
    try:
        pixels, warning = _decode_in_range(vae, latents)
    finally:
        vae.disable_tiling()
    words = "There was not enough memory to decode the picture at once; it was decoded in tiles."
    return pixels, f"{words} {warning}" if warning else words


def _decode_in_range(vae: Any, latents: torch.Tensor) -> tuple[torch.Tensor, str | None]:
    """Pixels, in fp32 where the VAE's own precision overflows; and a warning if it did."""
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
    return pixels, warning


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
