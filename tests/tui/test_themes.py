"""Themes: seen while they are chosen, remembered, named by the config; frames in every one."""

from __future__ import annotations

import pytest
from msgspec import structs
from rich.segment import Segment
from textual.color import Color

from tui_loraswitch.look.frames import LEAST_OF_FOCUS, LEAST_OF_FRAME, contrast


def frames(driver) -> tuple[Segment, Segment]:
    """The frame of the focused list, and that of the picture beside it."""
    edges = [s for s in driver.app.screen._compositor.render_strips()[3] if "│" in s.text]
    return edges[0], edges[-1]


def words(driver, text: str) -> Segment:
    """The last place where a text stands alone on the screen, below the cursor."""
    lines = reversed(driver.app.screen._compositor.render_strips())
    return next(s for line in lines for s in line if s.text.strip() == text)


async def test_frames_and_words_are_seen_in_every_theme(start):
    async with start() as driver:
        for theme in driver.app.available_themes:
            driver.app.theme = theme
            await driver.pilot.pause()
            for text, least in (("styles", 4.5), ("loraswitch", 3.0), ("r4 LoRA", 3.0)):
                style = words(driver, text).style
                if style.color.triplet and style.bgcolor and style.bgcolor.triplet:
                    colours = (Color(*c.triplet) for c in (style.color, style.bgcolor))
                    assert contrast(*colours) >= least - 0.1, (theme, text)
            for edge, least in zip(frames(driver), (LEAST_OF_FOCUS, LEAST_OF_FRAME), strict=True):
                colour, behind = edge.style.color, edge.style.bgcolor
                if colour.triplet is None or behind is None or behind.triplet is None:
                    assert colour.number in (8, 12), theme  # 16 colours: bright black and blue
                else:
                    seen = contrast(Color(*colour.triplet), Color(*behind.triplet))
                    assert seen >= least - 0.05, theme


async def test_a_theme_is_seen_while_it_is_chosen(start, settings):
    async with start() as driver:
        app = driver.app
        app.action_change_theme()
        await driver.pilot.pause()
        names = sorted(app.available_themes)
        here = names.index("ink")
        await driver.press("down")
        assert app.theme == names[here + 1]
        await driver.press("j", "j", "k")
        assert app.theme == names[here + 2]
        await driver.press("escape")
        assert app.theme == "ink"
        app.action_change_theme()
        await driver.pilot.pause()
        await driver.press("up", "enter", "q")
        await driver.until(lambda: not app.is_running)
    async with start() as driver:
        assert driver.app.theme == names[here - 1]


@pytest.mark.parametrize(("named", "shown"), [("nord", "nord"), ("nothing", "ink")])
async def test_the_config_names_a_theme(start, settings, named, shown):
    async with start(settings=structs.replace(settings, theme=named)) as driver:
        assert driver.app.theme == shown
        assert any("nothing" in line for line in driver.log) is (named == "nothing")


async def test_what_a_toast_says_is_in_the_log_and_in_the_log_file(start, caplog):
    caplog.set_level("INFO")
    async with start() as driver:
        await driver.press("ctrl+c")
        assert driver.toasts[-1] == driver.log[-1]
        assert driver.toasts[-1] in caplog.text
        await driver.load()
        await driver.switch_to("neon")
        assert any("neon" in record.getMessage() for record in caplog.records)


async def test_a_misspelt_name_in_the_config_file_is_said_where_it_is_seen(
    start, settings, tmp_path
):
    path = tmp_path / "config.toml"
    path.write_text('them = "nord"\n')
    async with start(settings=structs.replace(settings, config_path=path)) as driver:
        assert any("“them” is no setting" in line for line in driver.log)
