"""A screen that paints what a key has led to as soon as it is there."""

from __future__ import annotations

import math
import time

from textual.geometry import Size
from textual.screen import Screen
from textual.widget import Widget

from tui_loraswitch.app.cropped_compositor import CroppedCompositor

ANSWER_SECONDS = 0.3
"""How long after a key what changes is taken for an answer to it."""
MOMENT = 0.05
"""Seconds that a frame waits at most for what a key leads to."""
LEAST_SECONDS = 1 / 60
"""Between two such paints: of keys that come in a bunch, most are painted with the last."""


class KeyPaintingScreen(Screen[None]):
    """Paints the answer to a key when all of it is ready, and everything else with the frames.

    Textual paints 30 frames a second: a key would wait up to 33 ms for its frame.
    """

    def __init__(self) -> None:
        super().__init__()
        self._compositor = CroppedCompositor()
        self._key_at = -math.inf
        self._painted_at = -math.inf
        self._waits = False
        """Whether an answer is painted as soon as it may be."""

    @property
    def awaits_answer(self) -> bool:
        """Whether the last key is to be painted with what is still being worked out."""
        return False

    def note_key(self) -> None:
        """A key has come: paint soon what it leads to."""
        self._key_at = time.monotonic()

    def can_wait(self, widget: Widget) -> bool:
        """Whether a widget shows what goes on by itself: its frame is soon enough."""
        return False

    def on_idle(self) -> None:
        """Paint what has changed just after a key, when all of it is ready."""
        now = time.monotonic()
        if now - self._key_at > ANSWER_SECONDS:
            return
        waiting = set(filter(self.can_wait, self._dirty_widgets))
        if waiting == self._dirty_widgets or self._is_half_done:
            return
        wait = self._painted_at + LEAST_SECONDS - now
        if wait <= 0:
            self._dirty_widgets -= waiting
            self._paint()
            self._dirty_widgets |= waiting
        elif not self._waits:
            self._waits = True
            self.set_timer(wait, self._wait_is_over)

    def _screen_resized(self, size: Size) -> None:
        """Lay out for another size; at the start Textual tells three times of the same one."""
        if size != self._size:
            super()._screen_resized(size)

    def _wait_is_over(self) -> None:
        self._waits = False
        self.check_idle()

    def _on_timer_update(self) -> None:
        """Paint the frame; what a key has half done waits a moment for the rest."""
        if time.monotonic() - self._key_at > MOMENT or not self._is_half_done:
            self._paint()

    def _paint(self) -> None:
        self._painted_at = time.monotonic()
        super()._on_timer_update()

    @property
    def _is_half_done(self) -> bool:
        """Whether more is to come of what the last key leads to, or has not told the screen yet."""
        return self.awaits_answer or any(
            widget._repaint_required or widget._layout_required
            for widget in self.walk_children(Widget)
        )
