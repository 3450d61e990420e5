"""LoRA and LoCon: two low-rank factors, with Tucker's third one between for convolutions.

LoRA: Hu et al. 2021, arXiv:2106.09685. LoCon and Tucker: LyCORIS, arXiv:2309.14859. A DyLoRA
(arXiv:2210.07558) is stored as a LoRA of its full rank and read as one.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

import torch

from engine.lora.families.adapter import (
    Adapter,
    Tensors,
    all_zero,
    crosswise,
    dims,
    flat,
    rank_of,
    require,
    require_dims,
    scaling,
    wide,
)


class Factors(NamedTuple):
    """The factors of a product as a GPU's kernel takes them."""

    up: torch.Tensor
    down: torch.Tensor
    """Both of one dtype (float16, bfloat16 or float32), without gaps."""
    up_address: int
    down_address: int
    rank: int
    """A multiple of `RANKS`: what is short of it is filled up with zeros, which add nothing."""


RANKS = 8
"""Rows of so many numbers begin on multiples of 16 bytes, and a GPU reads them at once."""

_KERNEL_DTYPES = {
    torch.float16: torch.float16,
    torch.bfloat16: torch.bfloat16,
    torch.float8_e4m3fn: torch.float16,
    torch.float8_e5m2: torch.float16,
}
"""What factors are multiplied as without losing a bit; all others in float32."""


@dataclass(frozen=True)
class LowRank(Adapter):
    """delta = scale * up @ down; `up` [out, r], `down` [r, in * kh * kw]."""

    up: torch.Tensor
    down: torch.Tensor
    scale: float

    @property
    def is_additive(self) -> bool:
        return True

    def check(self, shape: torch.Size) -> None:
        require_dims(2, self.up, self.down)
        out, rank = self.up.shape
        columns = self.down.shape[1]
        fits = (out, columns) == (shape[0], shape[1:].numel()) and rank == self.down.shape[0]
        require(fits and len(shape) > 1, f"{out}x{columns} at rank {rank}", shape)

    @property
    def is_zero(self) -> bool:
        return all_zero(self.up) or all_zero(self.down)

    @cached_property
    def bound(self) -> float:
        """No entry of the delta at strength 1 is larger.

        It is the longest row of `up` times the longest column of `down` (Cauchy-Schwarz).
        """
        rows = self.up.float().square().sum(dim=1).amax().sqrt()
        columns = self.down.float().square().sum(dim=0).amax().sqrt()
        return abs(self.scale) * float(rows * columns)

    @cached_property
    def factors(self) -> Factors:
        """The factors for a kernel, made ready once as long as the adapter is kept."""
        return _made_ready(self.up, self.down)

    def factors_channels_last(self, shape: torch.Size) -> Factors:
        """The same for a convolution's weight of `shape` that lies in memory channels last."""
        found = self._channels_last.get(shape)
        if found is None:
            down = self.down.reshape(-1, *shape[1:]).permute(0, 2, 3, 1).flatten(1)
            found = self._channels_last[shape] = _made_ready(self.up, down)
        return found

    @cached_property
    def _channels_last(self) -> dict[torch.Size, Factors]:
        return {}

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        up, down = wide(self.up, base), wide(self.down, base)
        return ((up * (self.scale * strength)) @ down).reshape(base.shape)


def _made_ready(up: torch.Tensor, down: torch.Tensor) -> Factors:
    dtypes = {_KERNEL_DTYPES.get(f.dtype, torch.float32) for f in (up, down)}
    dtype = dtypes.pop() if len(dtypes) == 1 else torch.float32
    up, down = up.to(dtype).contiguous(), down.to(dtype).contiguous()
    if missing := -up.shape[1] % RANKS:
        up = torch.nn.functional.pad(up, (0, missing))
        down = torch.nn.functional.pad(down, (0, 0, 0, missing))
    return Factors(up, down, up.data_ptr(), down.data_ptr(), up.shape[1])


@dataclass(frozen=True)
class Tucker(Adapter):
    """delta = scale * einsum(mid [r, r, kh, kw], up [out, r], down [r, in])."""

    up: torch.Tensor
    mid: torch.Tensor
    down: torch.Tensor
    scale: float

    @property
    def is_additive(self) -> bool:
        return True

    def check(self, shape: torch.Size) -> None:
        require_dims(2, self.up, self.down)
        require_dims(4, self.mid)
        made_for = (self.up.shape[0], self.down.shape[1], *self.mid.shape[2:])
        ranks = (self.up.shape[1], self.down.shape[0])
        require(made_for == tuple(shape) and ranks == self.mid.shape[:2], dims(made_for), shape)

    @property
    def is_zero(self) -> bool:
        return any(map(all_zero, (self.up, self.mid, self.down)))

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        up, mid, down = (wide(t, base) for t in (self.up, self.mid, self.down))
        full = torch.einsum("mnkl,im,nj->ijkl", mid, up, down)
        return full * (self.scale * strength)


def build(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build from `up` and `down` (and `mid`); the rank is that of `down`.

    PEFT's `embedding_A` [r, tokens] and `embedding_B` [width, r] change token embeddings, which lie
    in a weight [tokens, width].
    """
    if "embedding_A" in tensors and "embedding_B" in tensors:
        first, second = (tensors[f"embedding_{name}"] for name in "AB")
        scale = scaling(tensors, rank_of(first))
        return LowRank(crosswise(first), crosswise(second), scale)
    if "up" not in tensors or "down" not in tensors or "singular" in tensors:
        return None
    up, down = flat(tensors["up"]), flat(tensors["down"])
    scale = scaling(tensors, rank_of(down))
    if "mid" in tensors:
        return Tucker(up, tensors["mid"], down, scale)
    return LowRank(up, down, scale)
