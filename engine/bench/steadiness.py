"""How steady the machine is: one and the same copy, timed again and again during a measurement."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from engine.bench.clock import median, seconds_of

_MOST_BYTES = 256 << 20
_LEAST_BYTES = 16 << 20


class Steadiness:
    """Times a copy of fixed memory, of at most the bytes that a switch touches.

    The copy takes the way that base weights take: over the bus, from pinned memory, where their
    backup is not on the GPU.
    """

    def __init__(self, touched: int, device: torch.device, *, over_the_bus: bool) -> None:
        size = min(max(touched, _LEAST_BYTES), _MOST_BYTES)
        self._device = device
        self._live = torch.ones(size, dtype=torch.uint8, device=device)
        self._saved = (
            torch.ones(size, dtype=torch.uint8, pin_memory=True)
            if over_the_bus
            else self._live.clone()
        )

    def sample(self) -> float:
        """Seconds of the copy, now."""
        return seconds_of(lambda: self._live.copy_(self._saved, non_blocking=True), self._device)


def spread(seconds: Sequence[float]) -> float:
    """Half the range of some times, as a part of the middle one."""
    return (max(seconds) - min(seconds)) / 2 / median(seconds)
