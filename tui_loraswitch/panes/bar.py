"""The scrollbar of lines."""

from __future__ import annotations

from collections.abc import Sequence

from rich.color import Color
from rich.segment import Segment
from textual.geometry import Region
from textual.scrollbar import ScrollBar, ScrollBarRender
from textual.strip import Strip

from tui_loraswitch.panes.bare import Bare


class Bar(ScrollBar, Bare):
    """Textual's, drawn straight: by way of Rich it takes as long as the list beside it."""

    _strips: Sequence[Strip] = ()

    def render_lines(self, crop: Region) -> list[Strip]:
        """The lines of a part."""
        look = self.render()
        assert isinstance(look, ScrollBarRender), "what Textual's bar is drawn by"
        style = self.app.console.get_style(look.style)
        cells = look.render_bar(
            self.size.height,
            look.virtual_size,
            look.window_size,
            look.position,
            look.thickness,
            look.vertical,
            style.bgcolor or Color.default(),
            style.color or Color.default(),
        ).segments
        made: dict[Segment, Strip] = {cell: Strip([cell], self.size.width) for cell in cells}
        self._strips = [made[cell] for cell in cells]
        return super().render_lines(crop)

    def render_line(self, y: int) -> Strip:
        """One line."""
        return self._strips[y]
