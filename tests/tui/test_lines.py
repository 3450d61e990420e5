"""Lists and texts that change without a layout of the whole screen, and scroll."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec import structs
from textual.app import App, ComposeResult
from textual.geometry import Region
from textual.strip import Strip
from textual.widget import Widget
from textual.widgets import Input

from engine.protocol.commands import Draw
from engine.protocol.log import LogLine
from tests.tui.conftest import PATIENCE, write_lora
from tui_loraswitch.images.fit import HalfCells
from tui_loraswitch.images.halfcell import ROWS_AT_ONCE, HalfCellPicture
from tui_loraswitch.images.terminal import TerminalImages
from tui_loraswitch.panes.details import DetailsText
from tui_loraswitch.panes.log import LogView

MANY = 90


@pytest.fixture
def many(loras: Path) -> None:
    for number in range(MANY):
        words = {"modelspec.description": f"word{number} " * 40}
        write_lora(loras / "many" / f"m{number}.safetensors", **words)


def layouts(driver) -> list[object]:
    """One more with every layout of the screen from now on."""
    found: list[object] = []
    screen = driver.app.screen
    screen.screen_layout_refresh_signal.subscribe(screen, found.append, immediate=True)
    return found


def bar(widget) -> str:
    """The column at the widget's right edge: its thumb's lines are not blank."""
    lines = widget.vertical_scrollbar.render_lines(widget.vertical_scrollbar.size.region)
    return "".join("#" if next(iter(line)).style.reverse else " " for line in lines)


@pytest.mark.parametrize(
    ("query", "cursor", "is_long"),
    [("m88", "m88", False), ("zzz", None, False), ("m", "m0", True), ("neon", "neon", False)],
)
async def test_the_filter_changes_list_and_details_without_a_layout(
    start, many, query, cursor, is_long
):
    async with start(images=TerminalImages("off")) as driver:
        library, details = driver.app.main.library, driver.app.main.details
        library._is_filtering = True  # so that only `filter_now` below does it
        library.query_one("#filter", Input).value = query
        await driver.pilot.pause()
        found = layouts(driver)
        library.filter_now()
        await driver.until(lambda: (details.entry.name if details.entry else None) == cursor)
        await driver.pilot.pause()
        assert found == []
        assert ("#" in bar(driver.list)) is is_long
        assert ("nothing matches" in driver.text) is (cursor is None)


def looks(strip: Strip, width: int) -> list[tuple[str, object, object, bool, bool]]:
    """Each cell as it is seen: a blank has no colour of text."""
    return [
        (sign, None if sign == " " else style.color, style.bgcolor, style.bold, style.reverse)
        for text, style, _ in strip
        for sign in text
        if style is not None
    ][:width]


async def test_lines_look_as_textual_paints_them(start, many):
    async with start(120, 56) as driver:
        await driver.highlight("m3")
        main = driver.app.main
        text, log = main.details.query_one(DetailsText), main.log_pane.query_one(LogView)
        await driver.until(lambda: "changes nothing" in text.words.plain)
        main.log_pane.write(LogLine("warning", "a word in the log"))
        await driver.pilot.pause()
        for widget in (driver.list, text, log):
            width = widget.scrollable_content_region.width
            textuals = Widget.render_lines(widget, widget.size.region)
            assert len({tuple(looks(line, width)) for line in textuals}) > 1
            for own, other in zip(widget.render_lines(widget.size.region), textuals, strict=True):
                assert looks(own, width) == looks(other, width)
            part = widget.render_lines(Region(3, 1, 7, 1))
            assert [looks(line, 7) for line in part] == [looks(textuals[1].crop(3, 10), 7)]


async def test_the_scrollbar_looks_as_textuals_and_is_taken_hold_of(start, many):
    async with start() as driver:
        await driver.press("s", "j", "end")
        thumb = driver.list.vertical_scrollbar
        height = thumb.size.height
        options = driver.app.console.options.update(width=1, height=height)
        textuals = driver.app.console.render_lines(thumb.render(), options)
        own = thumb.render_lines(thumb.size.region)
        assert len({line.text for line in own}) == 2, "the thumb begins within a cell"
        assert [list(line) for line in own] == textuals
        row = driver.list.size.height - 1
        await driver.pilot.mouse_down(thumb, offset=(0, row))
        await driver.pilot.hover(thumb, offset=(0, 0))
        await driver.pilot.mouse_up(thumb, offset=(0, 0))
        await driver.pilot.pause()
        assert driver.list.scroll_offset.y == 0


async def test_a_long_list_scrolls_and_a_short_one_stands_at_its_top(start, many):
    async with start() as driver:
        await driver.press("s", "end")
        assert driver.list.highlighted.name == "night"
        assert driver.list.scroll_offset.y == len(driver.list.rows) - driver.list.size.height
        assert bar(driver.list).rstrip().endswith("#")
        driver.app.main.library.query_one("#filter", Input).value = "ink"
        driver.app.main.library.filter_now()
        await driver.pilot.pause()
        assert driver.list.scroll_offset.y == 0
        assert "ink" in driver.text
        assert "#" not in bar(driver.list)
        await driver.pilot.resize_terminal(120, 50)
        await driver.pilot.pause()
        assert "#" not in bar(driver.list)


async def test_long_details_scroll_and_are_copied_as_they_were(start, many):
    async with start(120, 56) as driver:
        await driver.highlight("m3")
        text = driver.app.main.details.query_one(DetailsText)
        await driver.until(lambda: "word3 word3" in text.words.plain)
        await driver.until(lambda: "changes nothing" in text.words.plain)
        await driver.pilot.pause()
        assert "#" in bar(text)
        (line,) = [line for line in text.words.plain.splitlines() if "word3 word3" in line]
        assert len(line) > 2 * text.size.width, "it is wrapped"
        (first, *_) = (y for y, words in enumerate(driver.screen) if "word3 word3" in words)
        top = first - text.region.y
        await driver.pilot.mouse_down(text, offset=(0, top))
        await driver.pilot.hover(text, offset=(5, top + 1))
        await driver.pilot.mouse_up(text, offset=(5, top + 1))
        copied = driver.app.screen.get_selected_text()
        assert copied is not None
        assert len(copied) > text.size.width - 6
        assert line.startswith(copied), "no break where it was wrapped"
        marked = driver.app.screen.get_visual_style("screen--selection").background
        before = driver.screen
        assert any(
            segment.style.bgcolor.triplet == marked.rgb
            for y in range(text.size.height)
            for segment in text.render_line(y)
        )
        await driver.press("3", "j", "j")
        await driver.pilot.pause()
        assert text.scroll_offset.y == 2
        assert driver.screen != before
        await driver.highlight("m4")
        await driver.until(lambda: "word4 word4" in text.words.plain)
        assert driver.app.screen.get_selected_text() is None, "what was marked is gone"


async def test_a_picture_is_painted_some_rows_at_a_time():
    rows = 4 * ROWS_AT_ONCE - 1
    painted: list[int] = []

    class Recording(HalfCellPicture):
        def refresh(self, *regions: Region, **options: bool) -> HalfCellPicture:
            painted.append(sum(region.height for region in regions))
            return super().refresh(*regions, **options)

    class Showing(App[None]):
        def compose(self) -> ComposeResult:
            yield Recording(id="picture")

    def cells(red: int):
        return HalfCells(60, rows, bytes((red, 0, 0)) * (60 * 2 * rows))

    def colours(picture: HalfCellPicture) -> set[int]:
        lines = (picture.render_line(y) for y in range(rows))
        return {next(iter(line)).style.color.triplet.red for line in lines}

    async with Showing().run_test(size=(80, 40)) as pilot:
        picture = pilot.app.query_one(Recording)
        picture.show(cells(10))
        await pilot.pause()
        painted.clear()
        picture.show(cells(200))
        assert colours(picture) == {10, 200}, "some rows now, the others after them"
        await pilot.pause()
        for _ in range(PATIENCE):
            if len(colours(picture)) == 1:
                break
            await pilot.pause()
        assert colours(picture) == {200}
        assert max(painted) == ROWS_AT_ONCE
        assert sum(painted) == rows


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 36)])
async def test_the_log_follows_its_end_also_while_it_is_not_seen(start, width, height):
    async with start(width, height) as driver:
        for number in range(60):
            driver.app.main.log_pane.write(LogLine("done", f"line {number} is written"))
        await driver.press("5")
        await driver.sees("line 59 is written")
        view = driver.app.main.log_pane.focus_target()
        # Folded, the list keeps the focus.
        view.focus()
        await driver.press("home")
        await driver.sees("line 1 is written")
        driver.app.main.log_pane.write(LogLine("done", "one more"))
        await driver.pilot.pause()
        assert "one more" not in driver.text, "the reader has scrolled up"
        assert view.scroll_offset.y == 0


async def test_what_is_not_found_yet_is_said_while_the_scan_goes_on(start):
    async with start() as driver:
        library = driver.app.main.library
        library.show_index(library.view.index, is_complete=False)
        library.query_one("#filter", Input).value = "zzz"
        await driver.sees("nothing matches “zzz” yet")


@pytest.mark.parametrize(("protocol", "every"), [("halfcell", 1), ("off", 0)])
async def test_another_picture_lays_out_nothing_and_has_previews_where_they_are_seen(
    start, settings, protocol, every
):
    chosen = structs.replace(settings, image_protocol=protocol)
    async with start(images=TerminalImages(protocol), settings=chosen) as driver:
        await driver.load()
        driver.app.control.state = structs.replace(driver.app.control.state, prompt="a fox")
        await driver.press("r")
        await driver.pilot.pause()
        found = layouts(driver)
        await driver.press("r")
        await driver.pilot.pause()
        one, other = (draw.request for draw in driver.session.sent(Draw))
        assert one.seed != other.seed
        assert {one.preview_every, other.preview_every} == {every}
        assert found == []


async def test_a_size_is_laid_out_once(start):
    async with start() as driver:
        found = layouts(driver)
        await driver.pilot.resize_terminal(*driver.app.size)
        await driver.pilot.pause()
        assert found == []
        await driver.pilot.resize_terminal(90, 30)
        await driver.pilot.pause()
        assert found != []
