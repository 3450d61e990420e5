"""SDXL with random weights, made in seconds: for measuring where no checkpoint is at hand."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain

import torch
from torch import nn

from engine.checkpoint.outline import outline_of
from engine.demo import DEMO_MODEL

SPREAD = 0.02
"""Standard deviation of the weights, about that of SDXL's attention."""

_BLOCK = 1 << 22
"""Normal values that are drawn; every tensor takes its own from them."""
_STRIDE = 65_537
"""Elements by which one tensor's start in the block lies behind the last one's."""


def random_parts(
    dtype: torch.dtype, device: torch.device, *, small: bool = False, seed: int = 0
) -> Mapping[str, nn.Module]:
    """Make the UNet and both text encoders of SDXL, or small ones of the same structure.

    Normal values are drawn once and laid out in every tensor from another offset: 3.4 billion
    weights then cost one writing of their memory (6.3 GiB in float16).
    """
    parts = outline_of(DEMO_MODEL if small else None, dtype)
    values = RandomValues(dtype, device, seed, SPREAD)
    for module in parts.values():
        module.to_empty(device=device)
        for tensor in chain(module.parameters(), module.buffers()):
            tensor.requires_grad_(False)
            values.fill(tensor)
        module.eval()
    return parts


def bytes_of(parts: Mapping[str, nn.Module]) -> int:
    """Bytes of all parameters; on the meta device, what they would take."""
    return sum(p.nbytes for module in parts.values() for p in module.parameters())


class RandomValues:
    """Fills tensors from one block of normal values of a standard deviation."""

    def __init__(self, dtype: torch.dtype, device: torch.device, seed: int, spread: float) -> None:
        generator = torch.Generator().manual_seed(seed)
        values = torch.randn(_BLOCK, generator=generator) * spread
        self._block = values.to(device=device, dtype=dtype)
        self._start = 0

    def fill(self, tensor: torch.Tensor) -> None:
        """Write the next values into a contiguous tensor; one of whole numbers becomes 0."""
        if not tensor.is_floating_point():
            tensor.zero_()
            return
        flat = tensor.view(-1)
        self._start = (self._start + _STRIDE) % _BLOCK
        done, start = 0, self._start
        while done < flat.numel():
            piece = self._block[start : start + flat.numel() - done]
            flat[done : done + piece.numel()].copy_(piece)
            done, start = done + piece.numel(), 0
