"""Where backups go when the user leaves the choice to the program."""

from __future__ import annotations

from collections.abc import Mapping

import psutil
import torch
from torch import nn

from engine.errors import SwitchError
from engine.reports import BackupChoice, Tier

HEADROOM_BYTES = 4 << 30
"""Left free on the GPU for the activations of a generation."""


def choose_tier(choice: BackupChoice, parts: Mapping[str, nn.Module]) -> Tier:
    """Pick a tier: on CUDA the device while a backup of everything fits beside a generation."""
    if choice != "auto":
        return choice
    first = next(parts["unet"].parameters())
    if first.device.type != "cuda":
        return "device"
    free, _ = torch.cuda.mem_get_info(first.device)
    model = sum(p.nbytes for part in parts.values() for p in part.parameters())
    return "device" if free > model + HEADROOM_BYTES else "cpu"


def require_memory(tier: Tier, device: torch.device, needed: int) -> None:
    """Raise `SwitchError` with numbers unless `needed` bytes of backups fit into the tier."""
    on_gpu = tier == "device" and device.type == "cuda"
    if on_gpu:
        free, _ = torch.cuda.mem_get_info(device)
        free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    else:
        free = psutil.virtual_memory().available
    if needed > free:
        where = "the GPU" if on_gpu else "main memory"
        advice = " Move the backups to the CPU." if on_gpu else " Close other programs."
        raise SwitchError(
            f"The backups need {needed / 2**30:.1f} GiB of {where}, and {free / 2**30:.1f} GiB "
            f"are free; nothing was changed.{advice}"
        )
