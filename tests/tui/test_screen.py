"""The arrangement: folded, two columns, three columns, too small."""

from __future__ import annotations

import itertools
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from textual.css.stylesheet import Stylesheet
from textual.dom import DOMNode
from textual.geometry import Size

from tui_loraswitch.app.app import LoraSwitchApp
from tui_loraswitch.app.room import Room
from tui_loraswitch.config.ui_state import UiState, save_state
from tui_loraswitch.images.terminal import TerminalImages
from tui_loraswitch.look.layout import RIGHT_PANES, Wishes, arrange
from tui_loraswitch.panes.details import SETTLE

PANES = ("library", *RIGHT_PANES)
MOVED = st.dictionaries(st.sampled_from(("left", "side", *PANES)), st.integers(-99, 99))


@given(
    st.integers(40, 400),
    st.integers(10, 150),
    st.builds(
        Wishes,
        right=st.sampled_from(RIGHT_PANES),
        alone=st.sampled_from(PANES),
        is_zoomed=st.booleans(),
        needs=st.dictionaries(st.sampled_from(PANES), st.integers(0, 200)),
        splits=MOVED,
    ),
)
def test_panes_tile_the_screen_at_any_size(width, height, wishes):
    regions = arrange(width, height, wishes).regions
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


@pytest.mark.parametrize(("size", "rows"), [((100, 30), 14), ((120, 36), 18), ((80, 24), 18)])
@pytest.mark.parametrize("members", [0, 2, 9])
def test_the_list_has_room_whatever_the_stack_holds(size, rows, members):
    library = arrange(*size, Wishes(needs={"stack": members, "prompt": 9})).regions["library"]
    assert library.height - 3 >= rows, "without its frame and the filter"


@given(
    st.sampled_from([(80, 24), (100, 30), (120, 36), (200, 50)]),
    st.lists(st.tuples(st.integers(0, 199), st.integers(0, 49), st.integers(-9, 9)), max_size=8),
)
def test_a_frame_follows_the_mouse_as_far_as_there_is_room(size, drags):
    room = Room(lambda arrangement: None)
    room.resize(Size(*size))
    for x, y, move in drags:
        edge = room.edge_at(x, y)
        if edge is None:
            continue
        is_row = edge.above is not None
        room.drag(edge, x, y)
        here = room.arrangement
        room.drag(edge, x if is_row else x + move, y + move if is_row else y)
        regions = room.arrangement.regions
        assert sum(region.area for region in regions.values()) == size[0] * size[1]
        if room.arrangement != here:
            again = Room(lambda arrangement: None)
            again.restore(room.remembered)
            again.resize(Size(*size))
            assert again.arrangement.regions == regions, "it is remembered"


async def test_the_first_frame_has_the_prompt_and_the_settings(start, settings, monkeypatch):
    save_state(settings.state_path, UiState(prompt="a lighthouse", steps=33))
    frames: list[str] = []
    begin = LoraSwitchApp._start

    def noting(app: LoraSwitchApp) -> None:
        lines = app.main._compositor.render_strips()
        frames.append("\n".join(line.text for line in lines))
        begin(app)

    monkeypatch.setattr(LoraSwitchApp, "_start", noting)
    async with start():
        assert "a lighthouse" in frames[0]
        assert "33 steps" in frames[0]


async def test_panes_get_the_height_that_they_need(start):
    async with start(120, 36) as driver:
        await driver.load()
        main = driver.app.main
        stack, prompt = main.stack.outer_size.height, main.prompt.outer_size.height
        for name in ("ink", "neon", "aya"):
            await driver.highlight(name)
            await driver.press("space")
        await driver.press("p")
        driver.app.focused.insert("long words " * 40)
        await driver.press("enter")
        assert main.stack.outer_size.height == stack + 2
        assert main.prompt.outer_size.height > prompt
        assert main.library.outer_size.height - 3 >= 18
        await driver.press("0")
        assert main.stack.outer_size.height == stack


