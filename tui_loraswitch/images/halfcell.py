"""A picture drawn with characters of two colours, such as ▀, in any terminal."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache

from rich.color import Color, ColorType
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui_loraswitch.images.budget import PictureBudget
from tui_loraswitch.images.fit import HalfCells
from tui_loraswitch.images.line_budget import changed_span
from tui_loraswitch.images.numbered_colours import NUMBERS

_BYTES_OF_RUN = {False: 40, True: 26}
"""Of the colours before a run and what ends them; by whether they have numbers."""
ROWS_AT_ONCE = 5
"""A whole picture takes the time of several keys to paint: between these rows, keys have theirs."""


class HalfCellPicture(Widget):
    """Shows `HalfCells`, and repaints only the cells in which a new picture differs."""

    DEFAULT_CSS = """
    HalfCellPicture { width: auto; height: auto; }
    """

    def __init__(self, budget: PictureBudget | None = None, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._budget = budget or PictureBudget()
        self._cells = HalfCells(0, 0, b"")
        self._strips: dict[int, Strip] = {}
        self._waiting: dict[int, tuple[int, int]] = {}
        """Rows whose strips are still those of the picture before: from which cell to which."""

    @property
    def cells(self) -> HalfCells:
        """What is shown."""
        return self._cells

    def show(self, cells: HalfCells) -> None:
        """Show another picture."""
        before, self._cells = self._cells, cells
        self._budget.spend(bytes_to_send(cells, before))
        is_like = (before.width, before.rows) == (cells.width, cells.rows)
        if not is_like or before.has_numbered_colours != cells.has_numbered_colours:
            self._strips.clear()
            self._waiting = {}
            self.styles.width, self.styles.height = cells.width, cells.rows
            self.refresh(layout=True)
            return
        for y in range(cells.rows):
            if _differ(before, cells, y):
                first, last = _changed(before, cells, y)
                waiting = self._waiting.get(y, (first, last))
                self._waiting[y] = min(first, waiting[0]), max(last, waiting[1])
        self._paint_some()

    def _paint_some(self) -> None:
        now = sorted(self._waiting)[:ROWS_AT_ONCE]
        regions = []
        for y in now:
            first, last = self._waiting.pop(y)
            self._strips.pop(y, None)
            regions.append(Region(first, y, last - first, 1))
        if regions:
            self.refresh(*regions)
        if self._waiting:
            self.call_after_refresh(self._paint_some)

    def render_line(self, y: int) -> Strip:
        """One line of cells; neighbours of one colour share a segment."""
        if y >= self._cells.rows:
            return Strip.blank(self.size.width, self.rich_style)
        if y not in self._strips:
            self._strips[y] = _strip(self._cells, y)
        return self._strips[y]


def _row(cells: HalfCells, y: int) -> bytes:
    stride = cells.width * 6
    return cells.rgb[y * stride : (y + 1) * stride]


def _changed(one: HalfCells, other: HalfCells, y: int) -> tuple[int, int]:
    """From which cell to which a row of two pictures of one size differs."""
    if one.symbols or other.symbols:
        return 0, one.width
    return changed_span(_row(one, y), _row(other, y), one.width)


def _differ(one: HalfCells, other: HalfCells, y: int) -> bool:
    """Whether two pictures of one size differ in a row."""
    symbols = slice(y * one.width, (y + 1) * one.width)
    return _row(one, y) != _row(other, y) or one.symbols[symbols] != other.symbols[symbols]


def bytes_to_send(cells: HalfCells, before: HalfCells | None = None) -> int:
    """The bytes, at most, that it takes to show `cells` where `before` was."""
    is_like = before is not None and (before.width, before.rows) == (cells.width, cells.rows)
    count = 0
    for y in range(cells.rows):
        row = _row(cells, y)
        if not is_like or before is None or _differ(cells, before, y):
            runs = sum(1 for _ in _runs(row, cells.width))
            count += runs * _BYTES_OF_RUN[cells.has_numbered_colours] + 4 * cells.width
    return count


def _runs(row: bytes, width: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Neighbours of one colour: how many they are, and the colours in front and behind."""
    front, back = row[: 3 * width], row[3 * width :]
    start = 0
    for x in range(1, width + 1):
        here, run = slice(3 * x, 3 * x + 3), slice(3 * start, 3 * start + 3)
        if x < width and front[here] == front[run] and back[here] == back[run]:
            continue
        yield x - start, front[run], back[run]
        start = x


def _strip(cells: HalfCells, y: int) -> Strip:
    style = _numbered_style if cells.has_numbered_colours else _style
    symbols = cells.symbols[y * cells.width : (y + 1) * cells.width] or "▀" * cells.width
    segments, start = [], 0
    for count, *colours in _runs(_row(cells, y), cells.width):
        segments.append(Segment(symbols[start : start + count], style(*colours)))
        start += count
    return Strip(segments, cells.width)


@lru_cache(maxsize=8192)
def _style(upper: bytes, lower: bytes) -> Style:
    return Style(color=_color(upper), bgcolor=_color(lower))


@lru_cache(maxsize=8192)
def _numbered_style(upper: bytes, lower: bytes) -> Style:
    return Style(
        color=Color("", ColorType.EIGHT_BIT, number=NUMBERS[upper]),
        bgcolor=Color("", ColorType.EIGHT_BIT, number=NUMBERS[lower]),
    )


def _color(rgb: bytes) -> Color:
    # `Color.from_rgb` spends most of its time on a name that nobody reads.
    return Color("", ColorType.TRUECOLOR, triplet=ColorTriplet(*rgb))
