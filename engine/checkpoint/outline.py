"""The networks of a model that LoRAs change, without their weights: names, shapes and types."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import nn

from engine.checkpoint.config import sdxl_config
from engine.checkpoint.networks import make_networks
from engine.checkpoint.read import read_networks
from engine.sdxl.layout import Part

PARTS: tuple[Part, ...] = ("unet", "text_encoder", "text_encoder_2")


def outline_of(model: Path | None, dtype: torch.dtype) -> dict[str, nn.Module]:
    """Make the UNet and both text encoders of a model file or folder on the meta device.

    None is SDXL itself, in its real size. Only configurations and headers are read.
    Raises `CheckpointError` or `FileFormatError` for a path that is no SDXL model.
    """
    config = sdxl_config() if model is None else read_networks(model).config
    modules = make_networks("SDXL" if model is None else model.name, config)
    return {part: modules[part].to(dtype) for part in PARTS}
