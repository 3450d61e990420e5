"""Seconds from starting the program to its first frame, beside what Textual's own import costs.

The program runs on a pseudo-terminal of 120 x 36; the first frame is there when the library's
title has been drawn. Python's own start and the import of Textual are timed in the same run.
"""

from __future__ import annotations

import fcntl
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from pathlib import Path

from benchmarks.record import record

RUNS = 7
PATIENCE = 60.0
TITLE = b"LoRAs"
MODULE = "tui_loraswitch"


def first_frame(home: Path) -> float:
    """Start the program once, with its files in `home`, and end it after its first frame."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 36, 120, 0, 0))
    variables = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")
    environment = {**os.environ, "TERM": "xterm-256color", **dict.fromkeys(variables, str(home))}
    command = [sys.executable, "-m", MODULE, "--demo", "--images", "halfcell"]
    start = time.perf_counter()
    process = subprocess.Popen(
        command, stdin=slave, stdout=slave, stderr=slave, env=environment, start_new_session=True
    )
    os.close(slave)
    drawn = b""
    try:
        while TITLE not in drawn:
            if not select.select([master], [], [], PATIENCE)[0]:
                raise TimeoutError("the program drew nothing")
            drawn += os.read(master, 65536)
        return time.perf_counter() - start
    finally:
        process.kill()
        process.wait()
        os.close(master)


def seconds_of(code: str) -> float:
    """Seconds that a fresh Python needs for some code."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return time.perf_counter() - start


def median(measure: list[float]) -> float:
    """The median without the first run, which warms the file cache."""
    return round(statistics.median(measure[1:]), 3)


def main() -> None:
    """Measure and record."""
    with tempfile.TemporaryDirectory() as home:
        frames = [first_frame(Path(home)) for _ in range(RUNS)]
    python = [seconds_of("pass") for _ in range(RUNS)]
    textual = [seconds_of("import textual.app, textual.widgets") for _ in range(RUNS)]
    record(
        "first_frame",
        {
            "first_frame_s": median(frames),
            "python_start_s": median(python),
            "python_start_and_textual_import_s": median(textual),
            "share_of_textual_and_python": round(median(textual) / median(frames), 2),
        },
    )


if __name__ == "__main__":
    main()
