"""Enlarge what a first pass has drawn, as latents or as a picture, under A1111's names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from PIL import Image
from torch.nn.functional import interpolate

from engine.generate.decode import decode, encode
from engine.protocol.passes import Upscaler

_OF_LATENTS: Mapping[Upscaler, Mapping[str, Any]] = {
    "Latent": {"mode": "bilinear"},
    "Latent (antialiased)": {"mode": "bilinear", "antialias": True},
    "Latent (bicubic)": {"mode": "bicubic"},
    "Latent (bicubic antialiased)": {"mode": "bicubic", "antialias": True},
    "Latent (nearest)": {"mode": "nearest"},
    "Latent (nearest-exact)": {"mode": "nearest-exact"},
}
_OF_PICTURES: Mapping[Upscaler, Image.Resampling] = {
    "Lanczos": Image.Resampling.LANCZOS,
    "Nearest": Image.Resampling.NEAREST,
}


def enlarged(
    pipe: Any, latents: torch.Tensor, size: tuple[int, int], upscaler: Upscaler
) -> tuple[torch.Tensor, str | None]:
    """Finished latents [1, 4, h, w] for a picture of another size in pixels, and a warning.

    A picture is decoded, enlarged and encoded again, which keeps edges sharper than latents are.
    """
    width, height = size
    if (how := _OF_LATENTS.get(upscaler)) is not None:
        return interpolate(latents, (height // 8, width // 8), **how), None
    image, of_decoding = decode(pipe, latents)
    encoded, of_encoding = encode(pipe, image.resize(size, _OF_PICTURES[upscaler]))
    return encoded, of_decoding or of_encoding
