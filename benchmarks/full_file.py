"""A checkpoint file of SDXL's real size and original layout, with random weights."""

from __future__ import annotations

import json
import struct
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from accelerate import init_empty_weights
from diffusers import AutoencoderKL
from torch import nn

from engine.checkpoint.config import sdxl_config
from engine.checkpoint.outline import outline_of
from engine.sdxl.layout import Part, parameter_source

BLOCK = 1 << 25
"""Values drawn; tensors repeat them from different places on."""


def write_checkpoint(path: Path) -> None:
    """Write 7 GB of float16: SDXL's UNet, text encoders and VAE, at the size weights have."""
    shapes = dict(_tensors())
    header: dict[str, object] = {}
    end = 0
    for key, shape in shapes.items():
        start, end = end, end + 2 * shape.numel()
        header[key] = {"dtype": "F16", "shape": list(shape), "data_offsets": [start, end]}
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    values = (0.02 * torch.randn(BLOCK, generator=torch.Generator().manual_seed(0))).half()
    raw = values.view(torch.uint8).numpy().data
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for number, shape in enumerate(shapes.values()):
            left, offset = 2 * shape.numel(), 2 * (number * 7919 % (BLOCK // 2))
            while left:
                part = raw[offset : offset + left]
                file.write(part)
                left, offset = left - len(part), 0


def _tensors() -> Iterator[tuple[str, torch.Size]]:
    with init_empty_weights():
        vae = AutoencoderKL(**sdxl_config()["vae"])
    parts: Mapping[Part, nn.Module] = {**outline_of(None, torch.float16), "vae": vae}  # type: ignore[dict-item]
    for part, module in parts.items():
        for name, parameter in module.named_parameters():
            source, shape = parameter_source(part, name), parameter.shape
            if source.third is not None:
                shape = torch.Size((3 * shape[0], *shape[1:]))
            yield source.key, shape[::-1] if source.transposed else shape
