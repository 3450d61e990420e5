"""Bytes that the app sends to a terminal of 120 x 36: for a key, at rest, and while drawing."""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.terminal import (
    Terminal,
    remember_long_drawing,
    start_drawing,
    started,
    write_config,
)

THRIFTY = "halfcell within 64 KiB/s"
BUDGET_KIB = 64
STEPS = "JJJJKKK"
"""From LoRA to LoRA, none of which is seen twice in a row."""
KEY_SECONDS = 1.5
IDLE_SECONDS = 30.0
DRAWING_SECONDS = 15.0
SETTLING_SECONDS = 3.0


def measure(*, quick: bool) -> dict[str, Any]:
    """Without pictures, and with previews in half cells."""
    modes = ("halfcell",) if quick else ("off", "halfcell", THRIFTY)
    return {mode: rates(mode, quick=quick) for mode in modes}


def rates(mode: str, *, quick: bool) -> dict[str, float]:
    """Bytes of a step of the cursor and of a switch, then a second at rest and while it draws."""
    images = "halfcell" if mode == THRIFTY else mode
    after_key = 0.5 if quick else KEY_SECONDS
    idle, drawing, settling = (
        (1.0, 1.0, 0.5) if quick else (IDLE_SECONDS, DRAWING_SECONDS, SETTLING_SECONDS)
    )
    with tempfile.TemporaryDirectory() as home:
        remember_long_drawing(Path(home))
        if mode == THRIFTY:
            write_config(Path(home), f"picture_kib_per_second = {BUDGET_KIB}\n")
        with started(Path(home), "--demo", "--images", images) as terminal:
            terminal.seconds_until("loaded ")
            at_rest = rate(terminal, settling, idle)
            steps = [bytes_of(terminal, key, after_key) for key in STEPS[: 2 if quick else None]]
            switches = [bytes_of(terminal, "\r", after_key)]
            for step in "" if quick else STEPS:
                bytes_of(terminal, step, after_key)
                switches.append(bytes_of(terminal, "\r", after_key))
            start_drawing(terminal)
            at_work = rate(terminal, settling, drawing)
    return {
        "step_bytes": statistics.median(steps),
        "switch_bytes": statistics.median(switches),
        "idle_bytes_per_s": at_rest,
        "drawing_bytes_per_s": at_work,
    }


def bytes_of(terminal: Terminal, key: str, seconds: float) -> int:
    """All that a key brings about, the details and what is read ahead included."""
    terminal.bytes_within(0)
    terminal.press(key)
    return terminal.bytes_within(seconds)


def rate(terminal: Terminal, settling: float, seconds: float) -> float:
    """Bytes a second after some time that does not count."""
    terminal.bytes_within(settling)
    return round(terminal.bytes_within(seconds) / seconds, 1)
