"""Merges on a GPU collected by shape, so that SDXL's hundreds of layers take a few launches."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections import defaultdict
from collections.abc import Hashable, Iterator
from functools import cache
from typing import TYPE_CHECKING

import torch

from engine.lora.families import LowRank

if TYPE_CHECKING:
    from engine.switch.kernel import Product
    from engine.switch.merge import Merge

WEIGHTS = (torch.float16, torch.bfloat16, torch.float32)
_FACTORS = {
    torch.float16: torch.float16,
    torch.bfloat16: torch.bfloat16,
    torch.float8_e4m3fn: torch.float16,
    torch.float8_e5m2: torch.float16,
}
"""What factors are multiplied as without losing a bit; all others in float32."""


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
        self._groups: defaultdict[Hashable, list[tuple[Merge, list[Product]]]] = defaultdict(list)

    def take(self, merge: Merge) -> bool:
        """Keep a merge for `run`; False where it is to be done otherwise."""
        live = merge.live
        fits = (
            kernels_run_on(live.device)
            and live.dtype in WEIGHTS
            and live.dim() > 1
            and live.is_contiguous()
            and merge.base.is_contiguous()
            and all(isinstance(term.adapter, LowRank) for term in merge.terms)
        )
        if fits:
            products = _products(merge)
            columns = live.shape[1:].numel()
            factor = products[0].up.dtype
            key = live.dtype, live.shape[0], columns, len(products), factor
            self._groups[key].append((merge, products))
        return fits

    def run(self) -> Iterator[torch.Tensor]:
        """Launch everything; gives for each launch whether all its values are finite."""
        for group in self._groups.values():
            from engine.switch.kernel import merge_alike

            merges, products = zip(*group, strict=True)
            yield merge_alike([m.live for m in merges], [m.base for m in merges], products)
        self._groups.clear()


def _products(merge: Merge) -> list[Product]:
    """The terms as products whose factors have one dtype that the kernel knows."""
    from engine.switch.kernel import Product

    adapters = [term.adapter for term in merge.terms]
    factors = [f for a in adapters if isinstance(a, LowRank) for f in (a.up, a.down)]
    dtypes = {_FACTORS.get(factor.dtype, torch.float32) for factor in factors}
    dtype = dtypes.pop() if len(dtypes) == 1 else torch.float32
    return [
        Product(
            term.adapter.up.to(dtype).contiguous(),
            term.adapter.down.to(dtype).contiguous(),
            term.adapter.scale * term.strength,
        )
        for term in merge.terms
        if isinstance(term.adapter, LowRank)
    ]
