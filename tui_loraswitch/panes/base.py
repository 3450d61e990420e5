"""What all panes share: a bordered box that hears engine events."""

from __future__ import annotations

from textual.content import Content
from textual.widget import Widget
from textual.widgets import Static

from engine.protocol.view import EngineView


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

    def __init__(self, *, id: str) -> None:
        super().__init__(id=id)
        self._title = Content(self.TITLE)
        self._subtitle = ""
        self._tabs: Content | None = None
        self.border_title = self._title

    def show_title(self, title: Content) -> None:
        """Name what the pane shows just now.

        A new title repaints the whole pane, as does a new subtitle: set them with the content.
        """
        if not title.is_same(self._title):
            self._title = title
            if self._tabs is None:
                self.border_title = title

    def show_subtitle(self, words: str) -> None:
        """Say something short in the lower border."""
        if words != self._subtitle:
            self._subtitle = words
            self.border_subtitle = Content(words)

    def show_tabs(self, tabs: Content | None) -> None:
        """Put tabs where the title was, for the folded screen; None brings the title back."""
        if tabs is not self._tabs:
            self._tabs = tabs
            self.border_title = tabs or self._title

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

    def show(self, content: Content) -> None:
        """Show `content`."""
        if not content.is_same(self._shown):
            self._shown = content
            self.update(content, layout=False)
