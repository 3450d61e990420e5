"""The log pane: what happened, and when."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable

from textual.content import Content
from textual.strip import Strip
from textual.widget import Widget

from engine.events import Event
from tui_loraswitch.panes.base import Pane
from tui_loraswitch.panes.lines import Lines
from tui_loraswitch.panes.log_lines import SIGNS, LogLine, describe
from tui_loraswitch.theme import FAINT

MAX_LINES = 500
_TIME_WIDTH = 11
"""`14:02:11 ✓ `: continued lines are indented by as much."""


class LogView(Lines):
    """Lines that wrap to the width, the newest at the bottom."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._entries: deque[tuple[str, LogLine]] = deque(maxlen=MAX_LINES)
        self._wrapped: list[Content] = []
        self._wrapped_width = 0

    @property
    def lines(self) -> list[LogLine]:
        """What is written, oldest first."""
        return [line for _, line in self._entries]

    def add(self, when: str, line: LogLine) -> None:
        """Append a line; the view follows unless the reader has scrolled up."""
        self._entries.append((when, line))
        if len(self._entries) == MAX_LINES:
            self._wrapped_width = 0
        follows = self.scroll_offset.y >= self.max_scroll_y
        self._wrap()
        if follows:
            self._scroll_to_end()

    def on_resize(self) -> None:
        """Wrap again."""
        self._wrapped_width = 0
        self._wrap()
        self._scroll_to_end()

    def draw(self, number: int, width: int) -> Strip | None:
        """One line."""
        if number >= len(self._wrapped):
            return None
        line = self._wrapped[number].truncate(width, pad=True)
        return Strip(line.render_segments(self.visual_style), width)

    def _scroll_to_end(self) -> None:
        self.scroll_to(y=self.max_scroll_y, animate=False)

    def _wrap(self) -> None:
        width = self.scrollable_content_region.width
        if width <= _TIME_WIDTH:
            return
        if width != self._wrapped_width:
            self._wrapped = [line for entry in self._entries for line in _wrap(*entry, width)]
            self._wrapped_width = width
        else:
            self._wrapped.extend(_wrap(*self._entries[-1], width))
        self.show_number(len(self._wrapped))


def _wrap(when: str, line: LogLine, width: int) -> list[Content]:
    sign, style = SIGNS[line.kind]
    text_style = style if line.kind in ("warning", "failure") else ""
    first, *rest = Content.styled(line.text, text_style).wrap(width - _TIME_WIDTH)
    head = Content.assemble((f"{when} ", FAINT), (f"{sign} ", f"bold {style}"), first)
    return [head, *(Content.assemble(" " * _TIME_WIDTH, more) for more in rest)]


class LogPane(Pane):
    """What happened, and when."""

    TITLE = "Log"

    def __init__(self, *, id: str, clock: Callable[[], float] = time.time) -> None:
        super().__init__(id=id)
        self._clock = clock

    def compose(self) -> list[Widget]:
        """Just the lines."""
        return [LogView(id="log-view")]

    @property
    def lines(self) -> list[LogLine]:
        """What is written, oldest first."""
        return self.query_one(LogView).lines

    def focus_target(self) -> Widget:
        """The lines, for scrolling."""
        return self.query_one(LogView)

    def receive(self, event: Event) -> None:
        """Write down what an event says."""
        for line in describe(event):
            self.write(line)

    def write(self, line: LogLine) -> None:
        """Write down something that happened now."""
        when = time.strftime("%H:%M:%S", time.localtime(self._clock()))
        self.query_one(LogView).add(when, line)
