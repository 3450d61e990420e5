"""PEFT's BOFT: rotations of groups of input columns, then a factor a row (arXiv:2311.06243)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.lora.families.adapter import Adapter, Tensors, dims, require, wide
from engine.lora.families.rotation import cayley_change, skew


@dataclass(frozen=True)
class InputBOFT(Adapter):
    """W' = rows * (W R), R block-diagonal over the columns in * kh * kw; strength * (W' - W).

    `blocks` [1, n, b, b] are twice skew matrices, of which R is made by Cayley's formula. `rows`
    [out] may be None. More stages than one, which PEFT makes on NVIDIA GPUs alone, are refused.
    """

    blocks: torch.Tensor
    rows: torch.Tensor | None

    def check(self, shape: torch.Size) -> None:
        blocks = self.blocks.shape
        fits = len(blocks) == 4 and blocks[0] == 1 and blocks[2] == blocks[3] and len(shape) > 1
        fits = fits and blocks[1] * blocks[2] == shape[1:].numel()
        require(fits, f"butterfly blocks of {dims(blocks)}", shape)
        if self.rows is not None:
            require(self.rows.numel() == shape[0], f"{self.rows.numel()} rows", shape)

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        (blocks,) = wide(self.blocks, base)
        columns = base.reshape(base.shape[0], *blocks.shape[:2])
        turn = cayley_change(0.5 * skew(blocks))
        change = torch.einsum("onb,nbc->onc", columns, turn).reshape(base.shape)
        if self.rows is not None:
            rows = wide(self.rows, base).reshape(-1, *[1] * (base.dim() - 1))
            change = change * rows + base * (rows - 1)
        return change * strength


def build(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build from `boft_R` [1, n, b, b] and `boft_s`."""
    return InputBOFT(tensors["boft_R"], tensors.get("boft_s")) if "boft_R" in tensors else None
