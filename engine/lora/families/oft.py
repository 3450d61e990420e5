"""OFT: rotations of groups of output rows (diag-OFT, arXiv:2306.07280; LyCORIS and sd-scripts)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.lora.families.adapter import Adapter, Tensors, dims, number, require, wide
from engine.lora.families.rotation import cayley_change, limit_norm, skew


@dataclass(frozen=True)
class DiagonalOFT(Adapter):
    """W' = rescale * (W + strength * (R^T - I) W) with R block-diagonal, from blocks [n, b, b].

    `limit` bounds the norm of all skew matrices together, in units of the number of rows; None
    leaves them free. `rescale` [out, 1, ...] is applied whole at any strength, as LyCORIS does.
    """

    blocks: torch.Tensor
    rescale: torch.Tensor | None
    limit: float | None

    def check(self, shape: torch.Size) -> None:
        blocks = self.blocks.shape
        fits = len(blocks) == 3 and blocks[1] == blocks[2] and blocks[0] * blocks[1] == shape[0]
        require(fits and len(shape) > 1, f"blocks of {dims(blocks)}", shape)
        require_rescale(self.rescale, shape)

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        number_of_blocks, size, _ = self.blocks.shape
        q = limit_norm(skew(wide(self.blocks, base)), row_limit(self.limit, base))
        change = cayley_change(q).transpose(1, 2)
        rows = base.reshape(number_of_blocks, size, -1)
        rotated = torch.bmm(change * strength, rows).reshape(base.shape)
        return rescaled(base, rotated, self.rescale)


def build(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build from `oft_blocks` [n, b, b] and `rescale`.

    In LyCORIS' files `alpha` is the limit and 0 means none; `constraint` (sd-scripts' own, where
    0 allows no rotation) always holds.
    """
    blocks = tensors.get("oft_blocks")
    if blocks is None or blocks.dim() == 4:
        return None
    return DiagonalOFT(blocks, tensors.get("rescale"), limit_of(tensors))


def limit_of(tensors: Tensors) -> float | None:
    """The bound on the skew matrices' norm per output row; None where there is none."""
    if "constraint" in tensors:
        return number(tensors["constraint"])
    return number(tensors["alpha"]) or None if "alpha" in tensors else None


def row_limit(limit: float | None, base: torch.Tensor) -> float | None:
    """The bound for a weight with the rows of `base`."""
    return None if limit is None else limit * base.shape[0]


def require_rescale(rescale: torch.Tensor | None, shape: torch.Size) -> None:
    """Raise `ShapeMismatchError` unless there is one factor a row (or none at all)."""
    if rescale is not None:
        require(rescale.numel() == shape[0], f"{rescale.numel()} rows", shape)


def rescaled(
    base: torch.Tensor, change: torch.Tensor, rescale: torch.Tensor | None
) -> torch.Tensor:
    """The difference rescale * (base + change) - base."""
    if rescale is None:
        return change
    factor = wide(rescale, base).reshape(-1, *[1] * (base.dim() - 1))
    return change * factor + base * (factor - 1)
