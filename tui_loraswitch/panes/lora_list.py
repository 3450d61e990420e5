"""The list of LoRAs; it draws only the lines that are visible, so ten thousand cost nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar

from textual import events
from textual.binding import Binding, BindingType
from textual.content import Content
from textual.message import Message
from textual.strip import Strip
from textual.style import Style

from engine.library.entry import LibraryEntry
from engine.library.own import OWN_NOTHING, Own
from engine.library.search import SearchIndex
from engine.protocol.view import Refusal
from tui_loraswitch.control.stack_view import StackView
from tui_loraswitch.look.theme import MUTED
from tui_loraswitch.panes.lines import Lines
from tui_loraswitch.panes.row_content import row_content
from tui_loraswitch.panes.rows import FolderRow, LoraRow, Row, Rows


class LoraList(Lines):
    """Rows with a cursor; reports what the cursor rests on and what is done to it."""

    DEFAULT_CSS = """
    LoraList {
        & > .lora-list--cursor { background: $panel; }
        &:focus > .lora-list--cursor { background: $primary 28%; text-style: bold; }
    }
    """
    COMPONENT_CLASSES: ClassVar[set[str]] = {"lora-list--cursor"}

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("enter", "activate", "switch", id="library.switch",
                tooltip="Switch to the highlighted LoRA alone; open or close a folder"),
        Binding("space", "toggle_member", "stack", id="library.toggle",
                tooltip="Add the highlighted LoRA to the stack or take it out"),
        Binding("down,j", "move(1)", "down", show=False, id="library.down",
                tooltip="Next row"),
        Binding("up,k", "move(-1)", "up", show=False, id="library.up",
                tooltip="Previous row"),
        Binding("pagedown,ctrl+f", "page(1)", "page down", show=False, id="library.pagedown",
                tooltip="One page down"),
        Binding("pageup,ctrl+b", "page(-1)", "page up", show=False, id="library.pageup",
                tooltip="One page up"),
        Binding("ctrl+d", "half_page(1)", "half down", show=False, id="library.half-down",
                tooltip="Half a page down"),
        Binding("ctrl+u", "half_page(-1)", "half up", show=False, id="library.half-up",
                tooltip="Half a page up"),
        Binding("J", "move_lora(1)", "next LoRA", show=False, id="library.next-lora",
                tooltip="Next LoRA, over folders"),
        Binding("K", "move_lora(-1)", "previous LoRA", show=False, id="library.previous-lora",
                tooltip="Previous LoRA, over folders"),
        Binding("home", "edge(0)", "first", show=False, id="library.first",
                tooltip="First row"),
        Binding("end,G", "edge(-1)", "last", show=False, id="library.last",
                tooltip="Last row"),
        Binding("right,l", "unfold(True)", "open folder", show=False, id="library.open",
                tooltip="Open the folder"),
        Binding("left,h", "unfold(False)", "close folder", show=False, id="library.close",
                tooltip="Close the folder, or go up to it"),
    ]  # fmt: skip

    class Activated(Message):
        """A LoRA was chosen to be switched to."""

        def __init__(self, entry: LibraryEntry) -> None:
            super().__init__()
            self.entry = entry

    class Toggled(Message):
        """A LoRA was chosen to go into the stack or out of it."""

        def __init__(self, entry: LibraryEntry) -> None:
            super().__init__()
            self.entry = entry

    class Folded(Message):
        """A folder was opened or closed."""

        def __init__(self, key: str, is_open: bool) -> None:
            super().__init__()
            self.key, self.is_open = key, is_open

    class Highlighted(Message):
        """The cursor moved onto another row."""

        def __init__(self, entry: LibraryEntry | None) -> None:
            super().__init__()
            self.entry = entry

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._rows = Rows(SearchIndex({}, {}, lambda id: None))
        self._cursor = 0
        self._reported: LibraryEntry | None = None
        self._stack = StackView()
        self._refused: Mapping[Path, Refusal] = {}
        self._note = Content()
        self._sought: Row | None = None
        """What the cursor was on, while it may be among the rows that are still to come."""
        self._marked: set[int] = set()
        """The ids of the files that are marked."""

    @property
    def highlighted(self) -> LibraryEntry | None:
        """The LoRA under the cursor."""
        row = self._row
        return row.entry if isinstance(row, LoraRow) else None

    @property
    def cursor(self) -> int:
        """The row under the cursor, counted from 0."""
        return self._cursor

    def lora_beside(self, step: int) -> LibraryEntry | None:
        """The LoRA in the row that is `step` further, where there is one."""
        number = self._cursor + step
        row = self._rows[number] if 0 <= number < len(self._rows) else None
        return row.entry if isinstance(row, LoraRow) else None

    @property
    def marked_or_highlighted(self) -> list[LibraryEntry]:
        """The marked LoRAs, else the one under the cursor."""
        entries = [entry for id in self._marked if (entry := self._rows.entry(id)) is not None]
        return entries or ([self.highlighted] if self.highlighted else [])

    @property
    def marked(self) -> int:
        """How many files are marked."""
        return len(self._marked)

    def toggle_mark(self) -> None:
        """Mark the LoRA under the cursor, or take its mark away, and go on to the next."""
        if isinstance(row := self._row, LoraRow):
            self._marked ^= {row.id}
            self.refresh_line(self._cursor)
            self.move_to(self._cursor + 1)

    def clear_marks(self) -> None:
        """Take all marks away."""
        self._marked.clear()
        self.refresh()

    @property
    def highlighted_own(self) -> Own:
        """The user's own words about the LoRA under the cursor."""
        row = self._row
        return row.own if isinstance(row, LoraRow) else OWN_NOTHING

    @property
    def rows(self) -> Rows:
        """All rows, seen or not."""
        return self._rows

    def show_rows(self, rows: Rows, is_complete: bool = True) -> None:
        """Show other rows; the cursor stays on what it was on, or goes to the first LoRA.

        Where these are the first of more to come, it may return to what is not among them.
        """
        if rows is self._rows:
            return
        before = self._in_view if self._rows else []
        row = self._sought or self._row
        place = rows.find(row) if row is not None else None
        self._sought = row if place is None and not is_complete else None
        self._cursor = rows.first_lora() if place is None else place
        self._rows = rows
        self.show_number(len(rows), ())
        self._keep_cursor_in_view()
        self._draw_what_differs(before)
        if self._sought is None:
            self._report()

    def show_note(self, words: str) -> None:
        """Say why there are no rows; not seen where there are any."""
        self._note = Content.styled(words, MUTED)
        if not self._rows:
            self.refresh()

    def show_marks(self, stack: StackView, refused: Mapping[Path, Refusal]) -> None:
        """Show which LoRAs are live, wanted, or were refused."""
        before, self._stack, self._refused = (self._stack, self._refused), stack, refused
        top, width = self.scroll_offset.y, self.scrollable_content_region.width
        for number in range(top, min(top + self.size.height, len(self._rows))):
            row = self._rows[number]
            looked = row_content(row, width, *before)
            if not looked.is_same(row_content(row, width, stack, refused)):
                self.refresh_line(number)

    def move_to(self, row: int) -> None:
        """Put the cursor on a row, within bounds."""
        row = max(0, min(row, len(self._rows) - 1))
        self._sought = None
        if row != self._cursor:
            before, self._cursor = self._cursor, row
            self.refresh_line(before)
            self.refresh_line(row)
            self._keep_cursor_in_view()
        self._report()

    def move_to_one_of(self, ids: Sequence[int]) -> None:
        """Put the cursor on the first of some files, unless it is on one of them."""
        if not ids:
            return
        row, self._sought = self._row, None
        if isinstance(row, LoraRow) and row.id in ids:
            self._report()
        elif (place := self._rows.find_file(ids[0])) is not None:
            self.move_to(place)

    def draw(self, number: int, width: int) -> Strip | None:
        """One row, or a line of the note where there are none."""
        if not self._rows:
            return self._note_line(number, width)
        if number >= len(self._rows):
            return None
        is_cursor = number == self._cursor
        style = self.get_visual_style("lora-list--cursor") if is_cursor else self.visual_style
        row = self._rows[number]
        content = row_content(row, width, self._stack, self._refused)
        if isinstance(row, LoraRow) and row.id in self._marked:
            style += Style(reverse=True)
        return Strip(content.render_segments(style), width)

    def action_activate(self) -> None:
        """Switch to the LoRA, or open or close the folder, under the cursor."""
        match self._row:
            case FolderRow(key=key, is_open=is_open):
                self.post_message(self.Folded(key, not is_open))
            case LoraRow(entry=entry):
                self.post_message(self.Activated(entry))

    def action_toggle_member(self) -> None:
        """Add the LoRA under the cursor to the stack, or take it out."""
        if isinstance(row := self._row, LoraRow):
            self.post_message(self.Toggled(row.entry))

    def action_move(self, rows: int) -> None:
        """Move the cursor by some rows."""
        self.move_to(self._cursor + rows)

    def action_page(self, pages: int) -> None:
        """Move the cursor by what is visible at once."""
        self.move_to(self._cursor + pages * max(1, self.size.height - 1))

    def action_half_page(self, halves: int) -> None:
        """Move the cursor by half of what is visible at once."""
        self.move_to(self._cursor + halves * max(1, self.size.height // 2))

    def action_move_lora(self, step: int) -> None:
        """Move the cursor to the next or previous LoRA; folders are passed over."""
        end = len(self._rows) if step > 0 else -1
        ahead = range(self._cursor + step, end, step)
        loras = (number for number in ahead if isinstance(self._rows[number], LoraRow))
        self.move_to(next(loras, self._cursor))

    def action_edge(self, row: int) -> None:
        """Move the cursor to the first or the last row."""
        self.move_to(row % max(1, len(self._rows)))

    def action_unfold(self, is_open: bool) -> None:
        """Open the folder under the cursor; close it, or else go to the one around it."""
        row = self._row
        if isinstance(row, FolderRow) and row.is_open != is_open:
            self.post_message(self.Folded(row.key, is_open))
        elif row is not None and not is_open:
            above = range(self._cursor - 1, -1, -1)
            self.move_to(next((i for i in above if self._rows[i].depth < row.depth), self._cursor))

    def on_click(self, event: events.Click) -> None:
        """A click highlights; a click on a folder folds it; a double click switches."""
        number = event.y + self.scroll_offset.y
        if number >= len(self._rows):
            return
        self.move_to(number)
        if isinstance(self._row, FolderRow) or event.chain == 2:
            self.action_activate()

    def on_resize(self) -> None:
        """Keep the cursor visible when the pane shrinks."""
        self.show_number(len(self._rows))
        self._keep_cursor_in_view()

    def _note_line(self, number: int, width: int) -> Strip | None:
        lines = self._note.wrap(width)
        if number >= len(lines):
            return None
        return Strip(lines[number].truncate(width, pad=True).render_segments(self.visual_style))

    @property
    def _in_view(self) -> list[tuple[Row | None, bool]]:
        """What each visible line shows, and whether the cursor is on it."""
        top, rows = self.scroll_offset.y, self._rows
        return [
            (rows[number] if number < len(rows) else None, number == self._cursor)
            for number in range(top, top + self.size.height)
        ]

    def _draw_what_differs(self, before: list[tuple[Row | None, bool]]) -> None:
        if not (self._rows and before):
            self.refresh()  # a note comes or goes
            return
        top = self.scroll_offset.y
        for number, (one, other) in enumerate(zip(before, self._in_view, strict=True), top):
            if one != other:
                self.refresh_line(number)

    @property
    def _row(self) -> Row | None:
        return self._rows[self._cursor] if self._cursor < len(self._rows) else None

    def _keep_cursor_in_view(self) -> None:
        height = self.scrollable_content_region.height
        if height <= 0:
            return
        top = self.scroll_offset.y
        if self._cursor < top:
            self.scroll_to(y=self._cursor, animate=False)
        elif self._cursor >= top + height:
            self.scroll_to(y=self._cursor - height + 1, animate=False)

    def _report(self) -> None:
        if self.highlighted != self._reported:
            self._reported = self.highlighted
            self.post_message(self.Highlighted(self._reported))
