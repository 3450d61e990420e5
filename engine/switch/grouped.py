"""Merges on a GPU collected by shape, so that SDXL's hundreds of layers take a few launches."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING

import torch

from engine.lora.families import LowRank

if TYPE_CHECKING:
    from engine.switch.kernel import Launch
    from engine.switch.merge import Merge

_WEIGHTS = (torch.float16, torch.bfloat16, torch.float32)


@cache
def has_triton() -> bool:
    """Whether kernels can be built: Triton is installed, and a C compiler for its launchers."""
    if importlib.util.find_spec("triton") is None:
        return False
    return "CC" in os.environ or any(shutil.which(name) for name in ("gcc", "clang"))


def kernels_run_on(device: torch.device) -> bool:
    """Whether weights on this device are merged by kernels of our own."""
    return device.type == "cuda" and has_triton()


class GroupedMerge:
    """Takes what one kernel can merge, and merges all of it by one launch for each shape."""

    def __init__(self) -> None:
        self._launches: dict[object, Launch] = {}

    def take(self, merge: Merge) -> bool:
        """Keep a merge for `run`; False where it is to be done otherwise."""
        live, base = merge.live, merge.base
        if not kernels_run_on(live.device) or live.dtype not in _WEIGHTS or live.dim() < 2:
            return False
        adapters = [a for a, _, _ in merge.terms if isinstance(a, LowRank)]
        whole = live.is_contiguous() and base.is_contiguous()
        if len(adapters) < len(merge.terms) or not whole:
            return False
        factors = [adapter.factors for adapter in adapters]
        dtype = factors[0].up.dtype
        if any(f.up.dtype != dtype for f in factors):
            return False
        key = live.dtype, live.shape, dtype, len(factors)
        if key not in self._launches:
            self._launches[key] = _launch_for(live, dtype, len(factors))
        scales = [
            a.scale * strength for a, (_, strength, _) in zip(adapters, merge.terms, strict=True)
        ]
        self._launches[key].add(live, base, factors, scales)
        return True

    def run(self) -> Iterator[torch.Tensor]:
        """Launch everything; gives for each launch whether all its values are finite."""
        for launch in self._launches.values():
            yield launch.run()
        self._launches.clear()


def _launch_for(weight: torch.Tensor, factors: torch.dtype, terms: int) -> Launch:
    # Where no kernel runs, Triton need not be there.
    from engine.switch.kernel import Launch

    return Launch(weight, factors, terms)
