"""Put a loaded pipeline into a memory mode, and its weights back where they rest."""

from __future__ import annotations

from typing import Any

import psutil
import torch
from torch import nn

from engine.modes.choose import TILE
from engine.protocol.modes import OFFLOADED, Mode, moves_unet
from engine.sdxl.layout import Part
from engine.switch.offload import bring_home
from engine.switch.visits import Visits


def load_device(mode: Mode, device: str) -> str:
    """Where the weights are loaded to for a mode, those that are to visit the device apart."""
    return "cpu" if moves_unet(mode) else device


def visitors(mode: Mode) -> tuple[Part, ...]:
    """The networks that are loaded to main memory, and visit the device by hooks of our own."""
    return () if moves_unet(mode) else OFFLOADED[mode]


def place(pipe: Any, mode: Mode, device: str) -> None:
    """Put a pipeline into a mode on `device`.

    Its weights were loaded to `load_device(mode, device)`, those of `visitors(mode)` to main
    memory. Model offload moves whole networks with accelerate's hooks; group offload moves layers
    with diffusers', on CUDA ahead of their use on a stream of its own, and leaves the VAE on the
    device. In all of them the parameters in main memory are the ones that count.
    """
    if mode != "resident":
        _decode_in_tiles(pipe.vae)
    for part in visitors(mode):
        network = getattr(pipe, part)
        network.forward = Visits(network, torch.device(device))
    if mode == "model-offload":
        pipe.enable_model_cpu_offload(device=device)
    elif mode == "group-offload":
        has_streams = device.startswith("cuda")
        pipe.enable_group_offload(
            torch.device(device),
            offload_type="leaf_level",
            use_stream=has_streams,
            record_stream=has_streams,
            exclude_modules="vae",
        )


def rest(pipe: Any) -> None:
    """Bring offloaded weights back to main memory, also those that an error left on the device."""
    pipe.maybe_free_model_hooks()
    for part in pipe.components.values():
        if isinstance(part, nn.Module):
            bring_home(part.modules())


def free_bytes(device: str) -> int:
    """Bytes that can be had on a device; on an Apple GPU and a CPU it is main memory."""
    if device.startswith("cuda"):
        free, _ = torch.cuda.mem_get_info(device)
        return free + torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return int(psutil.virtual_memory().available)


def _decode_in_tiles(vae: Any) -> None:
    """Decode pictures larger than a tile piece by piece; edges overlap and are blended.

    diffusers' own tiles are as large as the pictures that the VAE was trained on, which spares
    nothing. Its slicing would change nothing: pictures are decoded one by one.
    """
    vae.enable_tiling()
    vae.tile_sample_min_size = TILE
    vae.tile_latent_min_size = TILE // 2 ** (len(vae.config.block_out_channels) - 1)
