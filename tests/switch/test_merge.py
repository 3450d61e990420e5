"""A merge reads and writes each weight once, whatever the stack, and notices what overflows."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from engine.lora.families import LowRank
from engine.switch.merge import Merge, merge, merge_weight
from engine.switch.plan import Term


class Traffic(TorchDispatchMode):
    """Counts the elements that copies read from one storage and write to another."""

    def __init__(self, base: torch.Tensor, live: torch.Tensor) -> None:
        super().__init__()
        self._base = base.untyped_storage().data_ptr()
        self._live = live.untyped_storage().data_ptr()
        self.read = self.written = 0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if "view" in str(func) or "slice" in str(func) or "select" in str(func):
            return result
        storages = [
            (a.untyped_storage().data_ptr(), a.numel()) for a in args if isinstance(a, torch.Tensor)
        ]
        if str(func).startswith("aten.copy_"):
            self.written += storages[0][1] * (storages[0][0] == self._live)
            storages = storages[1:]
        self.read += sum(count for pointer, count in storages if pointer == self._base)
        return result


def term(out: int, inner: int, rank: int, size: float = 1.0) -> Term:
    up, down = torch.randn(out, rank) * size, torch.randn(rank, inner) * size
    return Term(LowRank(up, down, 1.0), 1.0, None)  # type: ignore[arg-type]


@pytest.mark.parametrize("members", [1, 8])
def test_each_weight_is_read_and_written_once(members: int) -> None:
    base = torch.randn(1300, 1024).to(torch.float16)
    live = torch.empty_like(base)
    terms = [term(1300, 1024, 4) for _ in range(members)]
    with Traffic(base, live) as traffic:
        merge_weight(live, base, terms)
    assert (traffic.read, traffic.written) == (base.numel(), base.numel())


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float32], ids=str)
def test_values_that_the_dtype_cannot_hold_are_noticed(dtype: torch.dtype) -> None:
    base = torch.zeros(64, 64, dtype=dtype)
    # Largest entries of about 20 times the square of `size`.
    limit = (torch.finfo(dtype).max / 20) ** 0.5
    with pytest.raises(OverflowError, match="range of"):
        merge([Merge(base.clone(), base, [term(64, 64, 4, size=10 * limit)])])
    merge([Merge(live := base.clone(), base, [term(64, 64, 4, size=limit / 10)])])
    assert live.isfinite().all()
