"""What is painted is what Textual's own compositor would paint, from less that is drawn."""

from __future__ import annotations

import copy

import pytest
from textual._compositor import Compositor
from textual.app import App, ComposeResult
from textual.containers import VerticalScroll
from textual.geometry import Region
from textual.widget import Widget
from textual.widgets import Static

from tui_loraswitch.app.key_paint import KeyPaintingScreen
from tui_loraswitch.panes.bare import Bare

PARTS = [
    Region(0, 0, 120, 36),
    Region(0, 0, 1, 1),
    Region(119, 35, 1, 1),
    Region(0, 1, 45, 22),
    Region(2, 2, 41, 1),
    Region(44, 10, 3, 9),
    Region(6, 34, 113, 1),
    Region(0, 29, 120, 7),
]


def cells(compositor: Compositor, part: Region) -> list[list[tuple[int, object]]]:
    """What stands in a part of the screen, line by line."""
    chops = compositor._render_chops(part, lambda y: y in part.line_range)
    ends = [cuts[1:] for cuts in compositor.cuts]
    return [
        [
            (x, list(strip.crop(max(0, part.x - x), min(end, part.right) - x)))
            for end, (x, strip) in zip(ends[y], chops[y].items(), strict=True)
            if x < part.right and end > part.x
        ]
        for y in part.line_range
    ]


@pytest.mark.parametrize(("width", "height"), [(120, 36), (60, 15)])
async def test_parts_are_painted_as_textual_paints_them(start, width, height):
    async with start(width, height) as driver:
        compositor = driver.app.main._compositor
        textuals = copy.copy(compositor)
        textuals.__class__ = Compositor
        for part in PARTS:
            seen = part.intersection(compositor.size.region)
            assert cells(compositor, seen) == cells(textuals, seen), part


class ScrolledScreen(KeyPaintingScreen):
    """Texts that reach out of the box in which they are."""

    DEFAULT_CSS = "VerticalScroll { height: 9; margin: 3 10; } Static { height: 5; }"

    def compose(self) -> ComposeResult:
        with VerticalScroll():
            for number in range(5):
                yield Static("\n".join(f"line {line} of {number}" for line in range(5)))


async def test_what_is_scrolled_partly_out_of_view_is_painted_so():
    app = App[None]()
    async with app.run_test(size=(60, 15)) as pilot:
        screen = ScrolledScreen()
        await app.push_screen(screen)
        await pilot.pause()
        box = screen.query_one(VerticalScroll)
        box.scroll_to(y=3, animate=False, immediate=True)
        await pilot.pause()
        assert box.scroll_offset.y == 3
        compositor = screen._compositor
        textuals = copy.copy(compositor)
        textuals.__class__ = Compositor
        for y in range(15):
            row = Region(0, y, 60, 1)
            assert cells(compositor, row) == cells(textuals, row), row


@pytest.fixture
def drawn(monkeypatch) -> list[tuple[str | None, Region]]:
    """Which widgets are drawn, and what of them."""
    found: list[tuple[str | None, Region]] = []
    for kind in (Widget, Bare):

        def noting(self: Widget, crop: Region, drawing=kind.render_lines):
            found.append((self.id or self.name, crop))
            return drawing(self, crop)

        monkeypatch.setattr(kind, "render_lines", noting)
    return found


async def test_only_what_meets_the_part_is_drawn(start, drawn):
    async with start() as driver:
        drawn.clear()
        screen = driver.app.main
        region = driver.list.region
        screen._compositor._render_chops(Region(*region.offset, 5, 1), lambda y: True)
        assert drawn == [("lora-list", Region(0, 0, region.width, 1))]
        drawn.clear()
        frame = driver.app.main.library.region
        screen._compositor._render_chops(Region(*frame.offset, 5, 1), lambda y: True)
        assert drawn == [("library", Region(0, 0, frame.width, 1))]


async def test_between_two_lines_that_are_painted_none_is_drawn(start, drawn):
    async with start() as driver:
        pane, rows = driver.app.main.library, driver.list
        last = Region(rows.region.x, rows.region.bottom - 1, 5, 1)
        title = Region(*pane.region.offset, pane.region.width, 1)
        drawn.clear()
        compositor = driver.app.main._compositor
        compositor._dirty_regions = {last, title}
        compositor.render_partial_update()
        assert drawn == [
            ("lora-list", Region(0, rows.region.height - 1, rows.region.width, 1)),
            ("library", Region(0, 0, pane.region.width, 1)),
        ]
