"""What the LoRA under the library's cursor brings about while the cursor rests on it."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from textual.message_pump import MessagePump
from textual.timer import Timer

from engine.library.entry import LibraryEntry

DETAILS_SECONDS = 0.05
"""How long the cursor rests on a LoRA before its details are shown: a held key sends none."""
PREFETCH_SECONDS = 0.25
"""How long the cursor rests on a LoRA before it is read ahead."""


class Highlight:
    """Shows the details of a LoRA, and later reads it ahead, unless the cursor moves on before."""

    def __init__(
        self,
        pump: MessagePump,
        show: Callable[[LibraryEntry | None], None],
        prefetch: Callable[[LibraryEntry], None],
    ) -> None:
        self._pump = pump
        self._show = show
        self._prefetch = prefetch
        self._timers: list[Timer] = []

    def follow(self, entry: LibraryEntry | None) -> None:
        """The cursor has moved to `entry`, or to none."""
        for timer in self._timers:
            timer.stop()
        self._timers = [self._pump.set_timer(DETAILS_SECONDS, partial(self._show, entry))]
        if entry is not None:
            prefetch = partial(self._prefetch, entry)
            self._timers.append(self._pump.set_timer(PREFETCH_SECONDS, prefetch))
