"""Shapes of the tiles that the merge kernel works in, by GPU and dtype."""

from __future__ import annotations

from functools import cache
from typing import NamedTuple

import torch


class Tile(NamedTuple):
    """Rows and columns of a weight that one program writes, ranks it takes at a time, its warps."""

    rows: int
    columns: int
    rank: int
    warps: int


SMALL = Tile(64, 64, 32, 4)
"""Leaves room for three programs and more on a multiprocessor: one's reading hides another's."""

EXACT = Tile(64, 64, 16, 4)
"""For factors of float32, whose products keep all bits and take more registers for it."""

CANDIDATES = (
    SMALL,
    Tile(64, 128, 32, 4),
    Tile(128, 64, 32, 4),
    Tile(128, 64, 32, 8),
    Tile(64, 64, 64, 4),
    Tile(32, 128, 32, 4),
    Tile(128, 128, 32, 8),
)
"""What a benchmark compares."""


def tile_for(device: torch.device, weight: torch.dtype, factor: torch.dtype) -> Tile:
    """The tile for weights and factors of these dtypes on a device."""
    capability = torch.cuda.get_device_capability(device) if device.type == "cuda" else (0, 0)
    return tile_of(capability, weight, factor)


@cache
def tile_of(capability: tuple[int, int], weight: torch.dtype, factor: torch.dtype) -> Tile:
    """The tile for GPUs of a compute capability."""
    if factor == torch.float32:
        return EXACT
    return SMALL
