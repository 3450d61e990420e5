"""PyTorch in the merge kernel's place: it follows the same addresses, and is quick on a CPU.

Whether the kernel itself is right it does not show.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import pytest
import torch

from engine.switch import grouped, loras

TORCH_TYPES = {"fp16": torch.float16, "bf16": torch.bfloat16, "fp32": torch.float32}


class KernelStandIn:
    """Called as Triton's kernels are; counts the weights of its launches."""

    def __init__(self) -> None:
        self.launches: list[int] = []

    def __getitem__(self, grid: tuple[int, int]) -> Callable[..., None]:
        def run(*tables: Any, WEIGHT: Any, FACTOR: Any, **flags: object) -> None:  # noqa: N803
            self.launches.append(grid[1])
            weights, factors, ranks, scales, finite, rows, columns, terms = tables
            weight_type, type_of_factors = (TORCH_TYPES[kind.name] for kind in (WEIGHT, FACTOR))
            pairs = factors.view(-1, terms, 2).tolist()
            of_terms = ranks.view(-1, terms).tolist(), scales.view(-1, terms).tolist()
            for (live, base, copy), places, *numbers in zip(
                weights.view(-1, 3).tolist(), pairs, *of_terms, strict=True
            ):
                read = at(base, (rows, columns), weight_type)
                if copy:
                    at(copy, (rows, columns), weight_type).copy_(read)
                total = read.float()
                for (up, down), rank, scale in zip(places, *numbers, strict=True):
                    left = at(up, (rows, rank), type_of_factors).float()
                    right = at(down, (rank, columns), type_of_factors).float()
                    total += scale * (left @ right)
                written = at(live, (rows, columns), weight_type).copy_(total)
                if not written.isfinite().all():
                    finite.zero_()

        return run


def take_cpu_for_gpu(patch: pytest.MonkeyPatch, stand_in: KernelStandIn) -> None:
    """Let the CPU be taken for a GPU with room for every LoRA; skips where Triton is missing."""
    kernel = pytest.importorskip("engine.switch.kernel", reason="needs Triton")
    patch.setattr(kernel, "merge_kernel", stand_in)
    patch.setattr(loras, "is_gpu", lambda device: True)
    patch.setattr(loras, "lora_bytes", lambda device: 1 << 30)
    patch.setattr(grouped, "kernels_run_on", lambda device: True)


def at(address: int, shape: tuple[int, int], dtype: torch.dtype) -> torch.Tensor:
    """The tensor that lies at an address of main memory."""
    size = shape[0] * shape[1] * dtype.itemsize
    return torch.frombuffer((ctypes.c_char * size).from_address(address), dtype=dtype).view(shape)
