"""Textual's driver for a terminal: it knows pasted text from keys, and writes fewer bytes."""

from __future__ import annotations

import os
import selectors
from codecs import getincrementaldecoder
from collections.abc import Callable
from typing import Any

from textual._xterm_parser import XTermParser
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver

from tui_loraswitch.app.pastes import PasteBrackets
from tui_loraswitch.app.short_styles import ShortStyles
from tui_loraswitch.images.marks import MARK

_READ_BYTES = 4096
_MOST_AT_ONCE = 1 << 20
"""Characters; a longer paste comes in pieces."""
_WAIT_SECONDS = 0.1
_AT_ONCE_SECONDS = 0.01
"""What comes within this time of each other came at once: a paste is split as it is sent."""


class Terminal(LinuxDriver):
    """Reads what comes at once as a whole, so that pasted lines are not run as keys.

    What it writes is shortened, since every byte goes over SSH.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._styles = ShortStyles()
        self.picture_over_marks: Callable[[], str] = lambda: ""

    def write(self, data: str) -> None:
        """Write to the terminal what differs; and a picture over what was written below it."""
        text = self._styles.shortened(data)
        if MARK in text:
            text = text.replace(MARK, " ") + self.picture_over_marks()
        super().write(text)

    def forget_styles(self) -> None:
        """Others may have written to the terminal: take no style for granted."""
        self._styles.forget()

    def start_application_mode(self) -> None:
        """Take the terminal, at the start and after another program had it."""
        self.forget_styles()
        super().start_application_mode()  # type: ignore[no-untyped-call]

    def run_input_thread(self) -> None:
        """Read the terminal until the driver ends."""
        parser = XTermParser(self._debug)
        brackets = PasteBrackets()
        # Bytes that are no text, as a broken link sends them, are no reason to end.
        decode = getincrementaldecoder("utf-8")("replace").decode
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                text, wait = "", _WAIT_SECONDS
                while len(text) < _MOST_AT_ONCE and selector.select(wait):
                    data = os.read(self.fileno, _READ_BYTES)
                    if not data:  # the terminal is gone; somebody else sees to that
                        self.exit_event.wait(_WAIT_SECONDS)
                        break
                    piece = decode(data)
                    text += piece
                    if not brackets.may_go_on(piece):
                        break
                    wait = _AT_ONCE_SECONDS
                if text:
                    for event in parser.feed(brackets.feed(text)):
                        self.process_message(event)
                for event in parser.tick():
                    self.process_message(event)


def own_driver(driver: type[Driver]) -> type[Driver]:
    """The driver that Textual would take, or in place of the usual one ours."""
    return Terminal if driver is LinuxDriver else driver
