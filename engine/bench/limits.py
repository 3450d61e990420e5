"""The floor of a switch, by what this machine does in the same run.

A switch must read the base weights it touches once and write them once, and a merge must multiply
the LoRA's factors in float32. The floor is the time of a bare copy of the touched bytes, from where
the base weights are kept into the live weights, plus the products at the rate of float32 matrix
products of the same shapes. On a CPU copies and products are not taken to overlap. On a GPU they
are: the floor is the larger of one fused copy of all bytes and the products at the rate of a large
one in half precision, since one launch for each of hundreds of weights would measure the launches.
Where a part of the backups lies on the GPU and the rest in pinned memory, both are copied at once:
the copy takes as long as the slower of the two parts.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from engine.bench.clock import median, seconds_of
from engine.bench.work import Product, Work, union_bytes
from engine.protocol.reports import Tier
from engine.switch.precision import exact_products

_CACHED_ELEMENTS = 1 << 19
"""Float32 results of 2 MiB: a CPU's products are taken at the rate they have within its caches."""
_CACHED_COLUMNS = 1280
"""Low and very wide products are slower than they need be."""
_LARGE = 8192
"""Rows and columns of the product that a GPU's rate is measured by."""
_SAMPLES = 5
"""Of each measurement the median counts: one that is disturbed would move the floor."""
_PRODUCT_SECONDS = 0.02
"""For how long a product is repeated for one sample of its rate."""


class Floor:
    """Measures what the machine can do on the weights in question, each thing once.

    The weights are written with their own values, so they do not change.
    """

    def __init__(
        self,
        parts: Mapping[str, nn.Module],
        works: Sequence[Work],
        device: torch.device,
    ) -> None:
        self._parts = parts
        self._names = sorted({name for work in works for name in work.weights})
        self._device = device
        self._copies: dict[bool, float] = {}
        self._products: dict[Product, float] = {}
        self._large: float | None = None
        self.tensors = len(self._names)
        self.bytes = union_bytes(works)

    def seconds(self, tier: Tier, touched: int, merged: Work, on_gpu: float = 1.0) -> float:
        """The floor of a switch that touches some bytes and merges a stack.

        `on_gpu` is the share of the tier `device`'s backups that the GPU had room for.
        """
        copy = self.copy_seconds(tier, on_gpu) * touched / self.bytes
        product = self.product_seconds(merged)
        return max(copy, product) if self._device.type == "cuda" else copy + product

    def copy_seconds(self, tier: Tier, on_gpu: float = 1.0) -> float:
        """A bare copy of all the weights from a tier's memory; the file's is taken as cached."""
        if self._device.type != "cuda":
            return self._copy(over_the_bus=False)
        stays = on_gpu if tier == "device" else 0.0
        shares = {False: stays, True: 1 - stays}
        return max(share * self._copy(bus) for bus, share in shares.items() if share)

    def _copy(self, over_the_bus: bool) -> float:
        if over_the_bus not in self._copies:
            self._copies[over_the_bus] = self._time_copy(over_the_bus)
        return self._copies[over_the_bus]

    def product_seconds(self, work: Work) -> float:
        """All products of a stack: at the rate of their shapes, on a GPU at that of a large one."""
        if self._device.type == "cuda":
            return work.flops / self._rate()
        return sum(
            count * self._product_seconds(product) for product, count in work.products.items()
        )

    def _time_copy(self, over_the_bus: bool) -> float:
        live = [name.find(self._parts) for name in self._names]
        saved = [_pinned(weight) if over_the_bus else weight.clone() for weight in live]

        def copy() -> None:
            torch._foreach_copy_(live, saved, non_blocking=True)

        copy()
        return median([seconds_of(copy, self._device) for _ in range(_SAMPLES)])

    def _rate(self) -> float:
        """Multiplications and additions a second of one large product in half precision."""
        if self._large is None:
            a = torch.ones(_LARGE, _LARGE, dtype=torch.float16, device=self._device)
            a @ a
            times = [seconds_of(lambda: a @ a, self._device) for _ in range(_SAMPLES)]
            self._large = 2 * _LARGE**3 / median(times)
        return self._large

    def _product_seconds(self, product: Product) -> float:
        if product not in self._products:
            self._products[product] = self._time_product(*product)
        return self._products[product]

    def _time_product(self, rows: int, rank: int, columns: int) -> float:
        height, width = rows, columns
        if self._device.type == "cpu":
            width = min(columns, _CACHED_COLUMNS)
            height = min(rows, _CACHED_ELEMENTS // width)
        up = torch.ones(height, rank, device=self._device)
        down = torch.ones(rank, width, device=self._device)
        result = torch.empty(height, width, device=self._device)

        def multiply(times: int) -> None:
            for _ in range(times):
                torch.mm(up, down, out=result)

        with exact_products():
            multiply(1)
            once = seconds_of(lambda: multiply(1), self._device)
            times = max(1, int(_PRODUCT_SECONDS / once))
            seconds = [seconds_of(lambda: multiply(times), self._device) for _ in range(_SAMPLES)]
        return median(seconds) / times * (rows / height) * (columns / width)


def _pinned(weight: torch.Tensor) -> torch.Tensor:
    host = torch.empty(weight.shape, dtype=weight.dtype, pin_memory=True)
    return host.copy_(weight)
