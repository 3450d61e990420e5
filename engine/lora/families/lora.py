"""LoRA and LoCon: two low-rank factors, with Tucker's third one between for convolutions.

LoRA: Hu et al. 2021, arXiv:2106.09685. LoCon and Tucker: LyCORIS, arXiv:2309.14859.
"""

from __future__ import annotations

import torch

from engine.lora.families.adapter import Adapter, Tensors, require, scaling, wide


class LowRank(Adapter):
    """delta = scale * up @ down; `up` [out, r], `down` [r, in * kh * kw]."""

    def __init__(self, up: torch.Tensor, down: torch.Tensor, scale: float) -> None:
        self.up, self.down, self.scale = up.flatten(1), down.flatten(1), scale

    def check(self, shape: torch.Size) -> None:
        out, rank = self.up.shape
        columns = self.down.shape[1]
        fits = (out, columns) == (shape[0], shape[1:].numel()) and rank == self.down.shape[0]
        require(fits, f"{out}x{columns} at rank {rank}", shape)

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        up, down = wide(self.up, base), wide(self.down, base)
        return ((up * (self.scale * strength)) @ down).reshape(base.shape)


class Tucker(Adapter):
    """delta = scale * einsum(mid [r, r, kh, kw], up [out, r], down [r, in])."""

    def __init__(
        self, up: torch.Tensor, mid: torch.Tensor, down: torch.Tensor, scale: float
    ) -> None:
        self.up, self.mid, self.down, self.scale = up.flatten(1), mid, down.flatten(1), scale

    def check(self, shape: torch.Size) -> None:
        made_for = (self.up.shape[0], self.down.shape[1], *self.mid.shape[2:])
        require(made_for == tuple(shape), "x".join(map(str, made_for)), shape)

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        up, mid, down = (wide(t, base) for t in (self.up, self.mid, self.down))
        full = torch.einsum("mnkl,im,nj->ijkl", mid, up, down)
        return full * (self.scale * strength)


def build(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build from `up` and `down` (and `mid`); the rank is that of `down`."""
    if "up" not in tensors or "down" not in tensors:
        return None
    up, down = tensors["up"], tensors["down"]
    scale = scaling(tensors, down.shape[0])
    if "mid" in tensors:
        return Tucker(up, tensors["mid"], down, scale)
    return LowRank(up, down, scale)
