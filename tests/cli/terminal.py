"""A program on a terminal of its own."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).parents[2]

PATIENCE = 120.0
"""Seconds before something counts as never happening."""


class Terminal:
    """A running `loraswitch` and what it has drawn."""

    def __init__(self, process: subprocess.Popen[bytes], master: int) -> None:
        self.process = process
        self._master = master
        self.screen = b""

    def type(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._master, keys)

    def read_until(self, condition: Callable[[], object]) -> None:
        """Read what is drawn until something holds."""
        end = time.monotonic() + PATIENCE
        while not condition():
            assert self._read(end), f"not among {self.screen[-2000:]!r}"

    def wait(self) -> int:
        """Read to the end; the exit code."""
        end = time.monotonic() + PATIENCE
        while self._read(end):
            pass
        return self.process.wait(PATIENCE)

    def _read(self, end: float) -> bool:
        """Read a piece; False where no more will come, or none did until `end`."""
        if not select.select([self._master], [], [], max(0.0, end - time.monotonic()))[0]:
            return False
        try:
            data = os.read(self._master, 65536)
        except OSError:  # EIO: the program has closed its end
            return False
        self.screen += data
        return bool(data)


@contextmanager
def loraswitch_in_terminal(*args: str) -> Iterator[Terminal]:
    """Start `loraswitch` at 80×24."""
    with program_in_terminal(sys.executable, "-m", "tui_loraswitch", *args) as terminal:
        yield terminal


@contextmanager
def program_in_terminal(*command: str) -> Iterator[Terminal]:
    """Start any program at 80×24."""
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    process = subprocess.Popen(
        command,
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=_heed_signals,
        env={**os.environ, "TERM": "xterm-256color", "PYTHONPATH": str(ROOT)},
    )
    os.close(slave)
    try:
        yield Terminal(process, master)
    finally:
        process.kill()
        process.wait(PATIENCE)
        os.close(master)


def _heed_signals() -> None:
    """Undo what `nohup` and shells do for what runs in the background."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
