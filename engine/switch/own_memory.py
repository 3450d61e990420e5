"""Each weight must have memory of its own: what is written to one would change another."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

import torch

from engine.errors import SwitchError


class _Span(NamedTuple):
    """A weight, and the bytes of memory from its first value to its last."""

    start: int
    end: int
    name: str
    weight: torch.Tensor


def require_own_memory(weights: Iterable[tuple[str, torch.Tensor]]) -> None:
    """Raise `SwitchError` for weights that overlap, or of which several values are one in memory.

    One parameter in several modules is no such case: it is one weight, and given once.
    """
    spans: dict[torch.device, list[_Span]] = {}
    for name, weight in weights:
        start = weight.data_ptr()
        if not start:
            # It is on the meta device or empty, or a subclass that keeps its values elsewhere.
            continue
        sides = list(zip(weight.shape, weight.stride(), strict=True))
        if any(size > 1 and not stride for size, stride in sides):
            raise SwitchError(
                f"Several values of {name} are one in memory (an expanded tensor), so that no LoRA "
                "can be merged into it; give the module a copy of it first (clone)."
            )
        reach = 1 + sum((size - 1) * stride for size, stride in sides)
        span = _Span(start, start + reach * weight.itemsize, name, weight)
        spans.setdefault(weight.device, []).append(span)
    for found in spans.values():
        reaching: list[_Span] = []
        for span in sorted(found, key=lambda span: span[:3]):
            reaching = [earlier for earlier in reaching if span.start < earlier.end]
            for earlier in reaching:
                if _overlap(earlier, span):
                    raise SwitchError(
                        f"{earlier.name} and {span.name} are the same memory, so that a LoRA for "
                        "one would change the other; give one of the modules a copy of it first "
                        "(clone)."
                    )
            reaching.append(span)


def _overlap(first: _Span, second: _Span) -> bool:
    """Whether a byte belongs to both; the columns of one matrix may lie between one another's."""
    taken = torch.zeros(max(first.end, second.end) - first.start, dtype=torch.bool)
    _bytes_in(taken, first, first.start).fill_(True)
    return bool(_bytes_in(taken, second, first.start).any())


def _bytes_in(memory: torch.Tensor, span: _Span, start: int) -> torch.Tensor:
    """The bytes of a weight in a picture of the memory from `start` on, one element for each."""
    weight, size = span.weight, span.weight.itemsize
    strides = (*(stride * size for stride in weight.stride()), 1)
    return memory.as_strided((*weight.shape, size), strides, span.start - start)
