"""Files that come, change and go while the app runs: how soon the list has them, and keys then.

10,000 LoRAs are there; 1,000 more are copied in at once, and a key is typed again and again while
they come.
"""

from __future__ import annotations

import os
import shutil
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import Any

from benchmarks.library_app import OPTIONS, index_of, milliseconds, percentile_99, wait_for_list
from benchmarks.many_loras import write_many_loras
from benchmarks.terminal import Terminal, started
from engine.library.index import LibraryIndex
from engine.library.scan import refresh

LORAS, AT_ONCE = 10_000, 1_000
LETTERS = ("-zqxjv", "-xkqzj", "-jvxqk")
"""Of no file; the lines of two rounds have no beginning in common."""


def measure(*, quick: bool) -> dict[str, Any]:
    """Seconds until the title counts them, and milliseconds of keys while many come."""
    count, at_once = (100, 20) if quick else (LORAS, AT_ONCE)
    with tempfile.TemporaryDirectory() as name:
        home, loras, more = Path(name, "home"), Path(name, "loras"), Path(name, "more")
        write_many_loras(loras, count)
        write_many_loras(more, at_once, 1)
        with LibraryIndex(index_of(home)) as index:
            refresh([loras], index)
        with started(home, *OPTIONS, "--loras", str(loras)) as terminal:
            terminal.seconds_until("loaded ")
            total = len(wait_for_list(home, loras))
            return of_app(terminal, loras, more / "folder_000", total)


def of_app(terminal: Terminal, loras: Path, more: Path, total: int) -> dict[str, Any]:
    """Of one app with `total` LoRAs in its list."""
    files = sorted(more.glob("*.safetensors"))
    one = loras / "one.safetensors"

    def until(action: Callable[[], object], count: int) -> float:
        action()
        return terminal.seconds_until(f"LoRAs {count:,}")

    found: dict[str, Any] = {}
    found["one_copied_in_s"] = until(lambda: shutil.copy(files[0], one), total + 1)
    renamed = one.rename(one.with_name("zebra.safetensors"))
    terminal.press("/zebra")
    found["one_renamed_s"] = terminal.seconds_until(f"LoRAs 1 of {total + 1:,}")
    terminal.press("\x1b")
    # Made for another model it is hidden: so is seen that it is read anew.
    found["one_replaced_s"] = until(lambda: _replace(renamed), total)
    renamed.unlink()
    terminal.bytes_within(2.0)
    found[f"{len(files):,}_copied_in_s"], keys = _many(terminal, loras / "new", more, total, files)
    gone = until(lambda: shutil.rmtree(loras / "new"), total)
    found[f"{len(files):,}_removed_s"] = gone
    return {
        **{name: round(seconds, 2) for name, seconds in found.items()},
        "keys_meanwhile": len(keys),
        "key_meanwhile_median_ms": milliseconds(statistics.median(keys)),
        "key_meanwhile_percentile_99_ms": milliseconds(percentile_99(keys)),
    }


def _replace(path: Path) -> None:
    """Put another file in its place that is of no use for SDXL."""
    part = path.with_name(".part")
    data = path.read_bytes()
    part.write_bytes(data.replace(b"[1,2048]", b"[2,1024]"))
    os.replace(part, path)  # noqa: PTH105


def _many(
    terminal: Terminal, target: Path, more: Path, total: int, files: list[Path]
) -> tuple[float, list[float]]:
    """Seconds until the list has many new files, and of each letter typed until then."""
    copied: list[float] = []

    def copy() -> None:
        shutil.copytree(more, target)
        copied.append(time.perf_counter())

    start, lines = time.perf_counter(), cycle(LETTERS)
    threading.Thread(target=copy).start()
    terminal.press("/")
    keys: list[float] = []
    wanted = f" of {total + len(files):,}"
    while not copied or wanted not in terminal.screen:
        line = next(lines)
        if time.perf_counter() - start > 60:
            raise TimeoutError(f"{wanted} is not drawn, but:\n{terminal.screen}")
        for end, letter in enumerate(line, 1):
            terminal.press(letter)
            if end > 1:
                keys.append(terminal.seconds_until(line[:end]))
            terminal.bytes_within(0.03)
            if wanted in terminal.screen:
                break
        else:
            terminal.press("\x15")
            terminal.bytes_within(0.1)
    seconds = time.perf_counter() - copied[0]
    terminal.press("\x15\x1b")
    terminal.bytes_within(0.5)
    return seconds, keys
