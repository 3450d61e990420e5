"""What is typed at a real terminal, and how the reading of it ends."""

from __future__ import annotations

import os
import pty
import queue
import threading
import tty

import pytest
from textual import events
from textual._xterm_parser import XTermParser
from textual.app import App
from textual.constants import ESCAPE_DELAY

from tui_loraswitch.app import terminal_driver
from tui_loraswitch.app.pastes import PasteBrackets
from tui_loraswitch.app.terminal_driver import Terminal

PATIENCE = 30.0


@pytest.fixture
def ends():
    """Both ends of a pseudo-terminal, the program's first."""
    master, slave = pty.openpty()
    tty.setraw(slave)
    yield slave, master
    os.close(master)
    os.close(slave)


class Reading(Terminal):
    """Keeps the keys that it reads."""

    def __init__(self, terminal: int) -> None:
        super().__init__(App(), size=(80, 24))
        self.fileno = terminal
        self.keys: queue.Queue[str] = queue.Queue()

    def process_message(self, message):
        assert isinstance(message, events.Key)
        self.keys.put(message.key)


async def test_nothing_is_done_while_nothing_is_typed_and_the_end_is_heard_at_once(
    ends, monkeypatch
):
    waits: queue.Queue[float | None] = queue.Queue()
    seconds_to_tick = terminal_driver._seconds_to_tick

    def noting(parser: XTermParser) -> float | None:
        wait = seconds_to_tick(parser)
        waits.put(wait)
        return wait

    monkeypatch.setattr(terminal_driver, "_seconds_to_tick", noting)
    terminal, master = ends
    driver = Reading(terminal)
    for _ in range(2):  # a driver that was suspended begins anew
        reading = threading.Thread(target=driver.run_input_thread, daemon=True)
        reading.start()
        assert waits.get(timeout=PATIENCE) is None
        os.write(master, b"a")
        assert driver.keys.get(timeout=PATIENCE) == "a"
        assert waits.get(timeout=PATIENCE) is None
        os.write(master, b"\x1b")
        assert 0 < (waits.get(timeout=PATIENCE) or 0) <= ESCAPE_DELAY
        assert driver.keys.get(timeout=PATIENCE) == "escape"
        while waits.get(timeout=PATIENCE) is not None:
            pass
        driver.exit_event.set()
        reading.join(PATIENCE)
        assert not reading.is_alive()
        driver.exit_event.clear()


async def test_a_sequence_that_comes_in_two_pieces_is_one_key(ends, monkeypatch):
    fed: queue.Queue[str] = queue.Queue()
    feed = PasteBrackets.feed

    def noting(self: PasteBrackets, text: str) -> str:
        whole = feed(self, text)
        if text:
            fed.put(whole)
        return whole

    monkeypatch.setattr(PasteBrackets, "feed", noting)
    terminal, master = ends
    driver = Reading(terminal)
    reading = threading.Thread(target=driver.run_input_thread, daemon=True)
    reading.start()
    os.write(master, b"\x1b[")
    assert fed.get(timeout=PATIENCE) == ""
    os.write(master, b"A")
    assert driver.keys.get(timeout=PATIENCE) == "up"
    driver.exit_event.set()
    reading.join(PATIENCE)
