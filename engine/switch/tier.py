"""Where backups go when the user leaves the choice to the program."""

from __future__ import annotations

from collections.abc import Mapping

import psutil
import torch
from torch import nn

from engine.errors import SwitchError
from engine.reports import BackupChoice, Tier

HEADROOM_BYTES = 4 << 30
"""Left free for the activations of a generation."""


LORA_SHARE = 1 / 32
"""Of a GPU's memory, for LoRAs sent ahead: some at 24 GB, one or two at 8."""


def lora_bytes(device: torch.device) -> int:
    """What the LoRAs held on a GPU may take of it."""
    return int(torch.cuda.get_device_properties(device).total_memory * LORA_SHARE)


def choose_tier(choice: BackupChoice, parts: Mapping[str, nn.Module], *, has_source: bool) -> Tier:
    """Pick the fastest tier in which a backup of everything fits beside a generation."""
    if choice != "auto":
        return choice
    device = next(parts["unet"].parameters()).device
    model = sum(p.nbytes for part in parts.values() for p in part.parameters())
    if device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        if free > model + HEADROOM_BYTES:
            return "device"
    fits = psutil.virtual_memory().available > model + HEADROOM_BYTES
    if has_source and not fits:
        return "file"
    return "cpu" if device.type == "cuda" else "device"


def require_memory(tier: Tier, device: torch.device, needed: int) -> None:
    """Raise `SwitchError` with numbers unless `needed` bytes of backups fit into the tier."""
    if tier == "file":
        return
    on_gpu = tier == "device" and device.type == "cuda"
    if on_gpu:
        free, _ = torch.cuda.mem_get_info(device)
        free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    else:
        free = psutil.virtual_memory().available
    if needed > free:
        where = "the GPU" if on_gpu else "main memory"
        advice = "the CPU" if on_gpu else "the file"
        raise SwitchError(
            f"The backups need {needed / 2**30:.1f} GiB of {where}, and {free / 2**30:.1f} GiB "
            f"are free; nothing was changed. Move the backups to {advice}."
        )
