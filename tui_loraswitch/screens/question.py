"""A question with a few answers; Escape gives none."""

from __future__ import annotations

from typing import ClassVar

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.content import Content
from textual.screen import ModalScreen
from textual.widgets import OptionList, Static
from textual.widgets.option_list import Option

from tui_loraswitch.screens.framed import Framed
from tui_loraswitch.screens.options import Options

_WIDTH = 60
_AROUND_TITLE = 6


class QuestionScreen(ModalScreen[str | None]):
    """Shows a sentence over its answers; gives back the chosen one."""

    DEFAULT_CSS = f"""
    QuestionScreen {{
        align: center middle;
        & > Vertical {{
            width: {_WIDTH}; max-width: 100%; height: auto; max-height: 100%; padding: 0 1;
            background: $background; border: round $border; border-title-color: $primary;
            border-title-style: bold; border-subtitle-color: $text-muted;
        }}
        & Static {{ height: auto; color: $primary; text-style: bold; }}
        & OptionList, & OptionList:focus {{
            border: none; padding: 0; height: auto; background: $background;
            & > .option-list--option-highlighted {{ background: $primary 28%; text-style: bold; }}
        }}
    }}
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "close", id="question.close", tooltip="Change nothing"),
    ]

    def __init__(self, words: str, answers: tuple[str, ...]) -> None:
        super().__init__()
        self._words = words
        self._answers = answers

    def compose(self) -> ComposeResult:
        """The sentence, the answers below it."""
        with Framed("Enter chooses · Escape stays"):
            yield Static(Content(self._words))
            yield Options(*(Option(Content(answer)) for answer in self._answers))

    def on_resize(self) -> None:
        """The sentence is in the frame where it fits."""
        box, sentence = self.query_one(Vertical), Content(self._words)
        room = min(_WIDTH, self.size.width) - _AROUND_TITLE
        fits = sentence.cell_length <= room
        box.border_title = sentence if fits else ""
        self.query_one(Static).display = not fits

    @on(OptionList.OptionSelected)
    def choose(self, message: OptionList.OptionSelected) -> None:
        """Hand the answer back."""
        self.dismiss(self._answers[message.option_index])
