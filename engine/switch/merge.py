"""live = round(W0 + sum of strength * delta): summed in float32, rounded once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch

from engine.lora.families import LowRank
from engine.lora.families.adapter import wide
from engine.switch.grouped import GroupedMerge
from engine.switch.plan import Term
from engine.switch.precision import exact_products

BLOCK_ELEMENTS = 1 << 19
"""Elements of a weight merged at a time on a CPU: float32 blocks of 2 MiB stay in its caches."""


Factors = tuple[torch.Tensor, torch.Tensor]
"""A product's `up` [out, r] and `down` [r, in], float32."""

MARGIN = 64
"""A change this much smaller than the largest number of a dtype cannot make a weight infinite."""


@dataclass(frozen=True)
class Merge:
    """One weight to be written: `live` from `base` (W0) and the terms of a stack.

    `base` may be `live` itself where that holds W0.
    """

    live: torch.Tensor
    base: torch.Tensor
    terms: Sequence[Term]


class Done(NamedTuple):
    """What was merged before: whether it is finite, in tensors that need not be computed yet."""

    finite: Sequence[torch.Tensor] = ()
    dtypes: Collection[torch.dtype] = ()


def merge(merges: Iterable[Merge], done: Done = Done()) -> None:  # noqa: B008 - never changed
    """Write merged weights, each computed from its base alone.

    Raises `OverflowError` when a merged value, also of what is `done`, is beyond the range of its
    weight's dtype; what is live then is not to be used. On a GPU nothing is waited for but that
    answer.
    """
    grouped = GroupedMerge()
    flags, dtypes = list(done.finite), set(done.dtypes)
    with exact_products():
        for each in merges:
            dtypes.add(each.live.dtype)
            if not grouped.take(each):
                flag = merge_weight(each.live, each.base, each.terms)
                flags += [] if flag is None else [flag]
            elif grouped.is_full:
                flags += grouped.run()
        flags += grouped.run()
    by_device: dict[torch.device, list[torch.Tensor]] = {}
    for finite in flags:
        by_device.setdefault(finite.device, []).append(finite)
    if not all(torch.stack(doubtful).all() for doubtful in by_device.values()):
        narrowest = min(dtypes, key=lambda dtype: torch.finfo(dtype).max)
        raise OverflowError(
            f"merged values are beyond the range of {str(narrowest).removeprefix('torch.')}; use "
            "a lower strength, or a model in bfloat16"
        )


def merge_weight(
    live: torch.Tensor, base: torch.Tensor, terms: Sequence[Term]
) -> torch.Tensor | None:
    """Write one merged weight into `live`, computed from `base`, which may be on another device.

    All low-rank terms become one product by joining their ranks. Row blocks are converted, changed
    and rounded one after another, so a weight is read and written once. Returns whether all values
    are finite, as a tensor that need not be computed yet; None where they cannot be otherwise.
    """
    base = base.to(live.device, non_blocking=True)
    low = [term for term in terms if isinstance(term.adapter, LowRank)]
    rest = [term for term in terms if not isinstance(term.adapter, LowRank)]
    factors = _join(low, live) if low else None
    dense = _sum_deltas(rest, base) if rest else None

    count = live.shape[0]
    on_cpu = live.device.type == "cpu"
    step = max(1, BLOCK_ELEMENTS // live[0].numel()) if on_cpu else count
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
    # A bound spares the CPU another reading of the weight; on a GPU it would have to be waited for.
    if on_cpu and _bound(low, dense) < torch.finfo(live.dtype).max / MARGIN:
        return None
    return live.isfinite().all()


def _bound(low: Sequence[Term], dense: torch.Tensor | None) -> float:
    """What no entry of the change is larger than, at little cost; not finite if it may be so."""
    bound = 0.0 if dense is None else float(dense.abs().amax())
    for term in low:
        assert isinstance(term.adapter, LowRank)
        bound += abs(term.strength) * term.adapter.bound
    return bound


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
