"""The GPU's merge: weights of one shape in one launch, read once and written once (Triton).

Imported only where Triton is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import triton
import triton.language as tl

TILE = {"BLOCK_ROWS": 128, "BLOCK_COLUMNS": 128, "BLOCK_RANK": 32}
_TYPES = {torch.float16: tl.float16, torch.bfloat16: tl.bfloat16, torch.float32: tl.float32}


@dataclass(frozen=True)
class Product:
    """scale * up @ down; `up` [rows, r] and `down` [r, columns] without gaps, of one dtype."""

    up: torch.Tensor
    down: torch.Tensor
    scale: float


def merge_alike(
    lives: Sequence[torch.Tensor],
    bases: Sequence[torch.Tensor],
    products: Sequence[Sequence[Product]],
) -> torch.Tensor:
    """Write base + the sum of its products, rounded once, into each live weight.

    All weights have one dtype and one shape when flattened to [rows, columns], without gaps; all
    have as many products, of factors of one dtype. A base may be its live weight itself. Returns
    whether all that was written is finite, as a tensor that need not be computed yet.
    """
    first = lives[0]
    rows, columns = first.shape[0], first[0].numel()
    factor = products[0][0].up.dtype
    addresses = [
        [live.data_ptr(), base.data_ptr()]
        + [p.up.data_ptr() for p in each]
        + [p.down.data_ptr() for p in each]
        for live, base, each in zip(lives, bases, products, strict=True)
    ]
    ranks = [[p.up.shape[1] for p in each] for each in products]
    aligned = all(a % 16 == 0 for row in addresses for a in row) and all(
        side * factor.itemsize % 16 == 0 for each in ranks for side in (*each, columns)
    )
    finite = torch.ones((), dtype=torch.int32, device=first.device)
    tiles = triton.cdiv(rows, TILE["BLOCK_ROWS"]) * triton.cdiv(columns, TILE["BLOCK_COLUMNS"])
    merge_kernel[(tiles, len(lives))](
        _table(addresses, torch.int64, first.device),
        _table(ranks, torch.int32, first.device),
        _table([[p.scale for p in each] for each in products], torch.float32, first.device),
        finite,
        rows,
        columns,
        WEIGHT=_TYPES[first.dtype],
        FACTOR=_TYPES[factor],
        TERMS=len(products[0]),
        ALIGNED=aligned,
        **TILE,
        num_warps=8,
    )
    return finite.bool()


def _table(
    values: Sequence[Sequence[float]], dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """Small numbers for a kernel, sent without waiting for the GPU."""
    on_gpu = device.type == "cuda"
    return torch.tensor(values, dtype=dtype, pin_memory=on_gpu).to(device, non_blocking=True)


@triton.jit  # type: ignore[untyped-decorator]
def merge_kernel(  # type: ignore[no-untyped-def]
    addresses,
    ranks,
    scales,
    finite,
    rows,
    columns,
    WEIGHT: tl.constexpr,  # noqa: N803
    FACTOR: tl.constexpr,  # noqa: N803
    TERMS: tl.constexpr,  # noqa: N803
    ALIGNED: tl.constexpr,  # noqa: N803
    BLOCK_ROWS: tl.constexpr,  # noqa: N803
    BLOCK_COLUMNS: tl.constexpr,  # noqa: N803
    BLOCK_RANK: tl.constexpr,  # noqa: N803
):
    """One tile of one weight: program (tile, weight)."""
    tiles = tl.cdiv(columns, BLOCK_COLUMNS)
    row = tl.program_id(0) // tiles * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    column = tl.program_id(0) % tiles * BLOCK_COLUMNS + tl.arange(0, BLOCK_COLUMNS)
    weight = tl.program_id(1)
    here = addresses + weight * (2 + 2 * TERMS)
    total = tl.zeros((BLOCK_ROWS, BLOCK_COLUMNS), dtype=tl.float32)
    for term in tl.static_range(TERMS):
        rank = tl.load(ranks + weight * TERMS + term)
        up = tl.load(here + 2 + term).to(tl.pointer_type(FACTOR))
        down = tl.load(here + 2 + TERMS + term).to(tl.pointer_type(FACTOR))
        if ALIGNED:
            rank = tl.multiple_of(rank, 16 // (FACTOR.primitive_bitwidth // 8))
            up = tl.multiple_of(up, 16)
            down = tl.multiple_of(down, 16)
        product = tl.zeros((BLOCK_ROWS, BLOCK_COLUMNS), dtype=tl.float32)
        for start in range(0, rank, BLOCK_RANK):
            k = start + tl.arange(0, BLOCK_RANK)
            a = tl.load(
                up + row[:, None] * rank + k[None, :],
                mask=(row[:, None] < rows) & (k[None, :] < rank),
                other=0.0,
            )
            b = tl.load(
                down + k[:, None] * columns + column[None, :],
                mask=(k[:, None] < rank) & (column[None, :] < columns),
                other=0.0,
            )
            # Factors of half precision multiply exactly into float32; float32 ones keep all bits.
            product = tl.dot(a, b, product, input_precision="ieee")
        total += product * tl.load(scales + weight * TERMS + term)
    inside = (row[:, None] < rows) & (column[None, :] < columns)
    place = row[:, None] * columns + column[None, :]
    live = tl.load(here).to(tl.pointer_type(WEIGHT))
    base = tl.load(here + 1).to(tl.pointer_type(WEIGHT))
    if ALIGNED:
        live = tl.multiple_of(live, 16)
        base = tl.multiple_of(base, 16)
    merged = tl.load(base + place, mask=inside, other=0.0).to(tl.float32) + total
    rounded = merged.to(WEIGHT)
    tl.store(live + place, rounded, mask=inside)
    # x - x is 0 for finite numbers alone.
    wide = rounded.to(tl.float32)
    strange = tl.where(inside & ((wide - wide) != 0.0), 1, 0)
    if tl.max(tl.max(strange, 1), 0) > 0:
        tl.store(finite, 0)
