"""The text of a prompt with its faults underlined and the borders of its chunks shown."""

from __future__ import annotations

from rich.style import Style
from rich.text import Text
from textual.message import Message

from engine.words.chunk_places import Chunk
from tui_loraswitch.control.prompt_completion import Suggestion
from tui_loraswitch.control.prompt_faults import Fault
from tui_loraswitch.panes.weighed_text import WeighedText

_FAULT = Style(underline=True, bold=True)
_BORDER = Style(reverse=True)


class PromptText(WeighedText):
    """A text of many lines; Enter is a new line, Ctrl+↑ and Ctrl+↓ change weights."""

    DEFAULT_CSS = """
    PromptText, PromptText:focus {
        border: round $border-blurred; border-title-color: $text-muted;
        border-title-style: bold; border-subtitle-color: $text-muted;
        padding: 0 1; background: $background; scrollbar-size-vertical: 1;
    }
    PromptText:focus { border: round $border; border-title-color: $primary; }
    """

    class Moved(Message):
        """The cursor stands elsewhere, or the text is another."""

    def __init__(self, text: str, *, id: str) -> None:
        super().__init__(text, id=id, soft_wrap=True, highlight_cursor_line=False)
        self.cursor_blink = False
        self._faults: list[Fault] = []
        self._borders: list[int] = []

    def show_marks(self, faults: list[Fault], chunks: list[Chunk]) -> None:
        """Underline faults, and mark the first character of each chunk but the first."""
        self._faults, self._borders = faults, [chunk.start for chunk in chunks[1:]]
        self._line_cache.clear()
        self.refresh()

    def get_line(self, line_index: int) -> Text:
        """A line with its marks."""
        line = super().get_line(line_index)
        start = self.numbered.get_index_from_location((line_index, 0))
        for fault in self._faults:
            line.stylize(_FAULT, max(0, fault.start - start), max(0, fault.end - start))
        for border in self._borders:
            if 0 <= border - start < len(line):
                line.stylize(_BORDER, border - start, border - start + 1)
        return line

    @property
    def before_cursor(self) -> str:
        """The cursor's line as far as it."""
        row, column = self.cursor_location
        return self.document.get_line(row)[:column]

    def take(self, suggestion: Suggestion) -> None:
        """Put a suggestion in the place of what it completes."""
        row, column = self.cursor_location
        self.replace(suggestion.text, (row, column - suggestion.replaces), (row, column))

    def on_text_area_selection_changed(self) -> None:
        """The cursor may stand in another word."""
        self.post_message(self.Moved())
