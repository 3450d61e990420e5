"""Make `audition.gif`: the program in tmux, on the demo, the picture following the cursor.

Nothing is sped up: a frame lasts as long as it was seen. Needs tmux and the DejaVu fonts.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.hosts import end_hosts
from benchmarks.terminal import remember
from engine.host.runtime import FOLDER_VARIABLE
from screenshots.film import save_film
from screenshots.terminal_picture import from_ansi, picture_of

COLUMNS, ROWS = 100, 30
FRAME = 0.1
"""Seconds between two looks at the terminal."""
COLOURS = 96
PATIENCE = 60.0
LAST = 2.0
"""Seconds of the last frame before it begins again."""
KEYS = (
    *[("J", 1.2)] * 4,
    *[("+", 0.9)] * 3, *[("-", 0.6)] * 3, ("-", 1.0),
    *[("J", 0.25)] * 3, ("J", 1.2), *[("K", 0.6)] * 2, ("K", 5.0),
)  # fmt: skip
"""What is pressed, and the seconds until the next."""
_FOLDERS = ("XDG_CONFIG_HOME", "XDG_STATE_HOME", "XDG_CACHE_HOME", "XDG_DATA_HOME")


class Tmux:
    """A program in a terminal of its own."""

    def __init__(self, home: Path) -> None:
        self._socket = home / "tmux"
        self.frames: list[tuple[list[str], float]] = []
        """What was seen, and for how many seconds."""

    def start(self, command: list[str], env: dict[str, str]) -> None:
        """Start it in a terminal of the size of the film."""
        size = ("-x", str(COLUMNS), "-y", str(ROWS))
        self._run("-f", os.devnull, "new-session", "-d", *size, shlex.join(command), env=env)

    def press(self, key: str) -> None:
        """A key by tmux's name for it."""
        self._run("send-keys", key)

    def look(self) -> list[str]:
        """The lines, with their colours."""
        return self._run("capture-pane", "-e", "-p").split("\n")

    def until(self, text: str) -> None:
        """Wait for a text."""
        end = time.monotonic() + PATIENCE
        while text not in self._run("capture-pane", "-p"):
            if time.monotonic() > end:
                raise TimeoutError("\n".join(self.look()))
            time.sleep(FRAME)

    def film(self, seconds: float) -> None:
        """Take what is seen from now on."""
        end = time.monotonic() + seconds
        while (began := time.monotonic()) < end:
            lines = self.look()
            time.sleep(max(0.0, FRAME - (time.monotonic() - began)))
            took = time.monotonic() - began
            if self.frames and self.frames[-1][0] == lines:
                took += self.frames.pop()[1]
            self.frames.append((lines, took))

    def end(self) -> None:
        """Close the terminal."""
        self._run("kill-server")

    def _run(self, *words: str, env: dict[str, str] | None = None) -> str:
        command = ["tmux", "-S", str(self._socket), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True, env=env).stdout


@contextmanager
def demo(home: Path) -> Iterator[Tmux]:
    """The program with the demo and a home of its own, loaded."""
    remember(home, prompt="a large red star on a blue background")
    runtime = home / "run"
    tmux = Tmux(home)
    env = {
        **os.environ, **dict.fromkeys(_FOLDERS, str(home)), FOLDER_VARIABLE: str(runtime),
        "COLORTERM": "truecolor", "TERM": "xterm-256color",
    }  # fmt: skip
    options = ("--demo", "--images", "halfcell", "--output", str(home / "pictures"))
    tmux.start([sys.executable, "-m", "tui_loraswitch", *options], env)
    try:
        tmux.until("loaded ")
        yield tmux
    finally:
        tmux.end()
        end_hosts(runtime)


def main() -> None:
    """Go through the list, change a strength, hurry, and rest."""
    with tempfile.TemporaryDirectory() as name, demo(Path(name)) as tmux:
        tmux.press("Home")
        tmux.press("J")
        tmux.film(0.5)
        tmux.press("a")
        tmux.film(3.0)
        for key, seconds in KEYS:
            tmux.press(key)
            tmux.film(seconds)
        frames = tmux.frames
    pictures = [picture_of(from_ansi(lines[:ROWS])) for lines, _ in frames]
    seconds = [*(seconds for _, seconds in frames[:-1]), LAST]
    save_film(pictures, seconds, Path(__file__).parent / "audition.gif", COLOURS)


if __name__ == "__main__":
    main()
