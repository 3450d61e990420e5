"""Textual's driver for a terminal: it knows pasted text from keys, and writes fewer bytes."""

from __future__ import annotations

import os
import selectors
import threading
from codecs import getincrementaldecoder
from collections.abc import Callable
from typing import Any, Literal

from textual._ansi_sequences import SYNC_END, SYNC_START
from textual._time import get_time
from textual._xterm_parser import XTermParser
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver
from textual.events import Resize
from textual.geometry import Region
from textual.message import Message
from textual.widgets import Input, TextArea

from tui_loraswitch.app.changed_cells import ChangedCells
from tui_loraswitch.app.pastes import PasteBrackets
from tui_loraswitch.images.marks import ANY_MARK

_READ_BYTES = 4096
_MOST_AT_ONCE = 1 << 20
"""Characters; a longer paste comes in pieces."""
_WAIT_SECONDS = 0.1
_SEEN_AT_ONCE = 1000
"""Characters: a smaller frame comes in one packet, and needs no word that it begins and ends."""
_AT_ONCE_SECONDS = 0.01
"""What comes within this time of each other came at once: a paste is split as it is sent."""


class Terminal(LinuxDriver):
    """Reads what comes at once as a whole, so that pasted lines are not run as keys.

    What it writes is shortened, since every byte goes over SSH.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.exit_event = self._end = _EndOfInput()
        self._cells = ChangedCells()
        self._is_resized = False
        self._size_written = self._app.size
        self._frame: Literal["none", "begun", "open"] = "none"
        self.pictures: dict[str, Callable[[], str]] = {}

    def write(self, data: str) -> None:
        """Write to the terminal what differs; and pictures over what was written below them."""
        if data == SYNC_START:
            self._frame = "begun"
        elif data == SYNC_END:
            self._end_frame()
        elif text := self._shortened(data):
            if self._frame == "begun" and len(text) > _SEEN_AT_ONCE:
                super().write(SYNC_START)
                self._frame = "open"
            super().write(text)

    def _shortened(self, data: str) -> str:
        if self._is_resized or self._app.size != self._size_written:
            self._is_resized, self._size_written = False, self._app.size
            self._cells.forget()
        # Where nothing is written the cursor is hidden, and may be anywhere.
        focused = self._app.focused if self._app.screen_stack else None
        is_written_into = isinstance(focused, Input | TextArea)
        text = self._cells.shortened(data, is_written_into)
        if not (marks := set(ANY_MARK.findall(text))):
            return text
        painted = (self.pictures[mark]() for mark in sorted(marks & self.pictures.keys()))
        return ANY_MARK.sub(" ", text) + "".join(painted)

    def _end_frame(self) -> None:
        if self._frame == "open":
            super().write(SYNC_END)
        self._frame = "none"

    def forget_screen(self) -> None:
        """Others may have written to the terminal: take nothing on it for granted."""
        self._cells.forget()

    def forget_part(self, part: Region) -> None:
        """A picture was painted there, or is to be: take nothing for granted."""
        self._cells.forget_part(part)

    def start_application_mode(self) -> None:
        """Take the terminal, at the start and after another program had it."""
        self.forget_screen()
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def process_message(self, message: Message) -> None:
        """Note that the terminal, which tells so itself, has another size; a thread calls this."""
        self._is_resized |= isinstance(message, Resize)
        super().process_message(message)

    def _get_terminal_size(self) -> tuple[int, int]:
        """The size; asked for when a signal says that it is another."""
        self._is_resized = True
        return super()._get_terminal_size()

    def run_input_thread(self) -> None:
        """Read the terminal until the driver ends; while nothing comes, nothing is done."""
        parser = XTermParser(self._debug)
        brackets = PasteBrackets()
        # Bytes that are no text, as a broken link sends them, are no reason to end.
        decode = getincrementaldecoder("utf-8")("replace").decode
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            selector.register(self._end.bell, selectors.EVENT_READ)
            while not self._end.is_set():
                text, wait = "", _seconds_to_tick(parser)
                while len(text) < _MOST_AT_ONCE and self._has_come(selector.select(wait)):
                    data = os.read(self.fileno, _READ_BYTES)
                    if not data:  # the terminal is gone; somebody else sees to that
                        self._end.wait(_WAIT_SECONDS)
                        break
                    piece = decode(data)
                    text += piece
                    if not brackets.may_go_on(piece):
                        break
                    wait = _AT_ONCE_SECONDS
                # The parser takes an empty text for the end of all that is typed.
                if whole := brackets.feed(text):
                    for event in parser.feed(whole):
                        self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)

    def _has_come(self, ready: list[tuple[selectors.SelectorKey, int]]) -> bool:
        """Whether something is to be read from the terminal."""
        return any(key.fd == self.fileno for key, _ in ready)


class _EndOfInput(threading.Event):
    """Says that the reading is to end; its bell wakes who waits for the terminal."""

    def __init__(self) -> None:
        super().__init__()
        self.bell, self._rope = os.pipe()

    def set(self) -> None:
        """From now on nothing is read."""
        super().set()
        os.write(self._rope, b"!")

    def clear(self) -> None:
        """The same terminal may be read again."""
        super().clear()
        os.read(self.bell, 1)


def _seconds_to_tick(parser: XTermParser) -> float | None:
    """Until a sequence that has begun counts as it is, such as Escape; None where none has."""
    end = parser._timeout_time
    return None if end is None else max(0.0, end - get_time())


def own_driver(driver: type[Driver]) -> type[Driver]:
    """The driver that Textual would take, or in place of the usual one ours."""
    return Terminal if driver is LinuxDriver else driver
