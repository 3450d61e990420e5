"""The log pane: what happened, and when."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable

from msgspec import structs
from textual.content import Content
from textual.strip import Strip
from textual.widget import Widget

from engine.protocol.log import Kind, LogLine
from engine.protocol.view import EngineView
from tui_loraswitch.look.theme import FAINT, MUTED
from tui_loraswitch.panes.base import Pane
from tui_loraswitch.panes.lines import Lines

log = logging.getLogger(__name__)

MAX_LINES = 500

SIGNS: dict[Kind, tuple[str, str]] = {
    "info": ("·", MUTED),
    "done": ("✓", "$text-success"),
    "work": ("▸", "$text-primary"),
    "warning": ("!", "$text-warning"),
    "failure": ("✗", "$text-error"),
}
"""Sign and colour of each kind."""

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
        self._lines_seen = 0

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

    def show_view(self, view: EngineView) -> None:
        """Write down what the engine has told since the last view."""
        new = min(view.lines_written - self._lines_seen, len(view.log))
        self._lines_seen = view.lines_written
        for line in view.log[len(view.log) - new :] if new > 0 else ():
            self._add(line)

    def write(self, line: LogLine) -> None:
        """Write down something that happened now."""
        self._add(structs.replace(line, time=self._clock()))

    def _add(self, line: LogLine) -> None:
        log.info("%s: %s", line.kind, line.text)
        when = time.strftime("%H:%M:%S", time.localtime(line.time))
        self.query_one(LogView).add(when, line)
