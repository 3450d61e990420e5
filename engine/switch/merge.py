"""live = round(W0 + sum of strength * delta): summed in float32, rounded once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

from engine.errors import SwitchError
from engine.lora.families import LowRank
from engine.lora.families.adapter import wide
from engine.switch.plan import Term

BLOCK_ELEMENTS = 1 << 19
"""Elements of a weight merged at a time on a CPU: float32 blocks of 2 MiB stay in its caches."""


Factors = tuple[torch.Tensor, torch.Tensor]
"""A product's `up` [out, r] and `down` [r, in], float32."""

LARGE_CHANGE = 1000.0
"""A change of a float16 weight from which on the result is checked to be finite."""


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
    read and written once. Raises `SwitchError` when a merged value is beyond the range of the
    weight's dtype; what is in `live` then is not to be used.
    """
    base = base.to(live.device, non_blocking=True)
    low = [term for term in terms if isinstance(term.adapter, LowRank)]
    rest = [term for term in terms if not isinstance(term.adapter, LowRank)]
    factors = _join(low, live) if low else None
    dense = _sum_deltas(rest, base) if rest else None

    count = live.shape[0]
    step = max(1, BLOCK_ELEMENTS // live[0].numel()) if live.device.type == "cpu" else count
    # One block for all rows: fresh memory for each would cost page faults.
    shape = (min(step, count), *live.shape[1:])
    block = torch.empty(shape, dtype=torch.float32, device=live.device)
    for start in range(0, count, step):
        rows = slice(start, start + step)
        # Row blocks are views whatever the memory format; a flattened weight may be a copy.
        total = block[: count - start].copy_(base[rows])
        if dense is not None:
            total += dense[rows]
        if factors is not None:
            up, down = factors
            total.flatten(1).addmm_(up[rows], down)
        live[rows].copy_(total)
    if _may_overflow(live.dtype, factors, dense) and not bool(live.isfinite().all()):
        raise SwitchError(
            f"merged values are beyond the range of {str(live.dtype).removeprefix('torch.')}; use "
            "a lower strength, or load the model as bfloat16"
        )


def _may_overflow(
    dtype: torch.dtype,
    factors: tuple[torch.Tensor, torch.Tensor] | None,
    dense: torch.Tensor | None,
) -> bool:
    """Whether a change may be so large that float16 cannot hold it, by bounds that cost little.

    No entry of `up @ down` is larger than the longest row of `up` times the longest column of
    `down` (Cauchy-Schwarz), so the product itself need not be looked at.
    """
    if dtype != torch.float16:
        return False
    bound = 0.0 if dense is None else float(dense.abs().amax())
    if factors is not None:
        up, down = factors
        bound += float(up.square().sum(1).amax().sqrt() * down.square().sum(0).amax().sqrt())
    return not bound < LARGE_CHANGE


def _join(terms: Sequence[Term], live: torch.Tensor) -> Factors:
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
