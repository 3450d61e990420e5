"""Float32 products that keep float32, whatever the program has chosen for its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

_lock = threading.Lock()
_inside = 0


def _nothing() -> None:
    """What there is to undo when nothing was changed."""


_undo: Callable[[], None] = _nothing


@contextmanager
def exact_products() -> Iterator[None]:
    """Keep float32 products in float32 (no TF32, no bfloat16), whatever the program has set.

    The setting is one for the process, so threads share it: the first to come in changes it, and
    the last to leave brings the program's own back.
    """
    global _inside, _undo
    with _lock:
        if not _inside:
            _undo = _set_exact()
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                _undo()


def _set_exact() -> Callable[[], None]:
    """Set it, and give what brings the former setting back."""
    try:
        before = torch.get_float32_matmul_precision()
    except RuntimeError:
        # The program uses the newer switches, by which the older one cannot be read.
        cuda, cpu = torch.backends.cuda.matmul, torch.backends.mkldnn.matmul  # type: ignore[attr-defined]
        settings = cuda.fp32_precision, cpu.fp32_precision
        cuda.fp32_precision = cpu.fp32_precision = "ieee"

        def undo() -> None:
            cuda.fp32_precision, cpu.fp32_precision = settings

        return undo
    torch.set_float32_matmul_precision("highest")
    return lambda: torch.set_float32_matmul_precision(before)
