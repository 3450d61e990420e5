"""A compositor that draws no more of the screen than is painted."""

from __future__ import annotations

from collections.abc import Iterable

from textual._compositor import Compositor
from textual.geometry import Region
from textual.strip import Strip


class CroppedCompositor(Compositor):
    """Draws the widgets and lines that meet what is painted.

    Textual's own draws all lines of all panes: for one line of one pane, most of a paint.
    """

    def _get_renders(
        self, crop: Region | None = None
    ) -> Iterable[tuple[Region, Region, list[Strip]]]:
        """The lines of each widget within `crop`, at full width, with where they are seen.

        Those in front come first.
        """
        if crop is None:
            crop = self.size.region
        for widget, (region, clip) in self.visible_widgets.items():
            seen = region.intersection(clip)
            if not seen.overlaps(crop):
                continue
            top, bottom = max(seen.y, crop.y), min(seen.bottom, crop.bottom)
            lines = Region(seen.x, top, seen.width, bottom - top)
            yield region, lines, widget.render_lines(lines.translate(-region.offset))
            if seen.contains_region(crop):
                return  # those behind it are not seen
