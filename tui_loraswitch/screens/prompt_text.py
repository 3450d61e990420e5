"""The text of a prompt with its faults underlined and the borders of its chunks shown."""

from __future__ import annotations

from typing import ClassVar

from rich.style import Style
from rich.text import Text
from textual.binding import Binding, BindingType
from textual.document._document import Document
from textual.message import Message
from textual.widgets import TextArea
from textual.widgets.text_area import Selection

from engine.words.chunk_places import Chunk
from tui_loraswitch.control.prompt_completion import Suggestion
from tui_loraswitch.control.prompt_faults import Fault
from tui_loraswitch.control.prompt_weights import weighed

_FAULT = Style(underline=True, bold=True)
_BORDER = Style(reverse=True)


class PromptText(TextArea):
    """A text of many lines; Enter is a new line, Ctrl+↑ and Ctrl+↓ change weights."""

    DEFAULT_CSS = """
    PromptText, PromptText:focus {
        border: round $border-blurred; border-title-color: $text-muted;
        border-title-style: bold; border-subtitle-color: $text-muted;
        padding: 0 1; background: $background; scrollbar-size-vertical: 1;
    }
    PromptText:focus { border: round $border; border-title-color: $primary; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+up,alt+up", "weigh(1)", "weight +", id="editor.heavier", priority=True,
                key_display="^↑", tooltip="The word, bracket or tag at the cursor counts more"),
        Binding("ctrl+down,alt+down", "weigh(-1)", "weight −", id="editor.lighter", priority=True,
                key_display="^↓", tooltip="The word, bracket or tag at the cursor counts less"),
    ]  # fmt: skip

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
        start = self._document.get_index_from_location((line_index, 0))
        for fault in self._faults:
            line.stylize(_FAULT, max(0, fault.start - start), max(0, fault.end - start))
        for border in self._borders:
            if 0 <= border - start < len(line):
                line.stylize(_BORDER, border - start, border - start + 1)
        return line

    @property
    def _document(self) -> Document:
        """The text, which knows the number of each of its characters."""
        assert isinstance(self.document, Document)
        return self.document

    @property
    def before_cursor(self) -> str:
        """The cursor's line as far as it."""
        row, column = self.cursor_location
        return self.document.get_line(row)[:column]

    def take(self, suggestion: Suggestion) -> None:
        """Put a suggestion in the place of what it completes."""
        row, column = self.cursor_location
        self.replace(suggestion.text, (row, column - suggestion.replaces), (row, column))

    def action_weigh(self, steps: int) -> None:
        """Change the weight of what is marked, or of the word at the cursor."""
        start, end = sorted(map(self._document.get_index_from_location, self.selection))
        text = self.text
        after = weighed(text, start, end, steps)
        if after.text != text:
            # One edit of what differs, so that one undo takes it back.
            first, last, new_last = _difference(text, after.text)
            at = self._document.get_location_from_index
            self.replace(after.text[first:new_last], at(first), at(last))
        at = self._document.get_location_from_index
        self.selection = Selection(at(after.start), at(after.end))

    def on_text_area_selection_changed(self) -> None:
        """The cursor may stand in another word."""
        self.post_message(self.Moved())


def _difference(before: str, after: str) -> tuple[int, int, int]:
    """Where they begin to differ, and where that ends in each of them."""
    shorter = min(len(before), len(after))
    first = next((n for n in range(shorter) if before[n] != after[n]), shorter)
    left = shorter - first
    same = next((n for n in range(left) if before[-1 - n] != after[-1 - n]), left)
    return first, len(before) - same, len(after) - same
