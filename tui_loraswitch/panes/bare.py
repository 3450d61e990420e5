"""Widgets that are nothing but lines."""

from __future__ import annotations

from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget


class Bare(Widget):
    """Has no frame, no padding and no effects: its lines are painted as they are drawn.

    Textual leads each line through all styles that a widget may have, which takes as long as
    drawing a row of a list. Textual takes the CSS of a class's first base only, so this one stands
    last.
    """

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines of a part; where a scrollbar covers the last cells they may lack."""
        strips = [self.render_line(y) for y in crop.line_range]
        if crop.column_span != (0, self.size.width):
            strips = [strip.crop(*crop.column_span) for strip in strips]
        _, background = self.background_colors
        for one in self.get_line_filters():
            strips = [strip.apply_filter(one, background) for strip in strips]
        return strips
