"""HiRA: the base weight times a low-rank matrix, element by element (PEFT)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.lora.families.adapter import Adapter, Tensors, crosswise, flat
from engine.lora.families.lora import LowRank


@dataclass(frozen=True)
class HiRA(Adapter):
    """delta = strength * W * (up @ down), element by element."""

    factors: LowRank

    def check(self, shape: torch.Size) -> None:
        self.factors.check(shape)

    @property
    def is_zero(self) -> bool:
        return self.factors.is_zero

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        return base * self.factors.delta(base, strength)


def build(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build from `hira_B` [out, r] and `hira_A` [r, in]; of token embeddings they lie crosswise."""
    if "hira_A" in tensors and "hira_B" in tensors:
        return HiRA(LowRank(flat(tensors["hira_B"]), flat(tensors["hira_A"]), 1.0))
    if "hira_embedding_A" in tensors and "hira_embedding_B" in tensors:
        up, down = (crosswise(tensors[f"hira_embedding_{name}"]) for name in "AB")
        return HiRA(LowRank(up, down, 1.0))
    return None
