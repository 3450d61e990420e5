"""HRA: a chain of reflections of the input columns (Householder, arXiv:2405.17484; PEFT)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.lora.families.adapter import Adapter, Tensors, dims, number, require, require_dims, wide


@dataclass(frozen=True)
class HouseholderChain(Adapter):
    """W' = W + strength * (W R - W), R = (I - 2 u1 u1^T) (I - 2 u2 u2^T) ... over in * kh * kw.

    `vectors` [in * kh * kw, r] are u1, u2, ... before they are given the length 1; with
    `orthogonal` also before they are made orthogonal, one after the other.
    """

    vectors: torch.Tensor
    orthogonal: bool

    def check(self, shape: torch.Size) -> None:
        require_dims(2, self.vectors)
        rows, rank = self.vectors.shape
        fits = rank > 0 and rows == shape[1:].numel() and len(shape) > 1
        require(fits and (not self.orthogonal or rank <= rows), dims(self.vectors.shape), shape)

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        vectors, rows = wide(self.vectors, base), base.flatten(1)
        change = torch.zeros_like(rows)
        if self.orthogonal:
            unit, _ = torch.linalg.qr(vectors)
            change -= 2 * (rows @ unit) @ unit.T
        else:
            # A vector of zeros reflects nothing.
            lengths = vectors.norm(dim=0).clamp(min=torch.finfo(vectors.dtype).tiny)
            for u in (vectors / lengths).unbind(1):
                change -= 2 * torch.outer((rows + change) @ u, u)
        return change.reshape(base.shape) * strength


def build(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build from `hra_u`, and `orthogonal` (0 or 1) from the configuration."""
    if "hra_u" not in tensors:
        return None
    orthogonal = "orthogonal" in tensors and number(tensors["orthogonal"]) != 0
    return HouseholderChain(tensors["hra_u"], orthogonal)
