"""The pictures of the gallery as a grid of thumbnails, of which only what is seen costs."""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from pathlib import Path
from typing import ClassVar

from rich.color import Color, ColorType
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from engine.store.pictures import PictureRow
from engine.words.clean import clean_line
from tui_loraswitch.images.fit import HalfCells
from tui_loraswitch.screens.gallery.days import Days
from tui_loraswitch.screens.gallery.loader import ThumbnailLoader

WIDTH, ROWS = 16, 8
"""Cells of a thumbnail."""
_GAP = 2
_HEIGHT = ROWS + 1
_HERE, _DIM = Style(reverse=True, bold=True), Style(dim=True)
_MOST_KEPT = 600
"""Thumbnails that are kept ready to be shown, some 800 bytes each."""


class GalleryGrid(ScrollView, can_focus=True):
    """Shows pictures by day; the cursor is on one of them, and some may be marked."""

    DEFAULT_CSS = """
    GalleryGrid {
        height: 1fr; background: $background; scrollbar-size-vertical: 1; overflow-x: hidden;
    }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left,h", "move(-1)", "earlier", id="gallery.left", show=False,
                tooltip="The picture to the left"),
        Binding("right,l", "move(1)", "later", id="gallery.right", show=False,
                tooltip="The picture to the right"),
        Binding("up,k", "move_rows(-1)", "up", id="gallery.up", show=False,
                tooltip="The row above"),
        Binding("down,j", "move_rows(1)", "down", id="gallery.down", show=False,
                tooltip="The row below"),
        Binding("pageup", "page(-1)", "page up", id="gallery.page-up", show=False,
                tooltip="A page up"),
        Binding("pagedown", "page(1)", "page down", id="gallery.page-down", show=False,
                tooltip="A page down"),
        Binding("home", "end(-1)", "first", id="gallery.first", show=False,
                tooltip="The newest picture"),
        Binding("end,G", "end(1)", "last", id="gallery.last", show=False,
                tooltip="The oldest picture"),
    ]  # fmt: skip

    class Moved(Message):
        """The cursor is on another picture."""

    class Opened(Message):
        """The picture under the cursor was clicked once more."""

    class Ready(Message):
        """A thumbnail is there; None: the file cannot be read."""

        def __init__(self, path: Path, cells: HalfCells | None) -> None:
            super().__init__()
            self.path, self.cells = path, cells

    def __init__(self, loader: ThumbnailLoader | None = None, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.loader = loader
        self.rows: Sequence[PictureRow] = ()
        self.cursor = 0
        self.marked: list[Path] = []
        self._days = Days((), 1, _HEIGHT)
        self._small: OrderedDict[bytes, list[Strip] | None] = OrderedDict()
        """The lines of thumbnails, each with the gap behind it."""
        self._base = Style()

    @property
    def row(self) -> PictureRow | None:
        """The picture under the cursor."""
        return self.rows[self.cursor] if self.cursor < len(self.rows) else None

    def show(self, rows: Sequence[PictureRow]) -> None:
        """Show other pictures; the cursor stays on its picture, or else at its place."""
        before = self.row
        self.rows = rows
        if before is not None and not (
            self.cursor < len(rows) and rows[self.cursor].id == before.id
        ):
            places = (n for n, row in enumerate(rows) if row.id == before.id)
            self.cursor = next(places, min(self.cursor, max(0, len(rows) - 1)))
        there = {row.raw_path for row in rows} if self.marked else set()
        self.marked = [path for path in self.marked if os.fsencode(path) in there]
        self._arrange()
        self.post_message(self.Moved())

    def toggle_mark(self) -> None:
        """Mark the picture under the cursor, or take its mark away; two are marked at most."""
        row = self.row
        if row is None:
            return
        if row.path in self.marked:
            self.marked.remove(row.path)
        else:
            self.marked = [*self.marked[-1:], row.path]
        self.refresh()

    def action_move(self, by: int) -> None:
        """Go to the picture before or after."""
        self.move_to(self.cursor + by)

    def action_move_rows(self, by: int) -> None:
        """Go to the row above or below."""
        if self.rows:
            self.move_to(self._days.beside(self.cursor, by))

    def action_page(self, by: int) -> None:
        """Go a page further."""
        self.action_move_rows(by * max(1, self.size.height // _HEIGHT))

    def action_end(self, by: int) -> None:
        """Go to the first or the last."""
        self.move_to(0 if by < 0 else len(self.rows) - 1)

    def move_to(self, number: int) -> None:
        """Put the cursor on a picture, and what is around it into sight."""
        number = max(0, min(number, len(self.rows) - 1))
        if number == self.cursor or not self.rows:
            return
        before, self.cursor = self.cursor, number
        for each in (before, number):
            self._repaint(each)
        self._scroll_to_cursor()
        self._want()
        self.post_message(self.Moved())

    def on_resize(self) -> None:
        """As many beside each other as there is room for."""
        self._arrange()

    def on_click(self, event: events.Click) -> None:
        """Put the cursor on a picture; on the one that has it already, open it."""
        block = self._days.block_at(event.y + self.scroll_offset.y)
        column = event.x // (WIDTH + _GAP)
        if block is None or block.heading or column >= block.count:
            return
        if block.first + column == self.cursor:
            self.post_message(self.Opened())
        else:
            self.move_to(block.first + column)

    def on_gallery_grid_ready(self, message: GalleryGrid.Ready) -> None:
        """Take a thumbnail."""
        message.stop()
        raw = os.fsencode(message.path)
        self._small[raw] = _lines(message.cells, self._base) if message.cells else None
        while len(self._small) > _MOST_KEPT:
            self._small.popitem(last=False)
        for number in self._seen():
            if self.rows[number].raw_path == raw:
                self._repaint(number)

    def watch_scroll_y(self, old: float, new: float) -> None:
        """What is seen is other pictures."""
        super().watch_scroll_y(old, new)
        self._want()

    def _arrange(self) -> None:
        width = self.size.width or self.app.size.width
        self._days = Days(self.rows, (width + _GAP - 1) // (WIDTH + _GAP), _HEIGHT)
        self.virtual_size = Size(width, self._days.lines)
        self._scroll_to_cursor()
        self.refresh()
        self.call_after_refresh(self._want)

    def _scroll_to_cursor(self) -> None:
        row = self._days.row_of(self.cursor)
        if row is not None:
            # With the heading of its day, where that is just above.
            top = row.top - 1 if self._days.block_at(row.top - 1) else row.top
            region = Region(0, top, 1, row.top + _HEIGHT - top)
            self.scroll_to_region(region, animate=False, force=True)

    def _seen(self) -> range:
        """The numbers of the pictures that are in sight."""
        top = int(self.scroll_offset.y)
        blocks = (self._days.block_at(y) for y in range(top, top + max(1, self.size.height)))
        rows = [block for block in blocks if block is not None and not block.heading]
        return range(rows[0].first, rows[-1].first + rows[-1].count) if rows else range(0)

    def _want(self) -> None:
        """Ask for thumbnails of what is in sight, from the cursor on."""
        if self.loader is not None:
            numbers = sorted(self._seen(), key=lambda n: abs(n - self.cursor))
            rows = (self.rows[n] for n in numbers)
            self.loader.want([row.path for row in rows if row.raw_path not in self._small])

    def _repaint(self, number: int) -> None:
        block = self._days.row_of(number)
        if block is not None:
            x = (number - block.first) * (WIDTH + _GAP)
            region = Region(x, block.top, WIDTH + _GAP, _HEIGHT)
            self.refresh(region.translate(-self.scroll_offset))

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines of a part of the screen; the style is looked up once for all of them."""
        self._base = self.rich_style
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """A line of headings, thumbnails or names."""
        line = y + int(self.scroll_offset.y)
        block = self._days.block_at(line)
        width = self.size.width
        base = self._base
        if block is None:
            return Strip.blank(width, base)
        if block.heading:
            words = f"{block.heading} · {block.count}"
            return Strip([Segment(words, base + Style(bold=True))]).adjust_cell_length(width, base)
        parts: list[Strip] = []
        for number in range(block.first, block.first + block.count):
            parts.append(self._part(number, line - block.top, base))
        return Strip.join(parts).adjust_cell_length(width, base)

    def _part(self, number: int, line: int, base: Style) -> Strip:
        """A line of one picture, with the gap behind it."""
        row = self.rows[number]
        is_here = number == self.cursor
        if line == ROWS:
            marks = ("◆" if self.marked and row.path in self.marked else "") + (
                "★" if row.favourite else ""
            )
            name = clean_line(row.path.stem, WIDTH * 2)
            style = base + (_HERE if is_here else _DIM)
            words = Strip([Segment(f"{marks} {name}".lstrip(), style)])
            return Strip([*words.adjust_cell_length(WIDTH, style), Segment(" " * _GAP, base)])
        edge = Segment("▌ " if is_here else " " * _GAP, base)
        lines = self._small.get(row.raw_path, ())
        if lines and line < len(lines):
            own = lines[line]
            return Strip([*list(own)[:-1], edge], WIDTH + _GAP) if is_here else own
        if lines:
            return Strip([Segment(" " * WIDTH, base), edge], WIDTH + _GAP)
        sign = "?" if lines is None else "…"
        middle = sign.center(WIDTH) if line == ROWS // 2 else " " * WIDTH
        return Strip([Segment(middle, base + _DIM), edge], WIDTH + _GAP)


def _lines(cells: HalfCells, base: Style) -> list[Strip]:
    """The lines of a thumbnail, in the middle of its place, each with the gap behind it."""
    left = (WIDTH - cells.width) // 2
    before = [Segment(" " * left, base)] if left else []
    right = WIDTH - left - cells.width
    behind = [*([Segment(" " * right, base)] if right else []), Segment(" " * _GAP, base)]
    stride = cells.width * 3
    lines = []
    for y in range(cells.rows):
        upper, lower = (cells.rgb[n * stride : (n + 1) * stride] for n in (2 * y, 2 * y + 1))
        colours = [(upper[x : x + 3], lower[x : x + 3]) for x in range(0, stride, 3)]
        row = [Segment("▀" * len(list(run)), _style(*pair)) for pair, run in groupby(colours)]
        lines.append(Strip([*before, *row, *behind], WIDTH + _GAP))
    return lines


@lru_cache(maxsize=4096)
def _style(upper: bytes, lower: bytes) -> Style:
    front, back = (Color("", ColorType.TRUECOLOR, triplet=ColorTriplet(*c)) for c in (upper, lower))
    return Style(color=front, bgcolor=back)
