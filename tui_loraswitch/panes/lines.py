"""Lines that scroll and are drawn one by one, as they come into view."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable

from textual.geometry import Size
from textual.scroll_view import ScrollView
from textual.scrollbar import ScrollBar
from textual.strip import Strip

from tui_loraswitch.panes.bar import Bar
from tui_loraswitch.panes.bare import Bare


class Lines(ScrollView, Bare, can_focus=True):
    """Any number of lines; a change of their number lays out nothing.

    Textual answers a new `virtual_size` with a layout of the whole screen, and with more when the
    scrollbar comes or goes: tens of milliseconds at each key of a filter. Here the scrollbar's
    column is always there, and shows nothing while all lines are in view.
    """

    DEFAULT_CSS = """
    Lines {
        height: 1fr;
        overflow-x: hidden;
        overflow-y: scroll;
        scrollbar-size-vertical: 1;
        scrollbar-background: $background;
        scrollbar-background-hover: $background;
        scrollbar-background-active: $background;
        background: $background;
    }
    """

    @property
    def vertical_scrollbar(self) -> ScrollBar:
        """The scrollbar, made when it is asked for first."""
        if self._vertical_scrollbar is None:
            self._vertical_scrollbar = bar = Bar(name="vertical")
            bar.display = False
            self.app._start_widget(self, bar)
        return self._vertical_scrollbar

    @abstractmethod
    def draw(self, number: int, width: int) -> Strip | None:
        """Line `number`, exactly `width` cells wide; None behind the last."""

    def render_line(self, y: int) -> Strip:
        """One visible line."""
        width = self.scrollable_content_region.width
        drawn = self.draw(y + self.scroll_offset.y, width)
        return Strip.blank(width, self.rich_style) if drawn is None else drawn

    def show_number(self, lines: int, changed: Iterable[int] | None = None) -> None:
        """Have so many lines from now on, and draw those in view anew, or only those `changed`."""
        room = self.scrollable_content_region
        # As many as there is room for: a bar of just that length is not drawn.
        size = Size(room.width, max(lines, room.height))
        if size != self.virtual_size:
            self.set_reactive(Lines.virtual_size, size)
            self.vertical_scrollbar.window_virtual_size = size.height
            self.vertical_scrollbar.window_size = room.height
            self.scroll_to(y=min(self.scroll_offset.y, self.max_scroll_y), animate=False)
        if changed is None:
            self.refresh()
        for line in changed or ():
            self.refresh_line(line)
