"""Where backups go when the user leaves the choice to the program."""

from __future__ import annotations

from collections.abc import Mapping

import psutil
import torch
from torch import nn

from engine.errors import SwitchError
from engine.pinned_memory import free_pinned
from engine.protocol.reports import BackupChoice, Tier

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


def require_memory(tier: Tier, device: torch.device, backups: int, copies: int = 0) -> None:
    """Raise `SwitchError` with numbers unless what a switch keeps fits, in bytes.

    `backups` go into the tier. `copies` are weights on the CPU that were the mapped file until now,
    and take main memory once they are written to.
    """
    if tier == "device" and device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        where, advice, needed = "the GPU", " Move the backups to the CPU.", backups
        what = "The backups"
    elif tier == "file":
        free, needed = psutil.virtual_memory().available, copies
        where, advice, what = "main memory", "", "Changed weights"
    else:
        free, needed = psutil.virtual_memory().available, backups + copies
        if device.type == "cuda":
            free += free_pinned()
        where, advice = "main memory", " Move the backups to the file."
        what = "Backups and changed weights" if copies else "The backups"
    if needed > free:
        raise SwitchError(
            f"{what} need {needed / 2**30:.1f} GiB of {where}, and {free / 2**30:.1f} GiB are "
            f"free; nothing was changed.{advice}"
        )
