"""The GPU's merge: weights of one shape in one launch, read once and written once (Triton).

Imported only where Triton is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import triton
import triton.language as tl

from engine.lora.families.lora import Factors

TILE = {"BLOCK_ROWS": 128, "BLOCK_COLUMNS": 128, "BLOCK_RANK": 32}
_TYPES = {torch.float16: tl.float16, torch.bfloat16: tl.bfloat16, torch.float32: tl.float32}


class Launch:
    """Merges of weights of one dtype and shape, each with as many products of one dtype.

    live = base + the sum of scale * up @ down, rounded once. Weights, flattened to
    [rows, columns], and factors (`up` [rows, r], `down` [r, columns]) have no gaps. A base may be
    its live weight itself.
    """

    def __init__(self, weight: torch.Tensor, factors: torch.dtype, terms: int) -> None:
        self._device, self._dtype = weight.device, weight.dtype
        self._rows, self._columns = weight.shape[0], weight.shape[1:].numel()
        self._factors, self._terms = factors, terms
        self._addresses: list[list[int]] = []
        self._ranks: list[list[int]] = []
        self._scales: list[list[float]] = []
        self._offsets = self._columns * factors.itemsize
        # Only addresses go to the kernel; nothing they lead to may end before it.
        self._kept: list[object] = []

    def add(
        self,
        live: torch.Tensor,
        base: torch.Tensor,
        factors: Sequence[Factors],
        scales: list[float],
    ) -> None:
        """Take one weight with the factors of its terms and their scales."""
        ups = [f.up_address for f in factors]
        downs = [f.down_address for f in factors]
        addresses = [live.data_ptr(), base.data_ptr(), *ups, *downs]
        for number in addresses:
            self._offsets |= number
        ranks = [f.rank for f in factors]
        for rank in ranks:
            self._offsets |= rank * self._factors.itemsize
        self._addresses.append(addresses)
        self._ranks.append(ranks)
        self._scales.append(scales)
        self._kept.append((live, base, factors))

    def run(self) -> torch.Tensor:
        """Write all live weights.

        Returns whether all that was written is finite, as a tensor that need not be computed yet.
        """
        finite = torch.ones((), dtype=torch.int32, device=self._device)
        tiles = triton.cdiv(self._rows, TILE["BLOCK_ROWS"])
        tiles *= triton.cdiv(self._columns, TILE["BLOCK_COLUMNS"])
        with _current(self._device):
            merge_kernel[(tiles, len(self._addresses))](
                _table(self._addresses, torch.int64, self._device),
                _table(self._ranks, torch.int32, self._device),
                _table(self._scales, torch.float32, self._device),
                finite,
                self._rows,
                self._columns,
                self._terms,
                WEIGHT=_TYPES[self._dtype],
                FACTOR=_TYPES[self._factors],
                # Everything begins on multiples of 16 bytes, rows too: read as many at once.
                ALIGNED=self._offsets % 16 == 0,
                **TILE,
                num_warps=8,
            )
        return finite.bool()


def _current(device: torch.device) -> AbstractContextManager[object]:
    """Triton launches on the current device, wherever the tensors are."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _table(
    values: Sequence[Sequence[float]], dtype: torch.dtype, device: torch.device
) -> torch.Tensor:
    """Small numbers for a kernel, sent without waiting for the GPU."""
    on_gpu = device.type == "cuda"
    return torch.tensor(values, dtype=dtype, pin_memory=on_gpu).to(device, non_blocking=True)


# One for stacks of any size: compiling takes a second or two.
@triton.jit(do_not_specialize=["terms"])  # type: ignore[untyped-decorator]
def merge_kernel(  # type: ignore[no-untyped-def]
    addresses,
    ranks,
    scales,
    finite,
    rows,
    columns,
    terms,
    WEIGHT: tl.constexpr,  # noqa: N803
    FACTOR: tl.constexpr,  # noqa: N803
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
    here = addresses + weight * (2 + 2 * terms)
    total = tl.zeros((BLOCK_ROWS, BLOCK_COLUMNS), dtype=tl.float32)
    for term in range(terms):
        rank = tl.load(ranks + weight * terms + term)
        up = tl.load(here + 2 + term).to(tl.pointer_type(FACTOR))
        down = tl.load(here + 2 + terms + term).to(tl.pointer_type(FACTOR))
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
        total += product * tl.load(scales + weight * terms + term)
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
