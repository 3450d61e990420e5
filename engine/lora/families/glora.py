"""GLoRA: a low-rank change and a low-rank change of the weight's input side (arXiv:2306.07967)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.lora.families.adapter import (
    Adapter,
    Tensors,
    dims,
    flat,
    rank_of,
    require,
    require_dims,
    scaling,
    wide,
)
from engine.lora.families.lora import LowRank, Tucker


@dataclass(frozen=True)
class GLoRA(Adapter):
    """delta = W @ (scale * right_up @ right_down) + added.

    `right_up` [in, r] and `right_down` [r, in] act on the input channels, at each place of a
    kernel alike; `added` is an ordinary low-rank adapter.
    """

    right_up: torch.Tensor
    right_down: torch.Tensor
    added: Adapter
    scale: float

    def check(self, shape: torch.Size) -> None:
        self.added.check(shape)
        up, down = self.right_up, self.right_down
        require_dims(2, up, down)
        fits = up.shape[0] == shape[1] == down.shape[1] and up.shape[1] == down.shape[0]
        require(fits, f"inputs of {dims(up.shape)} and {dims(down.shape)}", shape)

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        up, down = wide(self.right_up, base), wide(self.right_down, base)
        right = (up @ down) * (self.scale * strength)
        return torch.einsum("oi...,ij->oj...", base, right) + self.added.delta(base, strength)


def build(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build from `a1`, `a2`, `b1`, `b2` (and `bm`), in LyCORIS' layout or in that before 2.0.

    Now a1 [in, r], a2 [r, in], b1 [out, r], b2 [r, in]; before, delta = b2 @ b1 + W @ a2 @ a1 with
    a1 [r, in], a2 [in, r], b1 [r, in], b2 [out, r]. The shapes tell which.
    """
    if any(name not in tensors for name in ("a1", "a2", "b1", "b2")):
        return None
    a1, a2, b1, b2 = (flat(tensors[name]) for name in ("a1", "a2", "b1", "b2"))
    if rank_of(b1) != shape[0] and rank_of(b2) == shape[0]:
        a1, a2, b1, b2 = a2, a1, b2, b1
    rank = rank_of(a2)
    scale = scaling(tensors, rank)
    if "rs_lora" in tensors:
        # Other families store alpha * sqrt(rank) then; this one stores alpha itself.
        scale *= rank**0.5
    middle = tensors.get("bm")
    added = LowRank(b1, b2, scale) if middle is None else Tucker(b1, middle, b2, scale)
    return GLoRA(a1, a2, added, scale)
