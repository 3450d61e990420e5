"""Timing work that a GPU may still be doing when the call returns."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence

import torch


def finish(device: torch.device) -> None:
    """Wait until a device has done all it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


def seconds_of(action: Callable[[], object], device: torch.device) -> float:
    """Seconds from an idle device to an idle device."""
    finish(device)
    start = time.perf_counter()
    action()
    finish(device)
    return time.perf_counter() - start


def median(seconds: Sequence[float]) -> float:
    """The middle one, in the unit given."""
    return statistics.median(seconds)
