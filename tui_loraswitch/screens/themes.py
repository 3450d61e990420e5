"""Choosing a theme: the screen behind shows each as the cursor comes to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList
from textual.widgets.option_list import Option

from tui_loraswitch.screens.options import Options


class ThemeScreen(ModalScreen[str]):
    """Gives the chosen theme, or the one of before."""

    DEFAULT_CSS = """
    ThemeScreen {
        align: right middle; background: transparent;
        & > OptionList, & > OptionList:focus {
            width: 28; max-width: 100%; height: auto; max-height: 100%; padding: 0 1;
            border: round $border; border-title-color: $primary; border-title-style: bold;
            border-subtitle-color: $text-muted; background: $background;
            scrollbar-size-vertical: 1;
        }
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "leave", "close", id="themes.close",
                tooltip="Keep the theme of before"),
    ]  # fmt: skip

    def __init__(self, names: Sequence[str], before: str) -> None:
        super().__init__()
        self._names = names
        self._before = before

    def compose(self) -> ComposeResult:
        """A theme a row."""
        options = Options(*(Option(Content(name)) for name in self._names))
        options.border_title = "Themes"
        options.border_subtitle = "Enter keeps"
        if self._before in self._names:
            options.highlighted = self._names.index(self._before)
        yield options

    @on(OptionList.OptionHighlighted)
    def preview(self, message: OptionList.OptionHighlighted) -> None:
        """Show what the theme makes of the screen behind."""
        self.app.theme = self._names[message.option_index]

    @on(OptionList.OptionSelected)
    def choose(self, message: OptionList.OptionSelected) -> None:
        """Keep the theme."""
        self.dismiss(self._names[message.option_index])

    def action_leave(self) -> None:
        """Go back to the theme of before."""
        self.dismiss(self._before)
