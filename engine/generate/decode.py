"""From finished latents to a picture, and from a picture to latents."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from PIL import Image

from engine.generate.vae import scaled, through_vae, unscaled


@torch.no_grad()
def decode(pipe: Any, latents: torch.Tensor) -> tuple[Image.Image, str | None]:
    """Decode latents [1, 4, h, w] of the pipeline's UNet; returns the picture and a warning."""
    vae = pipe.vae

    def work(latents: torch.Tensor) -> torch.Tensor:
        decoded: torch.Tensor = vae.decode(unscaled(latents, vae.config), return_dict=False)[0]
        return decoded

    pixels, warning = through_vae(vae, latents, work, "decode")
    if not pixels.isfinite().all():
        warning = "The picture holds values that are not numbers: the model overflowed."
        pixels = pixels.nan_to_num()
    # In half precision the change to 0…1 would round once more.
    image: Image.Image = pipe.image_processor.postprocess(pixels.float(), output_type="pil")[0]
    return image, warning


@torch.no_grad()
def encode(pipe: Any, image: Image.Image) -> tuple[torch.Tensor, str | None]:
    """Encode an RGB picture of 8 × h by 8 × w pixels; float32 [1, 4, h, w], and a warning.

    The latents are the middle of what the VAE holds possible, the same every time.
    """
    vae = pipe.vae
    values = np.asarray(image, dtype=np.float32) / 127.5 - 1
    pixels = torch.from_numpy(values).permute(2, 0, 1)[None].to(pipe._execution_device)

    def work(pixels: torch.Tensor) -> torch.Tensor:
        mode: torch.Tensor = vae.encode(pixels).latent_dist.mode()
        return mode

    latents, warning = through_vae(vae, pixels, work, "encode")
    if not latents.isfinite().all():
        warning = "The latents of the picture are not numbers: the VAE overflowed."
        latents = latents.nan_to_num()
    return scaled(latents.float(), vae.config), warning
