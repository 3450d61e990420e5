"""What all panes share: a bordered box that hears engine events."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Self

from textual.content import Content
from textual.geometry import Region
from textual.message import Message
from textual.widget import Widget
from textual.widgets import Static

from engine.protocol.view import EngineView
from tui_loraswitch.look.layout import RIGHT_PANES
from tui_loraswitch.look.theme import FAINT


class Pane(Widget):
    """A box with a title; subclasses show one subject and own its keys, messages and styles."""

    DEFAULT_CSS = """
    Pane {
        layout: vertical;
        position: absolute;
        border: round $border-blurred;
        border-title-color: $text-muted;
        border-title-style: bold;
        border-subtitle-color: $text-muted;
        border-subtitle-align: right;
        background: $background;
        padding: 0 1;
        &:focus, &:focus-within {
            border: round $border;
            border-title-color: $primary;
        }
    }
    """

    TITLE = ""

    _painted_row: int | None = None
    """The row of the frame that is all that changes just now."""

    class RoomWanted(Message):
        """A pane has more or fewer lines to show than before."""

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._title = Content(self.TITLE)
        self._subtitle = ""
        self._tabs: Content | None = None
        self.lines_wanted = 0
        """Lines of content, for panes that get room by that; 0 where it makes no difference."""
        self._show_border_title()

    def want_lines(self, lines: int) -> None:
        """Ask for room for so many lines of content."""
        if lines != self.lines_wanted:
            self.lines_wanted = lines
            self.post_message(self.RoomWanted())

    def take_room(self, height: int) -> None:
        """Have so many lines, with the frame, from now on; called before they are laid out."""

    def show_title(self, title: Content) -> None:
        """Name what the pane shows just now."""
        if not title.is_same(self._title):
            self._title = title
            if self._tabs is None:
                self._show_border_title()

    def show_subtitle(self, words: str) -> None:
        """Say something short in the lower border."""
        if words != self._subtitle:
            self._subtitle = words
            with self._painting_row(-1):
                self.border_subtitle = Content(words)

    def show_tabs(self, tabs: Content | None) -> None:
        """Put tabs where the title was, for the folded screen; None brings the title back."""
        if tabs is not self._tabs:
            self._tabs = tabs
            self._show_border_title()

    @property
    def shows_tabs(self) -> bool:
        """Whether tabs are where the title was."""
        return self._tabs is not None

    def _show_border_title(self) -> None:
        """The tabs, or the title behind the number of the key that leads here."""
        title = self._title
        if self._tabs is not None:
            title = self._tabs
        elif self.id in RIGHT_PANES:
            number = f"{RIGHT_PANES.index(self.id) + 1} "
            title = Content.assemble((number, f"not bold {FAINT}"), title)
        with self._painting_row(0):
            self.border_title = title

    @contextmanager
    def _painting_row(self, row: int) -> Iterator[None]:
        """Paint one row of the frame: Textual repaints the whole pane for its title."""
        self._painted_row = row
        try:
            yield
        finally:
            self._painted_row = None

    def refresh(
        self,
        *regions: Region,
        repaint: bool = True,
        layout: bool = False,
        recompose: bool = False,
    ) -> Self:
        """Repaint the regions, or all, or the row of the frame that has changed."""
        if self._painted_row is not None and not regions:
            width, height = self.outer_size
            row = Region(0, self._painted_row % max(1, height), width, 1)
            # Textual counts regions from where the content begins.
            regions = (row.translate(-self.content_offset),)
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)

    def focus_target(self) -> Widget | None:
        """The widget that takes the focus when the pane is chosen; None when it takes none."""
        return self if self.can_focus else None

    def show_view(self, view: EngineView) -> None:
        """Show what of the engine concerns this pane."""


class Line(Static):
    """A line of text that repaints only when its content differs: bytes over SSH count."""

    DEFAULT_CSS = """
    Line { height: 1; width: 1fr; text-wrap: nowrap; text-overflow: ellipsis; }
    """

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes, markup=False)
        self._shown = Content()
        self._painted_from = 0
        """The cell from which on a change paints the line."""

    def show(self, content: Content) -> None:
        """Show `content`, and paint from the first cell that differs."""
        if content.is_same(self._shown):
            return
        is_left = self.styles.text_align in ("left", "start")
        first = _first_difference(self._shown, content) if is_left else 0
        self._shown = content
        self._painted_from = first
        try:
            self.update(content, layout=False)
        finally:
            self._painted_from = 0

    def refresh(
        self,
        *regions: Region,
        repaint: bool = True,
        layout: bool = False,
        recompose: bool = False,
    ) -> Self:
        """Repaint the regions, or all, or what has changed of the line."""
        if self._painted_from and not regions:
            width = max(0, self.size.width - self._painted_from)
            regions = (Region(self._painted_from, 0, width, 1),)
        return super().refresh(*regions, repaint=repaint, layout=layout, recompose=recompose)


def _first_difference(before: Content, after: Content) -> int:
    """The first cell in which two lines differ; a wide character before it may begin there."""
    same = 0
    for one, other in zip(before.plain, after.plain, strict=False):
        if one != other:
            break
        same += 1
    # Where a style begins or ends elsewhere, the cells from there on look different.
    spans = set(before.spans) ^ set(after.spans)
    for span in spans:
        same = min(same, span.start) if span.start < same else same
    return after[:same].cell_length
