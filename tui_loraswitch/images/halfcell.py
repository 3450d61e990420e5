"""A picture drawn with the character ▀: two pixels a cell, in any terminal."""

from __future__ import annotations

from collections.abc import Callable, Iterator
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
from tui_loraswitch.images.numbered_colours import NUMBERS

_BYTES_OF_RUN = {False: 40, True: 26}
"""Of the colours before a run and what ends them; by whether they have numbers."""
ROWS_AT_ONCE = 5
"""A whole picture takes the time of several keys to paint: between these rows, keys have theirs."""


class HalfCellPicture(Widget):
    """Shows `HalfCells`, and repaints only the rows in which a new picture differs."""

    DEFAULT_CSS = """
    HalfCellPicture { width: auto; height: auto; }
    """

    def __init__(self, budget: PictureBudget | None = None, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._budget = budget or PictureBudget()
        self._cells = HalfCells(0, 0, b"")
        self._strips: dict[int, Strip] = {}
        self._waiting: list[int] = []
        """Rows whose strips are still those of the picture before."""

    def show(self, cells: HalfCells) -> None:
        """Show another picture."""
        before, self._cells = self._cells, cells
        self._budget.spend(bytes_to_send(cells, before))
        is_like = (before.width, before.rows) == (cells.width, cells.rows)
        if not is_like or before.has_numbered_colours != cells.has_numbered_colours:
            self._strips.clear()
            self._waiting = []
            self.styles.width, self.styles.height = cells.width, cells.rows
            self.refresh(layout=True)
            return
        changed = {y for y in range(cells.rows) if _row(before, y) != _row(cells, y)}
        self._waiting = sorted(changed.union(self._waiting))
        self._paint_some()

    def _paint_some(self) -> None:
        now, self._waiting = self._waiting[:ROWS_AT_ONCE], self._waiting[ROWS_AT_ONCE:]
        for y in now:
            self._strips.pop(y, None)
        if now:
            self.refresh(*(Region(0, y, self._cells.width, 1) for y in now))
        if self._waiting:
            self.call_after_refresh(self._paint_some)

    def render_line(self, y: int) -> Strip:
        """One line of cells; neighbours of one colour share a segment."""
        if y >= self._cells.rows:
            return Strip.blank(self.size.width, self.rich_style)
        if y not in self._strips:
            style = _numbered_style if self._cells.has_numbered_colours else _style
            self._strips[y] = _strip(_row(self._cells, y), self._cells.width, style)
        return self._strips[y]


def _row(cells: HalfCells, y: int) -> bytes:
    stride = cells.width * 6
    return cells.rgb[y * stride : (y + 1) * stride]


def bytes_to_send(cells: HalfCells, before: HalfCells | None = None) -> int:
    """The bytes, at most, that it takes to show `cells` where `before` was."""
    is_like = before is not None and (before.width, before.rows) == (cells.width, cells.rows)
    count = 0
    for y in range(cells.rows):
        row = _row(cells, y)
        if not is_like or before is None or row != _row(before, y):
            runs = sum(1 for _ in _runs(row, cells.width))
            count += runs * _BYTES_OF_RUN[cells.has_numbered_colours] + 3 * cells.width
    return count


def _runs(row: bytes, width: int) -> Iterator[tuple[int, bytes, bytes]]:
    """Neighbours of one colour: how many they are, and their upper and lower pixel."""
    upper, lower = row[: 3 * width], row[3 * width :]
    start = 0
    for x in range(1, width + 1):
        here, run = slice(3 * x, 3 * x + 3), slice(3 * start, 3 * start + 3)
        if x < width and upper[here] == upper[run] and lower[here] == lower[run]:
            continue
        yield x - start, upper[run], lower[run]
        start = x


def _strip(row: bytes, width: int, style: Callable[[bytes, bytes], Style]) -> Strip:
    runs = _runs(row, width)
    return Strip([Segment("▀" * count, style(*colours)) for count, *colours in runs], width)


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
