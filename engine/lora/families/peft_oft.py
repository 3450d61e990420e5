"""PEFT's OFT (v2): rotations of groups of input columns, stored as triangles (arXiv:2506.19847)."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch

from engine.lora.families.adapter import (
    Adapter,
    Tensors,
    dims,
    number,
    require,
    require_dims,
    wide,
)
from engine.lora.families.rotation import cayley_change, skew

DEFAULT_TERMS = 5
"""Terms of the Neumann series where no configuration says otherwise (PEFT, OneTrainer)."""


@dataclass(frozen=True)
class InputOFT(Adapter):
    """W' = W + strength * (W R - W) with R block-diagonal over the columns in * kh * kw.

    `triangles` [n, b * (b - 1) / 2] are the upper triangles of skew matrices Q; one alone serves
    all blocks. R = (I + Q) (I - Q)^-1, or for `terms` > 0 the transpose of the Neumann series
    I + 2Q + 2Q^2 + ... + Q^(terms - 1): with it PEFT rotates the other way round, and so does
    OneTrainer, but for convolutions. `limit` bounds each Q's norm (constrained OFT). With
    `is_scaled` (OneTrainer) Q is divided by 2 sqrt(b - 1).
    """

    triangles: torch.Tensor
    terms: int
    limit: float | None
    is_scaled: bool = False
    from_one_trainer: bool = False

    def check(self, shape: torch.Size) -> None:
        require_dims(2, self.triangles)
        size, columns = self._block_size(), shape[1:].numel()
        count, length = self.triangles.shape
        fits = length > 0 and length == size * (size - 1) // 2 and len(shape) > 1
        fits = fits and columns % size == 0 and count in (1, columns // size)
        require(fits, f"triangles of {dims(self.triangles.shape)}", shape)

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        size = self._block_size()
        rows, columns = torch.triu_indices(size, size, 1, device=base.device)
        half = base.new_zeros(self.triangles.shape[0], size, size)
        half[:, rows, columns] = wide(self.triangles, base)
        q = self._limited(skew(half))
        if self.is_scaled:
            q = q / (2 * math.sqrt(size - 1))
        change = _neumann_change(q, self.terms) if self.terms else cayley_change(q)
        if self.terms and not (self.from_one_trainer and base.dim() > 2):
            change = change.transpose(1, 2)
        blocks = base.reshape(base.shape[0], -1, size)
        change = change.expand(blocks.shape[1], size, size)
        return torch.einsum("onb,nbc->onc", blocks, change * strength).reshape(base.shape)

    def _block_size(self) -> int:
        return (1 + math.isqrt(1 + 8 * self.triangles.shape[1])) // 2

    def _limited(self, q: torch.Tensor) -> torch.Tensor:
        if self.limit is None:
            return q
        largest = self.limit / math.sqrt(q.shape[0])
        norm = torch.linalg.matrix_norm(q)[:, None, None]
        return torch.where(norm > largest, q * (largest / norm), q)


def _neumann_change(q: torch.Tensor, terms: int) -> torch.Tensor:
    """The series less its identity: all powers twice, the last one once.

    As PEFT computes it, two terms have no last one, and three are the same as four.
    """
    if terms < 3:
        return q * (2.0 * (terms - 1))
    exact = q.double()
    total, power = torch.zeros_like(exact), exact
    for _ in range(max(terms, 4) - 2):
        total += 2 * power
        power = power @ exact
    return (total + power).to(q.dtype)


def build(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build from `oft_R`, with `neumann_terms` (0: the exact rotation) and `coft_eps`, if any.

    `scaled_oft` (a flag) and `one_trainer` tell OneTrainer's files.
    """
    if "oft_R" not in tensors:
        return None
    terms, eps = tensors.get("neumann_terms"), tensors.get("coft_eps")
    return InputOFT(
        tensors["oft_R"],
        DEFAULT_TERMS if terms is None else int(number(terms)),
        None if eps is None else number(eps),
        is_scaled="scaled_oft" in tensors and number(tensors["scaled_oft"]) != 0,
        from_one_trainer="one_trainer" in tensors,
    )
