"""A text in which keys change the weight of words, as A1111 does it."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.document._document import Document
from textual.widgets import TextArea
from textual.widgets.text_area import Selection

from tui_loraswitch.control.prompt_weights import weighed


class WeighedText(TextArea):
    """Ctrl+↑ and Ctrl+↓ change weights; Ctrl+U and Ctrl+K delete in the line, as in a shell."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("ctrl+up,alt+up", "weigh(1)", "weight +", id="editor.heavier", priority=True,
                key_display="^↑", tooltip="The word, bracket or tag at the cursor counts more"),
        Binding("ctrl+down,alt+down", "weigh(-1)", "weight −", id="editor.lighter", priority=True,
                key_display="^↓", tooltip="The word, bracket or tag at the cursor counts less"),
    ]  # fmt: skip

    @property
    def numbered(self) -> Document:
        """The text, which knows the number of each of its characters."""
        assert isinstance(self.document, Document)
        return self.document

    def action_delete_to_start_of_line(self) -> None:
        """All before the cursor, however many rows of the screen the line takes."""
        row, column = self.selection.end
        if column:
            self.delete((row, 0), (row, column))
        else:
            super().action_delete_to_start_of_line()

    async def action_delete_to_end_of_line_or_delete_line(self) -> None:
        """All behind the cursor, in the same way."""
        row, column = self.selection.end
        if column < (end := len(self.numbered[row])):
            self.delete((row, column), (row, end))
        else:
            await super().action_delete_to_end_of_line_or_delete_line()

    def action_weigh(self, steps: int) -> None:
        """Change the weight of what is marked, or of the word at the cursor."""
        start, end = sorted(map(self.numbered.get_index_from_location, self.selection))
        text = self.text
        after = weighed(text, start, end, steps)
        if after.text != text:
            # One edit of what differs, so that one undo takes it back.
            first, last, new_last = _difference(text, after.text)
            at = self.numbered.get_location_from_index
            self.replace(after.text[first:new_last], at(first), at(last))
        at = self.numbered.get_location_from_index
        self.selection = Selection(at(after.start), at(after.end))


def _difference(before: str, after: str) -> tuple[int, int, int]:
    """Where they begin to differ, and where that ends in each of them."""
    shorter = min(len(before), len(after))
    first = next((n for n in range(shorter) if before[n] != after[n]), shorter)
    left = shorter - first
    same = next((n for n in range(left) if before[-1 - n] != after[-1 - n]), left)
    return first, len(before) - same, len(after) - same
