"""A text to be read, and copied."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import VerticalScroll
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Static

from engine.words.clean import clean_text


class TextScreen(ModalScreen[None]):
    """Shows a text of any length; `copy` is what `y` does."""

    DEFAULT_CSS = """
    TextScreen {
        align: center middle;
        & > VerticalScroll {
            width: 76; max-width: 100%; height: auto; max-height: 100%; padding: 0 2;
            background: $background; border: round $border; scrollbar-size-vertical: 1;
            border-title-color: $primary; border-title-style: bold;
            border-subtitle-color: $text-muted;
        }
        & Static { height: auto; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,i,enter", "dismiss(None)", "close", id="text.close", tooltip="Close it"),
        Binding("y", "copy", "copy", id="text.copy", tooltip="Copy the text"),
    ]

    def __init__(self, title: str, text: str, copy: Callable[[], object]) -> None:
        super().__init__()
        self._title, self._text, self._copy = title, clean_text(text), copy

    def compose(self) -> ComposeResult:
        """The text, which scrolls."""
        with VerticalScroll() as box:
            box.border_title = Content(self._title)
            box.border_subtitle = "y copies · Escape closes"
            yield Static(Content(self._text))

    def action_copy(self) -> None:
        """Copy the text."""
        self._copy()
