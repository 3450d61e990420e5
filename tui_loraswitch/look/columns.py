"""Panes that stand on one another in a column and share its height."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, field
from textual.geometry import Region

LEAST = 3
"""Lines of the smallest pane: its frame and one of content."""


class Part(Struct, frozen=True):
    """A pane with the height it asks for and what it keeps when room is short.

    The one that asks for 0 takes what the others leave.
    """

    name: str
    height: int = 0
    least: int = LEAST


class Column(Struct, frozen=True):
    """A part of the screen for some panes; `splits` are the lines that the user gave to panes."""

    area: Region
    parts: tuple[Part, ...]
    splits: Mapping[str, int] = field(default_factory=dict)

    @property
    def regions(self) -> dict[str, Region]:
        """Where each of its panes lies."""
        regions, y = {}, self.area.y
        for part, height in zip(self.parts, self._heights, strict=True):
            regions[part.name] = Region(self.area.x, y, self.area.width, height)
            y += height
        return regions

    def moved(self, above: int, lines: int) -> dict[str, int]:
        """The splits after the line below part `above` was moved down by some lines."""
        upper, lower = self.parts[above], self.parts[above + 1]
        splits = dict(self.splits)
        for part, more in ((upper, lines), (lower, -lines)):
            if part.height:  # the flexible one follows
                splits[part.name] = splits.get(part.name, 0) + more
        return splits

    @property
    def _heights(self) -> list[int]:
        heights = [self._wanted(part) for part in self.parts]
        flexible = next(n for n, part in enumerate(self.parts) if not part.height)
        moved = any(part.name in self.splits for part in self.parts)
        keeps = LEAST if moved else self.parts[flexible].least
        # Where room is short the others give way down to what they keep, and then further.
        for use_least in (True, False):
            for n in range(len(heights)):
                part = self.parts[n]
                missing = sum(heights) + keeps - self.area.height
                if n != flexible and missing > 0:
                    floor = min(part.least if use_least else LEAST, heights[n])
                    heights[n] = max(floor, heights[n] - missing)
            keeps = LEAST
        heights[flexible] = self.area.height - sum(heights)
        return heights

    def _wanted(self, part: Part) -> int:
        return max(LEAST, part.height + self.splits.get(part.name, 0)) if part.height else 0
