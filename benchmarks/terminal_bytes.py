"""Bytes a second that the app sends to a terminal of 120 x 36, idle and while drawing."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.terminal import Terminal, remember_long_drawing, start_drawing, started

IDLE_SECONDS = 30.0
DRAWING_SECONDS = 15.0
SETTLING_SECONDS = 3.0


def measure(*, quick: bool) -> dict[str, Any]:
    """Without pictures, and with previews in half cells."""
    modes = ("halfcell",) if quick else ("off", "halfcell")
    return {mode: rates(mode, quick=quick) for mode in modes}


def rates(images: str, *, quick: bool) -> dict[str, float]:
    """Bytes a second with the demo loaded, then while it draws."""
    idle, drawing, settling = (
        (1.0, 1.0, 0.5) if quick else (IDLE_SECONDS, DRAWING_SECONDS, SETTLING_SECONDS)
    )
    with tempfile.TemporaryDirectory() as home:
        remember_long_drawing(Path(home))
        with started(Path(home), "--demo", "--images", images) as terminal:
            terminal.seconds_until("loaded ")
            at_rest = rate(terminal, settling, idle)
            start_drawing(terminal)
            at_work = rate(terminal, settling, drawing)
    return {"idle_bytes_per_s": at_rest, "drawing_bytes_per_s": at_work}


def rate(terminal: Terminal, settling: float, seconds: float) -> float:
    """Bytes a second after some time that does not count."""
    terminal.bytes_within(settling)
    return round(terminal.bytes_within(seconds) / seconds, 1)
