"""Seconds from starting the program to its first frame, beside what Textual's own import costs.

The first frame is there when the library's title has been drawn. Python's own start and the import
of Textual are timed in the same run.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.terminal import started

RUNS = 7
TITLE = "LoRAs"


def measure(*, quick: bool) -> dict[str, Any]:
    """Medians without the first run, which warms the file cache."""
    runs = 2 if quick else RUNS
    with tempfile.TemporaryDirectory() as home:
        frames = [first_frame(Path(home)) for _ in range(runs)]
    python = [seconds_of("pass") for _ in range(runs)]
    textual = [seconds_of("import textual.app, textual.widgets") for _ in range(runs)]
    return {
        "first_frame_s": median(frames),
        "python_start_s": median(python),
        "python_start_and_textual_import_s": median(textual),
        "share_of_textual_and_python": round(median(textual) / median(frames), 2),
    }


def first_frame(home: Path) -> float:
    """Start the program once, with its files in `home`, and end it after its first frame."""
    start = time.perf_counter()
    with started(home, "--demo", "--images", "halfcell") as terminal:
        terminal.seconds_until(TITLE)
        return time.perf_counter() - start


def seconds_of(code: str) -> float:
    """Seconds that a fresh Python needs for some code."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def median(seconds: list[float]) -> float:
    """The median without the first run."""
    return round(statistics.median(seconds[1:]), 3)
