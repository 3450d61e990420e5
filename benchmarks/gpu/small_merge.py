"""A merge of odd shapes and ranks by the kernel, small enough for CUDA's sanitizer."""

from __future__ import annotations

import sys

import torch

from engine.lora.families import LowRank
from engine.switch.merge import Merge, merge
from engine.switch.plan import Term

_SHAPES = ((70, 90), (33, 50), (1, 7), (256, 128), (40, 16, 3, 3))
_RANKS = (4, 13, 32)


def main() -> None:
    """Merge, and end with 1 where a weight is not what float64 makes of it."""
    torch.manual_seed(0)
    merges = []
    for shape in _SHAPES:
        base = torch.randn(shape, device="cuda", dtype=torch.float16)
        terms = [_term(base, rank) for rank in _RANKS]
        merges.append(Merge(torch.empty_like(base), base, terms))
    merge(merges)
    equal = torch.cat([(m.live == _exact(m)).flatten() for m in merges])
    print(f"{int(equal.sum())} of {len(equal)} weights are the exact ones")
    sys.exit(0 if equal.double().mean() > 0.999 else 1)


def _term(base: torch.Tensor, rank: int) -> Term:
    up = 0.05 * torch.randn(base.shape[0], rank, device="cuda")
    down = 0.05 * torch.randn(rank, base[0].numel(), device="cuda")
    return Term(LowRank(up.half(), down.half(), 0.5), 0.8, None)  # type: ignore[arg-type]


def _exact(merged: Merge) -> torch.Tensor:
    total = merged.base.double()
    for adapter, strength, _ in merged.terms:
        assert isinstance(adapter, LowRank)
        delta = adapter.up.double() @ adapter.down.double()
        total += strength * adapter.scale * delta.reshape(total.shape)
    return total.to(merged.base.dtype)


if __name__ == "__main__":
    main()
