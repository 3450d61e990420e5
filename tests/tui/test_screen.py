"""The arrangement: folded, two columns, three columns, too small."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tui_loraswitch.images.terminal import TerminalImages
from tui_loraswitch.look.layout import RIGHT_PANES, arrange
from tui_loraswitch.panes.details import SETTLE


@given(st.integers(80, 400), st.integers(24, 150), st.sampled_from(RIGHT_PANES))
def test_panes_tile_the_screen_at_any_size(width, height, right):
    regions = arrange(width, height, right).regions
    assert sum(region.area for region in regions.values()) == width * height
    for one, other in itertools.combinations(regions.values(), 2):
        assert not one.overlaps(other)
    for name, region in regions.items():
        least = 1 if name in ("status", "keys", "gauge-line") else 3
        assert region.height >= least, name
        assert region.x >= 0
        assert region.right <= width
        assert region.bottom <= height


def test_a_wider_screen_gives_the_picture_the_room():
    areas = [arrange(*size).regions["picture"].area for size in ((80, 24), (120, 36), (200, 50))]
    assert areas == sorted(areas)
    wide = arrange(200, 50).regions["picture"]
    assert min(wide.width, 2 * wide.height) >= 90


async def test_80_by_24_folds_and_keys_change_the_right_pane(start):
    async with start(80, 24) as driver:
        await driver.load()
        assert "1 Picture 2 Prompt 3 Info 4 Stack 5 Log" in driver.screen[1]
        assert "g draws a picture" in driver.text
        await driver.press("5")
        assert "loaded sd_xl_base_1.0" in driver.text
        assert "g draws a picture" not in driver.text
        await driver.press("left_square_bracket")
        assert "base model; Space stacks a LoRA" in driver.text
        await driver.press("right_square_bracket", "right_square_bracket")
        assert "g draws a picture" in driver.text
        assert driver.app.focused is driver.list


async def test_folded_commands_bring_up_what_they_concern(start):
    async with start(80, 24) as driver:
        await driver.load()
        await driver.press("p", *"fox")
        assert driver.app.main.prompt.display
        await driver.press("enter", "g")
        assert driver.app.main.picture.display
        assert not driver.app.main.prompt.display
        assert driver.app.focused is driver.list


async def test_the_list_gets_the_focus_of_a_pane_that_goes_out_of_sight(start):
    async with start(80, 24) as driver:
        await driver.load()
        await driver.press("p", *"fox", "enter", "4", "tab")
        assert driver.app.focused.id == "stack-list"
        await driver.press("g")
        assert driver.app.focused is driver.list


async def test_every_line_fits_and_panes_close(start):
    for size in ((80, 24), (120, 36), (200, 50)):
        async with start(*size) as driver:
            await driver.load()
            await driver.highlight("neon")
            lines = driver.screen
            assert len(lines) == size[1]
            assert all(len(line) == size[0] for line in lines)
            assert driver.text.count("╭") == driver.text.count("╯") >= 2


async def test_the_panes_follow_the_size_of_the_terminal(start):
    async with start(120, 36) as driver:
        assert driver.app.main.log_pane.display
        await driver.pilot.resize_terminal(80, 24)
        await driver.pilot.pause()
        assert not driver.app.main.log_pane.display
        await driver.pilot.resize_terminal(79, 24)
        await driver.pilot.pause()
        assert "80×24 needed, this is 79×24" in driver.text
        await driver.pilot.resize_terminal(200, 50)
        await driver.pilot.pause()
        assert driver.app.main.log_pane.display
        assert "needed" not in driver.text


async def test_tab_goes_from_pane_to_pane(start):
    async with start() as driver:
        await driver.press("p", *"x", "enter")
        seen = []
        for _ in range(8):
            await driver.press("tab")
            seen.append(driver.app.main.focused_title)
        assert {"Details", "Stack", "Picture", "Prompt", "Log", "LoRAs"} <= set(seen)


@pytest.mark.parametrize(("protocol", "shares"), [("off", False), ("halfcell", True)])
async def test_without_pictures_the_words_of_the_details_have_the_whole_width(
    start, protocol, shares
):
    async with start(images=TerminalImages(protocol)) as driver:
        await driver.load()
        details = driver.app.main.details
        text = details.query_one("#details-text")
        assert text.size.width == details.content_size.width, "before a picture is read"
        await driver.highlight("neon")
        await driver.until(lambda: details.entry and details.entry.name == "neon")
        if shares:
            await driver.until(lambda: text.size.width < details.content_size.width)
        else:
            await driver.pilot.pause(SETTLE * 2)
            assert text.size.width == details.content_size.width
