"""IA3: a factor for each input or output channel (arXiv:2205.05638; LyCORIS)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.lora.families.adapter import Adapter, Tensors, number, require, wide


@dataclass(frozen=True)
class IA3(Adapter):
    """delta = strength * W * factors, one factor for each input channel or each output channel.

    `by_input` is None while only the header is known.
    """

    factors: torch.Tensor
    by_input: bool | None

    def check(self, shape: torch.Size) -> None:
        count = self.factors.numel()
        if len(shape) < 2:
            fits = False
        elif self.by_input is None:
            fits = count in shape[:2]
        else:
            fits = count == shape[1 if self.by_input else 0]
        require(fits, f"{count} channels", shape)

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        shape = [1] * base.dim()
        shape[1 if self.by_input else 0] = -1
        return base * (wide(self.factors, base).reshape(shape) * strength)


def build(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build from `weight` (the factors) and `on_input` (0 or 1)."""
    if "weight" not in tensors or "on_input" not in tensors:
        return None
    flag = tensors["on_input"]
    return IA3(tensors["weight"], None if flag.is_meta else number(flag) != 0)
