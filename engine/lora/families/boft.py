"""BOFT: rotations of output rows in butterfly stages (arXiv:2311.06243; LyCORIS)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.lora.families.adapter import Adapter, Tensors, dims, require, wide
from engine.lora.families.oft import limit_of, require_rescale, rescaled, row_limit
from engine.lora.families.rotation import cayley_change, limit_norm, skew


@dataclass(frozen=True)
class ButterflyOFT(Adapter):
    """W' = rescale * (stages of block rotations of shuffled rows) W, from blocks [m, n, b, b].

    Stage i joins rows that lie 2^i * b / 2 apart. The strength draws each stage's rotation
    towards the identity; `rescale` is applied whole.
    """

    blocks: torch.Tensor
    rescale: torch.Tensor | None
    limit: float | None

    def check(self, shape: torch.Size) -> None:
        blocks = self.blocks.shape
        fits = len(blocks) == 4 and blocks[2] == blocks[3] and blocks[1] * blocks[2] == shape[0]
        if fits:
            # Every stage shuffles whole groups of 2^i * b rows.
            stages, _, size, _ = blocks
            fits = 0 < stages <= 32 and size % 2 == 0 and shape[0] % (2 ** (stages - 1) * size) == 0
        require(fits and len(shape) > 1, f"butterfly blocks of {dims(blocks)}", shape)
        require_rescale(self.rescale, shape)

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        _, count, size, _ = self.blocks.shape
        q = limit_norm(skew(wide(self.blocks, base)), row_limit(self.limit, base))
        rows = base.flatten(1)
        total = torch.zeros_like(rows)
        order = torch.arange(rows.shape[0], device=rows.device)
        for stage, change in enumerate(cayley_change(q) * strength):
            step = 2**stage * size // 2
            shuffle = order.reshape(-1, 2, step).transpose(1, 2).flatten()
            mixed = torch.bmm(change, (rows + total)[shuffle].reshape(count, size, -1))
            total.index_add_(0, shuffle, mixed.reshape(rows.shape))
        return rescaled(base, total.reshape(base.shape), self.rescale)


def build(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build from `oft_blocks` [m, n, b, b] and `rescale`."""
    blocks = tensors.get("oft_blocks")
    if blocks is None or blocks.dim() != 4:
        return None
    return ButterflyOFT(blocks, tensors.get("rescale"), limit_of(tensors))
