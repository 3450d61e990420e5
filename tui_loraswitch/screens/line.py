"""A dialog of one line of text."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import Input, Static

from engine.words.clean import clean_line
from tui_loraswitch.screens.framed import Framed


class LineScreen(ModalScreen[str | None]):
    """Edits a line; gives it back, or None when left by Escape."""

    DEFAULT_CSS = """
    LineScreen {
        align: center middle;
        & > Vertical {
            width: 76; max-width: 100%; height: auto; padding: 0 2; background: $background;
            border: round $border; border-title-color: $primary; border-title-style: bold;
            border-subtitle-color: $text-muted;
        }
        & Input, & Input:focus { border: none; height: 1; padding: 0; background: $surface; }
        & Static { height: auto; padding-top: 1; color: $text-muted; }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "close", id="line.close",
                tooltip="Leave it as it was"),
    ]  # fmt: skip

    def __init__(self, title: str, text: str, hint: str = "") -> None:
        super().__init__()
        self._title, self._text, self._hint = clean_line(title), text, clean_line(hint)

    def compose(self) -> ComposeResult:
        """The line, and what may be written."""
        with Framed("Enter applies · Escape cancels") as box:
            box.border_title = Content(self._title)
            field = Input(self._text, id="line", compact=True)
            field.cursor_blink = False
            yield field
            if self._hint:
                yield Static(Content(self._hint))

    @on(Input.Submitted)
    def apply(self, message: Input.Submitted) -> None:
        """Hand the line back."""
        self.dismiss(message.value)
