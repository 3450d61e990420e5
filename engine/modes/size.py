"""How much memory a model's weights will take, told from the headers of its files."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import torch

from engine.checkpoint.model_files import ModelFiles
from engine.checkpoint.source import DTYPES
from engine.files.header import TensorInfo
from engine.sdxl.layout import PARTS, Part


@dataclass(frozen=True)
class ModelBytes:
    """Bytes of memory that the weights of each network take, and the size of a picture."""

    unet: int
    text_encoder: int
    text_encoder_2: int
    vae: int
    pixels: int = 1024 * 1024
    """Of a picture in the size the model was trained on."""
    vae_itemsize: int = 4
    """Bytes of a number that the VAE computes with."""

    def of(self, parts: Iterable[Part]) -> int:
        """Some networks together."""
        return sum(getattr(self, part) for part in parts)

    @property
    def total(self) -> int:
        """All networks together."""
        return self.of(PARTS)

    @property
    def encoder(self) -> int:
        """The larger text encoder alone."""
        return max(self.text_encoder, self.text_encoder_2)

    @property
    def largest(self) -> int:
        """The largest network alone."""
        return max(self.unet, self.encoder, self.vae)


def model_bytes(
    files: ModelFiles,
    dtype: torch.dtype,
    *,
    mapped: bool,
    vae_dtype: torch.dtype = torch.float32,
) -> ModelBytes:
    """The memory a model takes when it is loaded as `dtype`, with its VAE as `vae_dtype`.

    `mapped`: it is loaded on a CPU, where tensors stored in their own dtype (but the VAE's) are the
    file itself and take no memory.
    """
    sizes = {
        part: sum(
            _loaded_bytes(info, vae_dtype, mapped=False)
            if part == "vae"
            else _loaded_bytes(info, dtype, mapped=mapped)
            for info in _tensors(files, part)
        )
        for part in PARTS
    }
    pixels = files.default_size**2
    return ModelBytes(**sizes, pixels=pixels, vae_itemsize=vae_dtype.itemsize)


def _tensors(files: ModelFiles, part: Part) -> list[TensorInfo]:
    """The tensors of one network; files also hold counters and positions, which are no weights."""
    held = (keys[0] for keys in files.parts[part].names.values())
    tensors = [file.header.tensors[key] for file, key in held]
    return [info for info in tensors if info.dtype in DTYPES]


def _loaded_bytes(info: TensorInfo, dtype: torch.dtype, *, mapped: bool) -> int:
    if mapped and DTYPES[info.dtype] == dtype:
        return 0
    return math.prod(info.shape) * dtype.itemsize
