"""The GPU's merge: weights of one shape in one launch, read once and written once (Triton).

Imported only where Triton is installed.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import NamedTuple

import torch
import triton
import triton.language as tl

from engine.lora.families.lora import Factors
from engine.switch.tiles import Tile, tile_for

_TYPES = {torch.float16: tl.float16, torch.bfloat16: tl.bfloat16, torch.float32: tl.float32}
_WIDE = 16
"""Bytes that a GPU reads or writes at once, where they begin on a multiple of as many."""


class Tables(NamedTuple):
    """Of all weights and their terms: addresses of `up` and `down`, ranks, and scales."""

    addresses: torch.Tensor
    ranks: torch.Tensor
    scales: torch.Tensor


class Launch:
    """Merges of weights of one dtype and shape, each with as many products of one dtype.

    live = base + the sum of scale * up @ down, rounded once. Weights, flattened to
    [rows, columns], and factors (`up` [rows, r], `down` [r, columns]) have no gaps. What is known
    of the factors is sent to the GPU once, and merges any number of times.
    """

    def __init__(
        self,
        dtype: torch.dtype,
        shape: torch.Size,
        factors: torch.dtype,
        terms: int,
        tile: Tile | None = None,
    ) -> None:
        self._dtype = dtype
        self._rows, self._columns = shape[0], shape[1:].numel()
        self._type, self._terms = factors, terms
        self._tile = tile
        self._addresses: list[int] = []
        self._ranks: list[int] = []
        self._scales: list[float] = []
        # What all places within factors are multiples of, in its low bits.
        self._places = self._columns * factors.itemsize
        # Only addresses go to the kernel; nothing they lead to may end before it.
        self._kept: list[object] = []
        self._tables: Tables | None = None

    def __len__(self) -> int:
        return len(self._kept)

    def add(self, factors: Sequence[Factors], scales: Sequence[float]) -> None:
        """Take the factors of one weight's terms, and their scales."""
        for each in factors:
            self._addresses += each.up_address, each.down_address
            self._places |= each.up_address | each.down_address
            self._places |= each.rank * self._type.itemsize
        self._ranks += (each.rank for each in factors)
        self._scales += scales
        self._kept.append(factors)

    def send(self, device: torch.device) -> Tables:
        """Send what is known of the factors ahead of `run`; what was sent is not sent again."""
        if self._tables is None:
            self._tables = Tables(
                _table(self._addresses, torch.int64, device),
                _table(self._ranks, torch.int32, device),
                _table(self._scales, torch.float32, device),
            )
        return self._tables

    def run(self, weights: torch.Tensor, places: int, finite: torch.Tensor) -> None:
        """Write all live weights.

        `weights` [n, 3] (int64, on the GPU) has the addresses of every live weight, its base, which
        may be the live weight itself, and a copy of the base that is written on the way, or 0, in
        the order of `add`; `places` is all of them joined by "or". `finite` (int32) becomes 0 where
        something is written that is not.
        """
        device = weights.device
        tables = self.send(device)
        tile = self._tile or tile_for(device, self._dtype, self._type)
        tiles = triton.cdiv(self._rows, tile.rows) * triton.cdiv(self._columns, tile.columns)
        places |= self._columns * self._dtype.itemsize
        with _current(device):
            merge_kernel[(tiles, len(self))](
                weights,
                *tables,
                finite,
                self._rows,
                self._columns,
                self._terms,
                WEIGHT=_TYPES[self._dtype],
                FACTOR=_TYPES[self._type],
                # Everything begins on multiples of 16 bytes, rows too: read as many at once.
                WIDE_WEIGHTS=places % _WIDE == 0,
                WIDE_FACTORS=self._places % _WIDE == 0,
                BLOCK_ROWS=tile.rows,
                BLOCK_COLUMNS=tile.columns,
                BLOCK_RANK=tile.rank,
                num_warps=tile.warps,
            )


def _current(device: torch.device) -> AbstractContextManager[object]:
    """Triton launches on the current device, wherever the tensors are."""
    return torch.cuda.device(device) if device.type == "cuda" else nullcontext()


def _table(values: Sequence[float], dtype: torch.dtype, device: torch.device) -> torch.Tensor:
    """Small numbers for a kernel, sent without waiting for the GPU."""
    on_gpu = device.type == "cuda"
    return torch.tensor(values, dtype=dtype, pin_memory=on_gpu).to(device, non_blocking=True)


# One for stacks of any size: compiling takes a second or two.
@triton.jit(do_not_specialize=["terms"])  # type: ignore[untyped-decorator]
def merge_kernel(  # type: ignore[no-untyped-def]
    weights,
    factors,
    ranks,
    scales,
    finite,
    rows,
    columns,
    terms,
    WEIGHT: tl.constexpr,  # noqa: N803
    FACTOR: tl.constexpr,  # noqa: N803
    WIDE_WEIGHTS: tl.constexpr,  # noqa: N803
    WIDE_FACTORS: tl.constexpr,  # noqa: N803
    BLOCK_ROWS: tl.constexpr,  # noqa: N803
    BLOCK_COLUMNS: tl.constexpr,  # noqa: N803
    BLOCK_RANK: tl.constexpr,  # noqa: N803
):
    """One tile of one weight: program (tile, weight)."""
    tiles = tl.cdiv(columns, BLOCK_COLUMNS)
    row = tl.program_id(0) // tiles * BLOCK_ROWS + tl.arange(0, BLOCK_ROWS)
    column = tl.program_id(0) % tiles * BLOCK_COLUMNS + tl.arange(0, BLOCK_COLUMNS)
    weight = tl.program_id(1)
    total = tl.zeros((BLOCK_ROWS, BLOCK_COLUMNS), dtype=tl.float32)
    for term in range(terms):
        here = weight * terms + term
        rank = tl.load(ranks + here)
        up = tl.load(factors + 2 * here).to(tl.pointer_type(FACTOR))
        down = tl.load(factors + 2 * here + 1).to(tl.pointer_type(FACTOR))
        if WIDE_FACTORS:
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
        total += product * tl.load(scales + here)
    inside = (row[:, None] < rows) & (column[None, :] < columns)
    place = row[:, None] * columns + column[None, :]
    live = tl.load(weights + 3 * weight).to(tl.pointer_type(WEIGHT))
    base = tl.load(weights + 3 * weight + 1).to(tl.pointer_type(WEIGHT))
    copy = tl.load(weights + 3 * weight + 2)
    if WIDE_WEIGHTS:
        live = tl.multiple_of(live, 16)
        base = tl.multiple_of(base, 16)
        copy = tl.multiple_of(copy, 16)
    read = tl.load(base + place, mask=inside, other=0.0)
    if copy != 0:
        tl.store(copy.to(tl.pointer_type(WEIGHT)) + place, read, mask=inside)
    rounded = (read.to(tl.float32) + total).to(WEIGHT)
    tl.store(live + place, rounded, mask=inside)
    # x - x is 0 for finite numbers alone.
    wide = rounded.to(tl.float32)
    strange = tl.where(inside & ((wide - wide) != 0.0), 1, 0)
    if tl.max(tl.max(strange, 1), 0) > 0:
        tl.store(finite, 0)
