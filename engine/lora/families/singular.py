"""A product with a factor for each rank between: AdaLoRA (arXiv:2303.10512; PEFT) and T-LoRA."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.lora.families.adapter import (
    Adapter,
    Tensors,
    all_zero,
    dims,
    flat,
    rank_of,
    require,
    require_dims,
    scaling,
    wide,
)


@dataclass(frozen=True)
class Singular(Adapter):
    """delta = scale * up @ diag(values) @ down: `up` [out, r], `values` [r], `down` [r, in]."""

    up: torch.Tensor
    values: torch.Tensor
    down: torch.Tensor
    scale: float

    @property
    def is_additive(self) -> bool:
        return True

    def check(self, shape: torch.Size) -> None:
        require_dims(2, self.up, self.down)
        (out, rank), columns = self.up.shape, self.down.shape[1]
        fits = (out, columns) == (shape[0], shape[1:].numel()) and len(shape) > 1
        joined = rank == self.down.shape[0] == self.values.numel()
        require(fits and joined, f"{dims((out, columns))} at rank {rank}", shape)

    @property
    def is_zero(self) -> bool:
        return any(map(all_zero, (self.up, self.values, self.down)))

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        up, values, down = (wide(t, base) for t in (self.up, self.values, self.down))
        return (up * (values.flatten() * (self.scale * strength)) @ down).reshape(base.shape)


def build(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build from AdaLoRA's `up`, `singular` [r, 1] and `down`."""
    if any(name not in tensors for name in ("up", "singular", "down")):
        return None
    down = flat(tensors["down"])
    scale = scaling(tensors, rank_of(down))
    return Singular(flat(tensors["up"]), tensors["singular"], down, scale)
