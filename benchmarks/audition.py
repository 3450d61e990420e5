"""Auditions on the demo: from a key to the picture of what it leads to, and what the line carries.

The real app runs on a pseudo-terminal of 120 x 36 and shows pictures in half cells. The title of a
picture and its first cells are drawn in one frame; the title is what is waited for.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.keys import figures
from benchmarks.terminal import Terminal, remember, started

TITLE = "Audition "
LORAS = 10
"""Of the demo; the list has rows for its three folders too."""
STRENGTHS = 20
SCROLLED = 40
"""Keys of a list that is gone through as fast as a held key does it."""
HELD = 0.033
REST = 5
"""Seconds in which the full picture comes."""


def measure(*, quick: bool) -> dict[str, Any]:
    """Milliseconds from keys to pictures, and KiB a second."""
    with tempfile.TemporaryDirectory() as name:
        remember(Path(name), prompt="a large red star on a blue background")
        with started(Path(name), "--demo", "--images", "halfcell") as terminal:
            terminal.seconds_until("loaded ")
            terminal.bytes_within(2.0)
            without = scroll(terminal)
            terminal.press("a")
            terminal.seconds_until(TITLE)
            terminal.bytes_within(1.0)
            found = latencies(terminal, 2 if quick else LORAS, 3 if quick else STRENGTHS)
            return {**found, "scrolling_without_kib_per_s": without}


def latencies(terminal: Terminal, loras: int, strengths: int) -> dict[str, Any]:
    """Through the list, back through what was seen, up with a strength, and scrolled fast."""
    terminal.press("\x1b[H")
    terminal.bytes_within(3.0)
    new = [to_picture(terminal, "\x1b[B") for _ in range(loras)]
    seen = [to_picture(terminal, "\x1b[A") for _ in range(loras)]
    for _ in range(3):
        to_picture(terminal, "\x1b[B")
    stronger = [to_picture(terminal, "+") for _ in range(strengths)]
    scrolled = scroll(terminal)
    rest = [terminal.bytes_within(1.0) for _ in range(REST)]
    return {
        "new": known(new),
        "seen_before": known(seen),
        "strength": known(stronger),
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


def to_picture(terminal: Terminal, key: str) -> float | None:
    """Seconds from a key to its picture; None where it led to a row without one, as a folder's."""
    terminal.press(key)
    try:
        seconds = terminal.seconds_until(TITLE, patience=1.9)
    except TimeoutError:
        return None
    terminal.bytes_within(0.3)
    return seconds
