"""How pictures lie on the lines of the gallery: by day, newest first, as many beside each other as
there is room for."""

from __future__ import annotations

import time
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass

from engine.store.pictures import PictureRow


@dataclass(frozen=True, slots=True)
class Block:
    """The heading of a day, or a row of pictures, from line `top` on."""

    top: int
    first: int
    """The number of its first picture."""
    count: int
    """Of the pictures of the day or of the row."""
    heading: str = ""


class Days:
    """The blocks of a list of pictures, and where each picture is in them."""

    def __init__(self, rows: Sequence[PictureRow], columns: int, height: int) -> None:
        self.columns, self.height = max(1, columns), height
        self.blocks: list[Block] = []
        top, first = 0, 0
        while first < len(rows):
            day, began = _day_of(rows[first].drawn)
            # Newest first: the day ends where something older than its beginning comes.
            end = bisect_right(rows, -began, lo=first, key=lambda row: -row.drawn)
            count = max(1, end - first)
            self.blocks.append(Block(top, first, count, day))
            top += 1
            for start in range(0, count, self.columns):
                number = min(self.columns, count - start)
                self.blocks.append(Block(top, first + start, number))
                top += height
            first += count
        self.lines = top
        self._tops = [block.top for block in self.blocks]
        self._rows = [n for n, block in enumerate(self.blocks) if not block.heading]
        self._firsts = [self.blocks[n].first for n in self._rows]

    def block_at(self, line: int) -> Block | None:
        """The block that has a line."""
        place = bisect_right(self._tops, line) - 1
        return self.blocks[place] if place >= 0 and 0 <= line < self.lines else None

    def row_of(self, number: int) -> Block | None:
        """The row with a picture."""
        place = bisect_right(self._firsts, number) - 1
        return self.blocks[self._rows[place]] if place >= 0 else None

    def beside(self, number: int, rows: int) -> int:
        """The picture in the same column some rows further down (or up), or the nearest to it."""
        place = bisect_right(self._firsts, number) - 1
        if place < 0:
            return number
        column = number - self._firsts[place]
        other = max(0, min(len(self._rows) - 1, place + rows))
        if other == place:
            # Beyond the first and the last row are the first and the last picture.
            return self._firsts[0] if rows < 0 else self._last
        block = self.blocks[self._rows[other]]
        return block.first + min(column, block.count - 1)

    @property
    def _last(self) -> int:
        block = self.blocks[self._rows[-1]]
        return block.first + block.count - 1


def _day_of(drawn: float) -> tuple[str, float]:
    """The day in words, and when it began here."""
    try:
        at = time.localtime(drawn)
        words = time.strftime(f"%A {at.tm_mday} %B %Y", at)
        return words, time.mktime((at.tm_year, at.tm_mon, at.tm_mday, 0, 0, 0, 0, 0, -1))
    except (OverflowError, ValueError, OSError):
        return "at an unknown time", drawn
