"""Auditions on the demo: from a key to the picture of what it leads to, and what the line carries.

The real app runs on a pseudo-terminal of 120 x 36 and shows pictures in half cells. What is waited
for is the first cell of the picture that is another than before.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.keys import figures
from benchmarks.terminal import Terminal, remember, started

CELL, PICTURE_FROM = "▀", 50
"""What a picture is made of; left of this column is that of the LoRA's details."""
LORAS = 10
"""Of the demo; the list has rows for its three folders too."""
STRENGTHS = 20
SCROLLED = 40
"""Keys of a list that is gone through as fast as a held key does it."""
HELD = 0.033
PATIENCE = 1.5
BETWEEN = 0.8
REST = 5
"""Seconds in which the full picture comes."""
SETTLING = 6.0
"""Seconds until what was begun before is drawn."""


def measure(*, quick: bool) -> dict[str, Any]:
    """Milliseconds from keys to pictures, and KiB a second."""
    small, full = (1, 1, 1, 1.0), (LORAS, STRENGTHS, REST, SETTLING)
    loras, strengths, rest, settling = small if quick else full
    with tempfile.TemporaryDirectory() as name:
        remember(Path(name), prompt="a large red star on a blue background")
        with started(Path(name), "--demo", "--images", "halfcell") as terminal:
            terminal.seconds_until("loaded ")
            terminal.bytes_within(2.0)
            without = scroll(terminal)
            terminal.press("a")
            terminal.bytes_within(settling)
            found = latencies(terminal, loras, strengths, rest, settling)
            return {**found, "scrolling_without_kib_per_s": without}


def latencies(
    terminal: Terminal, loras: int, strengths: int, seconds: int, settling: float
) -> dict[str, Any]:
    """Through the list, back through what was seen, up with a strength, and scrolled fast."""
    terminal.press("\x1b[H")
    terminal.bytes_within(settling)
    keys: list[float] = []
    new = [to_picture(terminal, "\x1b[B", keys) for _ in range(loras)]
    seen = [to_picture(terminal, "\x1b[A", keys) for _ in range(loras)]
    for _ in range(3):
        to_picture(terminal, "\x1b[B", keys)
    stronger = [to_picture(terminal, "+", keys) for _ in range(strengths)]
    scrolled = scroll(terminal)
    rest = [terminal.bytes_within(1.0) for _ in range(seconds)]
    return {
        "new": known(new),
        "seen_before": known(seen),
        "strength": known(stronger),
        "keys": figures(keys),
        "scrolling_kib_per_s": scrolled,
        "most_kib_in_a_second_at_rest": round(max(rest) / 1024, 1),
    }


def known(seconds: list[float | None]) -> dict[str, float]:
    """The figures of the keys that led to a picture."""
    found = [one for one in seconds if one is not None]
    return figures(found) if found else {"keys": 0}


def scroll(terminal: Terminal) -> float:
    """KiB a second while the list is gone through and back."""
    drawn = 0
    for number in range(SCROLLED):
        terminal.press("\x1b[B" if number // 10 % 2 == 0 else "\x1b[A")
        drawn += terminal.bytes_within(HELD)
    return round(drawn / (SCROLLED * HELD) / 1024, 1)


def to_picture(terminal: Terminal, key: str, keys: list[float]) -> float | None:
    """Seconds from a key to its picture; None where that is the same as before.

    `keys` gets the seconds to the first that is drawn at all.
    """
    terminal.press(key)
    start = time.perf_counter()
    keys.append(terminal.seconds_until_anything())
    seconds = terminal.seconds_until_cell(CELL, PICTURE_FROM, PATIENCE)
    if seconds is not None:
        seconds += keys[-1]
    # Before the cursor has rested for so long that the full picture is drawn.
    terminal.bytes_within(max(0.3, BETWEEN - (time.perf_counter() - start)))
    return seconds
