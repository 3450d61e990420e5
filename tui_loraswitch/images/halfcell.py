"""A picture drawn with the character ▀: two pixels a cell, in any terminal."""

from __future__ import annotations

from functools import lru_cache

from rich.color import Color, ColorType
from rich.color_triplet import ColorTriplet
from rich.segment import Segment
from rich.style import Style
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget

from tui_loraswitch.images.fit import HalfCells

ROWS_AT_ONCE = 5
"""A whole picture takes the time of several keys to paint: between these rows, keys have theirs."""


class HalfCellPicture(Widget):
    """Shows `HalfCells`, and repaints only the rows in which a new picture differs."""

    DEFAULT_CSS = """
    HalfCellPicture { width: auto; height: auto; }
    """

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._cells = HalfCells(0, 0, b"")
        self._strips: dict[int, Strip] = {}
        self._waiting: list[int] = []
        """Rows whose strips are still those of the picture before."""

    def show(self, cells: HalfCells) -> None:
        """Show another picture."""
        before, self._cells = self._cells, cells
        if (before.width, before.rows) != (cells.width, cells.rows):
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
            self._strips[y] = _strip(_row(self._cells, y), self._cells.width)
        return self._strips[y]


def _row(cells: HalfCells, y: int) -> bytes:
    stride = cells.width * 6
    return cells.rgb[y * stride : (y + 1) * stride]


def _strip(row: bytes, width: int) -> Strip:
    upper, lower = row[: 3 * width], row[3 * width :]
    segments: list[Segment] = []
    start = 0
    for x in range(1, width + 1):
        here, run = slice(3 * x, 3 * x + 3), slice(3 * start, 3 * start + 3)
        if x < width and upper[here] == upper[run] and lower[here] == lower[run]:
            continue
        segments.append(Segment("▀" * (x - start), _style(upper[run], lower[run])))
        start = x
    return Strip(segments, width)


@lru_cache(maxsize=8192)
def _style(upper: bytes, lower: bytes) -> Style:
    return Style(color=_color(upper), bgcolor=_color(lower))


def _color(rgb: bytes) -> Color:
    # `Color.from_rgb` spends most of its time on a name that nobody reads.
    return Color("", ColorType.TRUECOLOR, triplet=ColorTriplet(*rgb))
