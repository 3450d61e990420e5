"""The real app on a pseudo-terminal of 120 x 36: keys in, bytes out."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from benchmarks.hosts import end_hosts
from benchmarks.shown import Shown
from engine.host.runtime import FOLDER_VARIABLE

MODULE = "tui_loraswitch"
PATIENCE = 60.0
PICTURES = 16
ROWS, COLUMNS = 36, 120
_SIZE = ("COLUMNS", "LINES")
_FOLDERS = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")


class Terminal:
    """A running program and what it draws."""

    def __init__(self, master: int, pid: int) -> None:
        self._master = master
        self.pid = pid
        self._tasks = Path("/proc", str(pid), "task")
        self._shown = Shown()
        self._drawn = b""
        self._before = b""

    def press(self, keys: str) -> None:
        """Send keys as a terminal does."""
        os.write(self._master, keys.encode())

    def seconds_until(self, text: str, patience: float = PATIENCE) -> float:
        """Seconds until a text is drawn, from now; what was drawn before does not count.

        It is drawn when a line has it in which something is written.
        """
        (seconds,) = self.seconds_to_each(text, patience=patience)
        return seconds

    def seconds_to_each(self, *texts: str, patience: float = PATIENCE) -> list[float]:
        """Seconds until each of some texts is drawn, from now."""
        start, before = time.perf_counter(), self._shown.count
        self._forget()
        found: dict[str, float] = {}
        while len(found) < len(texts):
            left = start + patience - time.perf_counter()
            if left <= 0 or not self._read(left):
                raise TimeoutError(f"{texts} were not all drawn, but:\n{self.screen}")
            now = time.perf_counter() - start
            found |= {t: now for t in texts if t not in found and self._shown.has(t, before)}
        return [found[text] for text in texts]

    def seconds_until_cell(self, sign: str, column: int, patience: float) -> float | None:
        """Seconds until a sign is written in this column or right of it; None where it is not."""
        start, before = time.perf_counter(), self._shown.count
        self._forget()
        while (left := start + patience - time.perf_counter()) > 0 and self._read(left):
            if self._shown.has_written(sign, column, before):
                return time.perf_counter() - start
        return None

    def seconds_until_anything(self, patience: float = PATIENCE) -> float:
        """Seconds until a byte is drawn."""
        start = time.perf_counter()
        self._forget()
        if not self._read(patience):
            raise TimeoutError("nothing was drawn")
        return time.perf_counter() - start

    def bytes_within(self, seconds: float) -> int:
        """Bytes drawn from now on for some time."""
        end = time.perf_counter() + seconds
        self._forget()
        while (left := end - time.perf_counter()) > 0:
            self._read(left)
        return len(self._drawn)

    @property
    def screen(self) -> str:
        """What is shown, for messages."""
        return self._shown.screen()

    @property
    def last_drawn(self) -> bytes:
        """The last that was drawn, for messages."""
        return self._drawn[-2000:]

    def has_drawn(self, text: str) -> bool:
        """Whether a text was drawn at any time, or is shown."""
        return self._shown.has(text, -1) or text.encode() in self._before + self._drawn

    def thread_seconds(self) -> dict[str, float]:
        """Processor time of each of the program's threads until now (Linux)."""
        found = {}
        for task in self._tasks.iterdir():
            # A thread may end while they are read.
            with suppress(FileNotFoundError, ProcessLookupError):
                found[task.name] = int((task / "schedstat").read_text().split()[0]) / 1e9
        if not found:
            raise RuntimeError("this system does not tell the processor time of threads")
        return found

    def _forget(self) -> None:
        self._before += self._drawn
        self._drawn = b""

    def _read(self, patience: float) -> bool:
        if not select.select([self._master], [], [], patience)[0]:
            return False
        data = os.read(self._master, 65536)
        self._drawn += data
        self._shown.feed(data)
        return True


@contextmanager
def started(home: Path, *options: str) -> Iterator[Terminal]:
    """Start the program with its files in `home`; end it and its host hard afterwards."""
    runtime = home / "run"
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", MODULE, "--output", str(home / "pictures"), *options],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        env={
            # Columns and lines of a shell would count before those of the terminal.
            **{name: value for name, value in os.environ.items() if name not in _SIZE},
            **dict.fromkeys(_FOLDERS, str(home)),
            "TERM": "xterm-256color",
            FOLDER_VARIABLE: str(runtime),
        },
        start_new_session=True,
    )
    os.close(slave)
    try:
        yield Terminal(master, process.pid)
    finally:
        process.kill()
        process.wait()
        end_hosts(runtime)
        os.close(master)


def write_config(home: Path, text: str) -> None:
    """Let the program start with this config file."""
    path = home / "loraswitch" / "config.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def remember(home: Path, **settings: object) -> None:
    """Let the demo start with these settings of a generation."""
    path = home / "loraswitch" / "state-demo.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(settings), encoding="utf-8")


def remember_long_drawing(home: Path) -> None:
    """Let the app start with settings that keep it drawing for minutes: see `start_drawing`."""
    remember(home, prompt="a red star", steps=500, batch=PICTURES)


def start_drawing(terminal: Terminal) -> None:
    """Begin the long drawing and wait for the engine to say so."""
    terminal.press("g")
    terminal.seconds_until(f"drawing {PICTURES} pictures")
