"""The picture that a drawing begins with, and the mask of what is drawn anew."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageFilter

from engine.files.picture_file import picture_of
from engine.files.picture_pixels import as_mask, on_ground, upright, upright_size
from engine.generate.decode import encode
from engine.protocol.passes import Resize
from engine.protocol.request import GenerateRequest

_LANCZOS, _BOX = Image.Resampling.LANCZOS, Image.Resampling.BOX
"""For pictures, and for masks, whose black must not ring."""
_OWN_SIZES = (0.5, 1.5)
"""Areas, as shares of the one the model was trained on, at which a picture keeps its size."""


@dataclass(frozen=True)
class Start:
    """A picture's pixels and latents, and where it is drawn anew."""

    image: Image.Image
    """RGB, as large as the picture to be drawn."""
    latents: torch.Tensor
    """Float32 [1, 4, h, w], scaled as the UNet has them."""
    mask: Image.Image | None = None
    """How much of each pixel is drawn, soft at its edge; None is all."""
    warning: str | None = None

    def open_latents(self) -> torch.Tensor | None:
        """Which latents are drawn, [1, 1, h, w] of 0 and 1; as in A1111 none is in between."""
        if self.mask is None:
            return None
        height, width = self.latents.shape[-2:]
        small = self.mask.resize((width, height), Image.Resampling.BICUBIC)
        return torch.from_numpy(np.asarray(small, np.float32) / 255).round()[None, None]

    def put_back(self, image: Image.Image) -> Image.Image:
        """The drawn picture with its own pixels wherever the mask is black."""
        return image if self.mask is None else Image.composite(image, self.image, self.mask)


def open_start(pipe: Any, request: GenerateRequest) -> Start | None:
    """Read, fit and encode the request's start picture; None where it has none.

    Raises `FileFormatError` for files that are no pictures.
    """
    wanted = request.start
    if wanted is None:
        return None
    size = request.width, request.height
    whole = picture_of(wanted.path, lambda picture: on_ground(upright(picture)))
    image = fitted(whole, size, wanted.resize)
    mask = None
    if wanted.mask is not None:
        # It lies over the picture, whatever its own size is.
        over = picture_of(wanted.mask, lambda mask: as_mask(mask).resize(whole.size, _BOX))
        mask = fitted(over, size, wanted.resize, _BOX)
        mask = mask.filter(ImageFilter.GaussianBlur(wanted.mask_blur))
    latents, warning = encode(pipe, image)
    return Start(image, latents, mask, warning)


def fitted(
    image: Image.Image,
    size: tuple[int, int],
    resize: Resize,
    resampling: Image.Resampling = _LANCZOS,
) -> Image.Image:
    """A picture in another size, as A1111 fits it; of its own size it stays as it is."""
    width, height = size
    if resize == "stretch" or image.size == size:
        return image if image.size == size else image.resize(size, resampling)
    scales = width / image.width, height / image.height
    scale = max(scales) if resize == "crop" else min(scales)
    inner = [max(1, round(side * scale)) for side in image.size]
    scaled = image.resize((inner[0], inner[1]), resampling)
    left, top = (width - scaled.width) // 2, (height - scaled.height) // 2
    if resize == "crop":
        return scaled.crop((-left, -top, width - left, height - top))
    pixels = np.asarray(scaled)
    beside = ((top, height - top - scaled.height), (left, width - left - scaled.width))
    padding = (*beside, (0, 0))[: pixels.ndim]
    return Image.fromarray(np.pad(pixels, padding, mode="edge"))


def size_of(path: Path, trained: int) -> tuple[int, int]:
    """Width and height to draw a picture at when none are asked for.

    Its own, or where it is much larger or smaller than what the model was trained on, that area in
    its proportions. Raises `FileFormatError` for a file that is no picture.
    """
    width, height = picture_of(path, upright_size)
    area = width * height / trained**2
    scale = 1.0 if _OWN_SIZES[0] <= area <= _OWN_SIZES[1] else 1 / math.sqrt(area)
    return max(64, round(width * scale / 8) * 8), max(64, round(height * scale / 8) * 8)
