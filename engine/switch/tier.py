"""Where backups go when the user leaves the choice to the program."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import nn

from engine.reports import Tier

HEADROOM_BYTES = 4 << 30
"""Left free on the GPU for the activations of a generation."""


def choose_tier(choice: Literal["auto", "device", "cpu"], parts: Mapping[str, nn.Module]) -> Tier:
    """Pick a tier: on CUDA the device while a backup of everything fits beside a generation."""
    if choice != "auto":
        return choice
    first = next(parts["unet"].parameters())
    if first.device.type != "cuda":
        return "device"
    free, _ = torch.cuda.mem_get_info(first.device)
    model = sum(p.nbytes for part in parts.values() for p in part.parameters())
    return "device" if free > model + HEADROOM_BYTES else "cpu"
