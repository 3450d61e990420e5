"""From a key to its letter on the terminal: while loading, idle, drawing and switching.

The real app runs on a pseudo-terminal with 10,000 LoRAs in its list. What is typed goes into the
filter, so every key also filters the whole list; while switching, `+` and `-` change the strength
of the live LoRA, which is a switch each, and the new strength is waited for.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import count, cycle
from pathlib import Path
from typing import Any

from benchmarks.many_loras import write_many_loras
from benchmarks.terminal import Terminal, remember_long_drawing, start_drawing, started
from engine.demo import DEMO_LORAS
from engine.library.index import LibraryIndex
from engine.library.scan import scan_folders

LORAS = 10_000
KEYS = 200
STARTS = 3
"""To have about as many keys while a model is loaded."""
QUERIES = ("-zqxjvzqxjvzqxjv", "-lora_00 -lora_0")
"""One leaves out what no file has, so that the list stays as long as it is; one leaves out more
with every letter, or brings thousands back."""
PATIENCE = 300.0
TRUSTED = 3
"""Letters from which on the text stands nowhere else on the screen."""


def measure(*, quick: bool) -> dict[str, Any]:
    """Milliseconds, with the number of keys they come from."""
    loras, keys, starts = (100, 12, 1) if quick else (LORAS, KEYS, STARTS)
    with tempfile.TemporaryDirectory() as name:
        home, folder = Path(name, "home"), Path(name, "loras")
        write_many_loras(folder, loras)
        with LibraryIndex(home / "loraswitch" / "library.sqlite") as index:
            scan_folders([folder, DEMO_LORAS], index)
        remember_long_drawing(home)
        options = ("--demo", "--loras", str(folder), "--images", "halfcell")
        loading: list[float] = []
        for _ in range(starts - 1):
            with started(home, *options) as terminal:
                loading += typed_while_loading(terminal)
        with started(home, *options) as terminal:
            loading += typed_while_loading(terminal)
            others = latencies(terminal, keys)
    return {"loras": loras, "while_loading": figures(loading), **others}


def typed_while_loading(terminal: Terminal) -> list[float]:
    """Seconds of the keys from the first frame until a model is there."""
    terminal.seconds_until("LoRAs ")
    terminal.press("/")
    return typed(terminal, lambda: not terminal.has_drawn("loaded "))


def latencies(terminal: Terminal, keys: int) -> dict[str, Any]:
    """The other three in one run of the app, whose filter has the focus."""
    idle = typed(terminal, counted(keys))
    terminal.press("\x1b")
    terminal.bytes_within(0.5)
    start_drawing(terminal)
    terminal.press("/")
    drawing = typed(terminal, counted(keys))
    terminal.press("\x1b")
    terminal.bytes_within(0.5)
    terminal.press("x")
    # So it drew until now.
    terminal.seconds_until("cancelled at step")
    terminal.press("/neon_glow\r")
    terminal.bytes_within(1.0)
    terminal.press("\r")
    terminal.seconds_until("switched to")
    switching = [strength_key(terminal, key, text) for key, text in strengths(keys)]
    return {
        "idle": figures(idle),
        "while_drawing": figures(drawing),
        "while_switching": figures(switching),
    }


def typed(terminal: Terminal, go_on: Callable[[], bool]) -> list[float]:
    """Type and wipe the line again and again; seconds from each trusted letter to its paint."""
    seconds = []
    end = time.monotonic() + PATIENCE
    for query in cycle(QUERIES):
        if not go_on():
            break
        if time.monotonic() > end:
            raise TimeoutError(f"still typing after {PATIENCE:.0f} s: {terminal.last_drawn!r}")
        for number, letter in enumerate(query, 1):
            terminal.press(letter)
            if number < TRUSTED:
                terminal.bytes_within(0.05)
                continue
            seconds.append(terminal.seconds_until(query[:number]))
            # At all distances from what the last key set going.
            terminal.bytes_within(0.02 + 0.03 * (number % 5))
        terminal.press("\x15")
        terminal.bytes_within(0.05)
    return seconds


def counted(keys: int) -> Callable[[], bool]:
    """True as often as it takes for so many keys."""
    lines = count()
    return lambda: next(lines) * (len(QUERIES[0]) - TRUSTED + 1) < keys


def strengths(keys: int) -> Iterator[tuple[str, str]]:
    """Keys that move the strength up from 1 to 5, down to -5 and up again, and what is shown."""
    value, step = 20, 1  # of 0.05 each
    for _ in range(keys):
        if not -100 <= value + step <= 100:
            step = -step
        value += step
        yield ("+" if step > 0 else "-"), f"{value / 20:.2f}"


def strength_key(terminal: Terminal, key: str, text: str) -> float:
    """Seconds from a key to the strength it leads to."""
    terminal.press(key)
    seconds = terminal.seconds_until(text)
    terminal.bytes_within(0.03)
    return seconds


def figures(seconds: list[float]) -> dict[str, float]:
    """Median, 99th percentile and slowest."""
    ordered = sorted(seconds)
    high = ordered[min(len(ordered) - 1, int(0.99 * len(ordered)))]
    return {
        "keys": len(ordered),
        "median_ms": round(1000 * statistics.median(ordered), 1),
        "percentile_99_ms": round(1000 * high, 1),
        "slowest_ms": round(1000 * ordered[-1], 1),
    }
