"""Where backups go: what a GPU has room for, and the tier when the user leaves it to us."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping

import psutil
import torch
from torch import nn

from engine.errors import SwitchError
from engine.pinned_memory import IDLE_SHARE, free_pinned
from engine.protocol.reports import BackupChoice, Tier

HEADROOM_BYTES = 4 << 30
"""Left free for the activations of a generation."""


LORA_SHARE = 1 / 32
"""Of a GPU's memory, for LoRAs sent ahead: some at 24 GB, one or two at 8."""


def lora_bytes(device: torch.device) -> int:
    """What the LoRAs held on a GPU may take of it."""
    return int(torch.cuda.get_device_properties(device).total_memory * LORA_SHARE)


def room_on(device: torch.device) -> float:
    """Bytes that new backups may take of a device's own memory; a CPU has none beside the main one.

    On a GPU what a generation needs stays free. An Apple GPU's memory is the main one: there is no
    bound of its own.
    """
    if device.type != "cuda":
        return 0 if device.type == "cpu" else math.inf
    free, _ = torch.cuda.mem_get_info(device)
    free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
    return max(0, free - HEADROOM_BYTES)


class Room:
    """The room on a device for some copies, of which each takes its part while there is enough."""

    def __init__(self, count: float) -> None:
        self._left = count

    def take(self, count: int) -> bool:
        """Whether there was room for so many bytes more, which are taken then."""
        if count > self._left:
            return False
        self._left -= count
        return True

    def close(self) -> None:
        """Give no more."""
        self._left = 0


class Rooms:
    """The room for new backups on each device that weights are on."""

    def __init__(self) -> None:
        self._rooms: dict[torch.device, Room] = {}

    def on(self, device: torch.device) -> Room:
        """The room of one; looked up when it is asked for first."""
        if device not in self._rooms:
            self._rooms[device] = Room(room_on(device))
        return self._rooms[device]


def idle_bytes(tier: Tier, device: torch.device) -> int:
    """Bytes of copies that no live LoRA needs and that are kept all the same, if none are asked.

    Pinned memory stays with PyTorch when it is let go, so keeping what is in it costs nothing until
    memory is short; then it makes room.
    """
    is_pinned = tier != "file" and device.type == "cuda"
    return int(psutil.virtual_memory().total * IDLE_SHARE) if is_pinned else 0


def choose_tier(choice: BackupChoice, parts: Mapping[str, nn.Module], *, has_source: bool) -> Tier:
    """Pick the fastest tier in which a backup of everything fits beside a generation."""
    if choice != "auto":
        return choice
    model: Counter[torch.device] = Counter()
    for part in parts.values():
        for parameter in part.parameters():
            model[parameter.device] += parameter.nbytes
    in_memory = _beside_gpus(model)
    if not in_memory or psutil.virtual_memory().available > in_memory + HEADROOM_BYTES:
        return "device"
    return "file" if has_source else "device"


def require_memory(tier: Tier, backups: Mapping[torch.device, int], copies: int = 0) -> None:
    """Raise `SwitchError` with numbers unless what a switch keeps fits, in bytes.

    `backups` are of weights on these devices, and go into the tier: in `device` onto their GPU, and
    into main memory what that has no room for. `copies` are weights on the CPU that were the mapped
    file until now, and take main memory once they are written to.
    """
    free = int(psutil.virtual_memory().available)
    what, advice = "The backups", " Move the backups to the file."
    on_gpu = any(device.type == "cuda" for device in backups)
    if on_gpu:
        free += free_pinned()
    kept = sum(backups.values())
    if tier == "file":
        what, advice, kept = "Changed weights", "", 0
    elif tier == "device" and on_gpu:
        what, kept = "Backups beside the GPU", _beside_gpus(backups)
    elif copies:
        what = "Backups and changed weights"
    needed = kept + copies
    if needed > free:
        raise SwitchError(
            f"{what} need {needed / 2**30:.1f} GiB of main memory, and {free / 2**30:.1f} GiB are "
            f"free; nothing was changed.{advice}"
        )


def _beside_gpus(backups: Mapping[torch.device, int]) -> int:
    """Bytes that main memory takes of backups in the tier `device`, by where their weights are."""
    return sum(
        count - int(min(count, room_on(device))) if device.type == "cuda" else count
        for device, count in backups.items()
    )
