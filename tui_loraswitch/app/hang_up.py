"""Ending well when the terminal goes away or someone asks the process to end."""

from __future__ import annotations

import os
import select
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

SIGNALS = (signal.SIGHUP, signal.SIGTERM, signal.SIGINT)
GRACE = 1.0
"""Seconds for the app to leave by itself before the process ends."""


class HangUp:
    """On a signal: `save`, then `leave`, and after `GRACE` seconds the process ends.

    So it is when the terminal given to `watch` hangs up: a process that it does not control, as
    under `setsid` or in some containers, gets no signal.

    A thread of its own does it: without a terminal Textual's writer thread is dead, and the event
    loop waits for it for ever. `save` and `leave` are therefore called on that thread. Signals that
    are ignored, as under nohup, stay so.

    `signal` is the one that came first, for the process to end with 128 + its number.
    """

    def __init__(self, save: Callable[[], object], leave: Callable[[], object]) -> None:
        self._save = save
        self._leave = leave
        self.signal: int | None = None
        self._forgotten = False
        self._wakes: int | None = None
        self._noticing = threading.Lock()
        self._before = {
            number: signal.signal(number, self._notice)
            for number in SIGNALS
            if signal.getsignal(number) is not signal.SIG_IGN
        }

    def watch(self, terminal: int) -> None:
        """Do the same when this file descriptor hangs up."""
        woken, self._wakes = os.pipe()
        threading.Thread(target=self._watch, args=(terminal, woken), daemon=True).start()

    def forget(self) -> None:
        """Give the signals back to whom they belonged, and watch no longer."""
        self._forgotten = True
        if self._wakes is not None:
            os.close(self._wakes)
            self._wakes = None
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _notice(self, number: int, frame: FrameType | None) -> None:
        threading.Thread(target=self._end, args=(number,), daemon=True).start()

    def _watch(self, terminal: int, woken: int) -> None:
        """Wait for the terminal's end, or that of the pipe; nothing is read from them."""
        poll = select.poll()
        for number in (terminal, woken):
            poll.register(number, 0)
        poll.poll()
        os.close(woken)
        if not self._forgotten:
            self._end(signal.SIGHUP)

    def _end(self, number: int) -> None:
        # A terminal that closes sends more than one.
        if not self._noticing.acquire(blocking=False):
            return
        self.signal = number
        try:
            self._save()
            self._leave()
            time.sleep(GRACE)
        finally:
            os._exit(128 + number)