async def test_keys_and_mouse_move_the_frames_and_they_are_remembered(start, settings):
    async with start(120, 36) as driver:
        await driver.load()
        main = driver.app.main
        left, details = main.library.size.width, main.details.size.height
        await driver.press("greater_than_sign", "3", "right_curly_bracket")
        assert main.library.size.width == left + 2
        assert main.details.size.height == details + 1
        edge = main.library.region
        await driver.pilot.mouse_down(offset=(edge.right - 1, 10))
        await driver.pilot.hover(offset=(edge.right + 4, 10))
        await driver.pilot.mouse_up(offset=(edge.right + 4, 10))
        assert main.library.size.width == left + 7
        await driver.press("q")
        await driver.until(lambda: not driver.app.is_running)
    async with start(120, 36) as driver:
        assert driver.app.main.library.size.width == left + 7
        assert driver.app.main.details.size.height == details + 1


@pytest.mark.parametrize("size", [(80, 24), (120, 36)])
async def test_any_pane_takes_the_whole_screen_and_gives_it_back(start, size):
    async with start(*size) as driver:
        await driver.load()
        main = driver.app.main
        before = {pane.id: pane.region for pane in main.panes if pane.display}
        for number, pane in enumerate(("library", *RIGHT_PANES)):
            if number:
                await driver.press(str(number), str(number))
            if not main.room.is_alone:
                await driver.press("z")
            assert [one.id for one in main.panes if one.display] == [pane]
            assert main.query_one(f"#{pane}").size.width >= size[0] - 4
            assert main.focused_pane == pane
            await driver.press("z")
        await driver.press("1", "escape")
        assert driver.app.focused is driver.list
        assert {pane.id: pane.region for pane in main.panes if pane.display} == before


@pytest.mark.parametrize("size", [(60, 15), (40, 10), (79, 60), (150, 12)])
async def test_a_small_screen_shows_one_pane_at_a_time(start, size):
    async with start(*size) as driver:
        await driver.load()
        main = driver.app.main
        assert [pane.id for pane in main.panes if pane.display] == ["library"]
        for number, name in enumerate(RIGHT_PANES, 1):
            await driver.press(str(number))
            assert [pane.id for pane in main.panes if pane.display] == [name]
            assert main.focused_pane == name
        await driver.press("escape")
        assert driver.app.focused is driver.list
        await driver.press("p", *"fox", "enter")
        assert driver.app.focused is driver.list
        await driver.press("slash", *"ne", "enter", "enter", "g")
        assert [pane.id for pane in main.panes if pane.display] == ["picture"]
        assert all(len(line) == size[0] for line in driver.screen)


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
        await driver.press(*["right_square_bracket"] * 3)
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
        await driver.pilot.resize_terminal(39, 24)
        await driver.pilot.pause()
        assert "40×10 needed, this is 39×24" in driver.text
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


async def test_what_is_said_again_stands_once_and_three_at_most_are_said_at_a_time(start):
    async with start() as driver:
        await driver.press(*"uuuu")
        await driver.until(lambda: driver.toasts == ["There is nothing to take back."])
        for words in ("one", "two", "three"):
            driver.app.toast(words, "information")
        await driver.until(lambda: driver.toasts == ["one", "two", "three"])
        driver.app.toast("two", "information")
        await driver.until(lambda: driver.toasts == ["one", "three", "two"])
        await driver.until(lambda: len(driver.app.screen.query("Toast")) == 3)


async def test_the_first_frame_has_all_styles_though_they_are_given_once(start, monkeypatch):
    times: Counter[DOMNode] = Counter()
    apply = Stylesheet.apply

    def noting(self: Stylesheet, node: DOMNode, **options: Any) -> None:
        times[node] += 1
        apply(self, node, **options)

    monkeypatch.setattr(Stylesheet, "apply", noting)
    async with start() as driver:
        nodes = list(driver.app.main.walk_children(with_self=True))
        log = driver.app.main.log_pane
        assert times[log] == 1
        before = [(node.styles.get_rules(), node.rich_style) for node in nodes]
        driver.app.main.update_node_styles()
        assert times[log] == 2
        assert [(node.styles.get_rules(), node.rich_style) for node in nodes] == before
