"""live = round(W0 + sum of strength * delta): summed in float32, rounded once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from engine.lora.families import LowRank
from engine.lora.families.adapter import wide
from engine.switch.plan import Term

BLOCK_ELEMENTS = 1 << 19
"""Elements of a weight merged at a time on a CPU: float32 blocks of 2 MiB stay in its caches."""


@contextmanager
def exact_products() -> Iterator[None]:
    """Keep float32 products in float32 (no TF32, no bfloat16), whatever the program has set."""
    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError:
        # The program uses the newer switch, by which the older one cannot be read.
        matmul = torch.backends.cuda.matmul
        setting, matmul.fp32_precision = matmul.fp32_precision, "ieee"
        try:
            yield
        finally:
            matmul.fp32_precision = setting
        return
    torch.set_float32_matmul_precision("highest")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)


def merge_weight(live: torch.Tensor, base: torch.Tensor, terms: Sequence[Term]) -> None:
    """Write the merged weight into `live`, computed from `base` (W0) alone.

    `base` may live on another device than `live`. All low-rank terms become one product by joining
    their ranks. Row blocks are converted, changed and rounded one after another, so a weight is
    read and written once.
    """
    base = base.to(live.device, non_blocking=True)
    low = [term for term in terms if isinstance(term.adapter, LowRank)]
    rest = [term for term in terms if not isinstance(term.adapter, LowRank)]
    factors = _join(low, live) if low else None
    dense = _sum_deltas(rest, base) if rest else None

    count = live.shape[0]
    step = max(1, BLOCK_ELEMENTS // live[0].numel()) if live.device.type == "cpu" else count
    for start in range(0, count, step):
        rows = slice(start, start + step)
        # Row blocks are views whatever the memory format; a flattened weight may be a copy.
        total = base[rows].to(torch.float32, copy=True, memory_format=torch.contiguous_format)
        if dense is not None:
            total += dense[rows]
        if factors is not None:
            up, down = factors
            total.flatten(1).addmm_(up[rows], down)
        live[rows].copy_(total)


def _join(terms: Sequence[Term], live: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """All low-rank terms as one product: up [out, sum of r] with the strengths in it, and down."""
    like = torch.empty(0, dtype=torch.float32, device=live.device)
    ups, downs = [], []
    for term in terms:
        adapter = term.adapter
        assert isinstance(adapter, LowRank)
        ups.append(wide(adapter.up, like) * (adapter.scale * term.strength))
        downs.append(wide(adapter.down, like))
    return torch.cat(ups, dim=1), torch.cat(downs)


def _sum_deltas(terms: Sequence[Term], base: torch.Tensor) -> torch.Tensor:
    wide_base = base.to(torch.float32)
    total = torch.zeros_like(wide_base)
    for term in terms:
        total += term.adapter.delta(wide_base, term.strength)
    return total
