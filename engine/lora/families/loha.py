"""LoHa: the elementwise product of two low-rank matrices (FedPara, arXiv:2108.06098; LyCORIS)."""

from __future__ import annotations

from dataclasses import dataclass

import torch

from engine.lora.families.adapter import (
    Adapter,
    Tensors,
    all_zero,
    dims,
    rank_of,
    require,
    require_dims,
    scaling,
    wide,
)


@dataclass(frozen=True)
class LoHa(Adapter):
    """delta = scale * (w1_a @ w1_b) * (w2_a @ w2_b); arms with a Tucker core for convolutions.

    Without cores: a [out, r], b [r, in * kh * kw]. With cores t [r, r, kh, kw]: a [r, out],
    b [r, in].
    """

    first: tuple[torch.Tensor, torch.Tensor]
    second: tuple[torch.Tensor, torch.Tensor]
    cores: tuple[torch.Tensor, torch.Tensor] | None
    scale: float

    @property
    def is_additive(self) -> bool:
        return True

    def check(self, shape: torch.Size) -> None:
        for index, (a, b) in enumerate((self.first, self.second)):
            require_dims(2, a, b)
            if self.cores is None:
                made_for: tuple[int, ...] = (a.shape[0], b.shape[1])
                wanted: tuple[int, ...] = (shape[0], shape[1:].numel())
                ranks_fit = a.shape[1] == b.shape[0]
            else:
                core = self.cores[index]
                require_dims(4, core)
                made_for = (a.shape[1], b.shape[1], *core.shape[2:])
                wanted = tuple(shape)
                ranks_fit = (a.shape[0], b.shape[0]) == core.shape[:2]
            require(made_for == wanted and ranks_fit and len(shape) > 1, dims(made_for), shape)

    @property
    def is_zero(self) -> bool:
        return any(map(all_zero, (*self.first, *self.second, *(self.cores or ()))))

    def delta(self, base: torch.Tensor, strength: float) -> torch.Tensor:
        product = self._arm(0, base) * self._arm(1, base)
        return product.reshape(base.shape) * (self.scale * strength)

    def _arm(self, index: int, base: torch.Tensor) -> torch.Tensor:
        a, b = (wide(t, base) for t in (self.first, self.second)[index])
        if self.cores is None:
            return a @ b
        core = wide(self.cores[index], base)
        return torch.einsum("ijkl,jr,ip->prkl", core, b, a)


def build(tensors: Tensors, shape: torch.Size) -> Adapter | None:
    """Build from `hada_w1_a` ... `hada_w2_b`, `hada_t1`, `hada_t2`; the rank is that of w1_b."""
    names = ("hada_w1_a", "hada_w1_b", "hada_w2_a", "hada_w2_b")
    if any(name not in tensors for name in names):
        return None
    w1_a, w1_b, w2_a, w2_b = (tensors[name] for name in names)
    has_cores = "hada_t1" in tensors and "hada_t2" in tensors
    cores = (tensors["hada_t1"], tensors["hada_t2"]) if has_cores else None
    return LoHa((w1_a, w1_b), (w2_a, w2_b), cores, scaling(tensors, rank_of(w1_b)))
