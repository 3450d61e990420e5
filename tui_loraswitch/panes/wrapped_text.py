"""Text that wraps to the width, scrolls, and can be marked with the mouse and copied."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import NamedTuple

from textual.content import Content
from textual.selection import Selection
from textual.strip import Strip

from tui_loraswitch.panes.lines import Lines


class _Piece(NamedTuple):
    """What stands on one line of the screen: a part of line `number` of the text, from `start`."""

    content: Content
    number: int
    start: int


class WrappedText(Lines):
    """A text from its beginning; other words lay out nothing, however long they are."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.words = Content()
        """What is shown, unwrapped."""
        self._pieces: list[_Piece] = []

    def show(self, words: Content) -> None:
        """Show other words from their beginning."""
        if words.is_same(self.words) and not self.scroll_offset.y:
            return
        if not words.is_same(self.words) and self.is_attached and self.text_selection is not None:
            # What was marked is gone.
            self.screen.clear_selection()
        self.words = words
        self._wrap()
        self.scroll_home(animate=False)

    def on_resize(self) -> None:
        """Wrap again."""
        self._wrap()
        self.refresh()

    def draw(self, number: int, width: int) -> Strip | None:
        """One line, of which the words can be marked."""
        if number >= len(self._pieces):
            return None
        content, line, start = self._pieces[number]
        marked = self._marked(content, line, start)
        strip = Strip(marked.render_segments(self.visual_style), content.cell_length)
        # Behind the words there is nothing to mark.
        return strip.apply_offsets(start, line).extend_cell_length(width, self.rich_style)

    def get_selection(self, selection: Selection) -> tuple[str, str]:
        """What is marked, as it was before it was wrapped, and what ends it."""
        return selection.extract(self.words.plain), "\n"

    def _marked(self, content: Content, number: int, start: int) -> Content:
        selection = self.text_selection
        if selection is None or (span := selection.get_span(number)) is None:
            return content
        first, last = span
        end = len(content) if last == -1 else last - start
        style = self.screen.get_visual_style("screen--selection")
        return content.stylize(style, max(0, first - start), max(0, end))

    def _wrap(self) -> None:
        width = self.scrollable_content_region.width
        lines = enumerate(self.words.split("\n", allow_blank=True))
        before = self._pieces
        self._pieces = [piece for n, line in lines for piece in _wrapped(n, line, width)]
        self.show_number(len(self._pieces), _changed(before, self._pieces))


def _changed(before: list[_Piece], after: list[_Piece]) -> Iterator[int]:
    """The numbers of the lines that look different, or are marked and copied differently."""
    for number, (one, other) in enumerate(zip_longest(before, after)):
        if (
            one is None
            or other is None
            or one[1:] != other[1:]
            or not one.content.is_same(other.content)
        ):
            yield number


def _wrapped(number: int, line: Content, width: int) -> Iterator[_Piece]:
    start = 0
    for part in line.wrap(width) if width > 0 else ():
        # Wrapping leaves out spaces where it breaks a line.
        start = max(start, line.plain.find(part.plain, start))
        yield _Piece(part, number, start)
        start += len(part)
