"""Pinned memory that PyTorch has let go of and keeps for later, which the system counts as used."""

from __future__ import annotations

import torch

IDLE_SHARE = 1 / 4
"""Of main memory, for backups of a model on a GPU that no live LoRA needs."""


def free_pinned() -> int:
    """Bytes of pinned memory that nobody uses, and that the next pinned buffer can have."""
    if not torch.cuda.is_available():
        return 0
    found = torch.cuda.host_memory_stats()
    owned = found.get("allocated_bytes.current", 0)
    return max(0, int(owned) - int(found.get("active_bytes.current", 0)))


def give_back_pinned() -> None:
    """Give pinned memory that nobody uses back to the system; copies that use it must be done."""
    if torch.cuda.is_available():
        torch.accelerator.empty_host_cache()
