"""Each weight must have memory of its own: what is written to one would change another."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import pairwise

import torch

from engine.errors import SwitchError


def require_own_memory(weights: Iterable[tuple[str, torch.Tensor]]) -> None:
    """Raise `SwitchError` for weights that overlap, or of which several values are one in memory.

    One parameter in several modules is no such case: it is one weight, and given once.
    """
    spans: dict[torch.device, list[tuple[int, int, str]]] = {}
    for name, weight in weights:
        if weight.is_meta or not weight.numel():
            continue
        sides = list(zip(weight.shape, weight.stride(), strict=True))
        if any(size > 1 and not stride for size, stride in sides):
            raise SwitchError(
                f"Several values of {name} are one in memory (an expanded tensor), so that no LoRA "
                "can be merged into it; give the module a copy of it first (clone)."
            )
        start = weight.data_ptr()
        reach = 1 + sum((size - 1) * stride for size, stride in sides)
        end = start + reach * weight.itemsize
        spans.setdefault(weight.device, []).append((start, end, name))
    for found in spans.values():
        for (_, end, name), (start, _, other) in pairwise(sorted(found)):
            if start < end:
                raise SwitchError(
                    f"{name} and {other} are the same memory, so that a LoRA for one would change "
                    "the other; give one of the modules a copy of it first (clone)."
                )
