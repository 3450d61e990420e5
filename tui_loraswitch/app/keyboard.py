"""Textual's driver for a terminal, with a keyboard that knows pasted text from keys."""

from __future__ import annotations

import os
import selectors
from codecs import getincrementaldecoder

from textual._xterm_parser import XTermParser
from textual.driver import Driver
from textual.drivers.linux_driver import LinuxDriver

from tui_loraswitch.app.pastes import PasteBrackets

_READ_BYTES = 4096
_MOST_AT_ONCE = 1 << 20
"""Characters; a longer paste comes in pieces."""
_WAIT_SECONDS = 0.1
_AT_ONCE_SECONDS = 0.01
"""What comes within this time of each other came at once: a paste is split as it is sent."""


class Keyboard(LinuxDriver):
    """Reads what comes at once as a whole, so that pasted lines are not run as keys."""

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


def with_keyboard(driver: type[Driver]) -> type[Driver]:
    """The driver that Textual would take, or in place of the usual one ours."""
    return Keyboard if driver is LinuxDriver else driver
