"""A compositor that draws no more of the screen than is painted."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from textual._compositor import ChopsUpdate, Compositor
from textual.geometry import Region
from textual.strip import Strip


class CroppedCompositor(Compositor):
    """Draws the lines of widgets that are painted and seen.

    Textual's own draws all lines of all panes: for one line of one pane, most of a paint.
    """

    _painted: dict[int, tuple[int, int]] | None = None
    """From which column to which each line is painted; None: as far as is asked for."""

    def render_partial_update(self) -> ChopsUpdate | None:
        """What of the screen has changed."""
        painted: dict[int, tuple[int, int]] = {}
        for y, first, end in self._regions_to_spans(self._dirty_regions):
            others = painted.get(y, (first, end))
            painted[y] = min(first, others[0]), max(end, others[1])
        self._painted = painted
        try:
            return super().render_partial_update()
        finally:
            self._painted = None

    def _get_renders(
        self, crop: Region | None = None
    ) -> Iterable[tuple[Region, Region, list[Strip]]]:
        """The lines of each widget within `crop`, at full width, with where they are seen.

        Those in front come first.
        """
        if crop is None:
            crop = self.size.region
        left = self._painted
        if left is None:
            left = dict.fromkeys(crop.line_range, crop.column_span)
        for widget, (region, clip) in self.visible_widgets.items():
            seen = region.intersection(clip)
            x, end = seen.column_span
            lines = [y for y in seen.line_range if y in left and _meet(left[y], (x, end))]
            for top, height in _runs(lines):
                part = Region(x, top, seen.width, height)
                yield region, part, widget.render_lines(part.translate(-region.offset))
            for y in lines:
                # What is behind it is not seen.
                first, last = left[y]
                first, last = end if x <= first else first, x if end >= last else last
                if first < last:
                    left[y] = first, last
                else:
                    del left[y]


def _meet(one: tuple[int, int], other: tuple[int, int]) -> bool:
    """Whether two stretches of columns have some in common."""
    return one[0] < other[1] and other[0] < one[1]


def _runs(lines: list[int]) -> Iterator[tuple[int, int]]:
    """The first of lines that follow one another, and how many they are."""
    start = 0
    for number, line in enumerate(lines, 1):
        if number == len(lines) or lines[number] != line + 1:
            yield lines[start], number - start
            start = number
