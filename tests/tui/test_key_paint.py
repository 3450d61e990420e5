"""What a key leads to is painted at once, and of the list only the rows that differ."""

from __future__ import annotations

import asyncio
import math

import pytest
from textual.widget import Widget

from engine.library.search import SearchIndex
from tui_loraswitch.app import key_paint
from tui_loraswitch.panes.lora_list import LoraList

from .test_library_pane import entries


@pytest.fixture(autouse=True)
def busy_machine(monkeypatch) -> None:
    """Others may hold the machine up between a key and its answer."""
    monkeypatch.setattr(key_paint, "ANSWER_SECONDS", 1000.0)


async def handled() -> None:
    """Let every message be handled, with no frame in between."""
    for _ in range(50):
        await asyncio.sleep(0)


async def at_rest(driver):
    """The main screen, for which no frame comes by itself."""
    driver.app.main._update_timer.stop()
    await handled()
    return driver.app.main


@pytest.fixture
def drawn(monkeypatch) -> list[int]:
    """The rows of the list that are drawn."""
    numbers: list[int] = []
    draw = LoraList.draw

    def noting(self: LoraList, number: int, width: int):
        numbers.append(number)
        return draw(self, number, width)

    monkeypatch.setattr(LoraList, "draw", noting)
    return numbers


async def test_the_answer_to_a_key_waits_for_no_frame(start, monkeypatch):
    monkeypatch.setattr(key_paint, "LEAST_SECONDS", 0.0)
    async with start() as driver:
        screen = await at_rest(driver)
        screen.note_key()
        driver.list.action_move(1)
        await handled()
        assert not screen._dirty_widgets


async def test_what_no_key_led_to_waits_for_its_frame(start):
    async with start() as driver:
        screen = await at_rest(driver)
        screen._key_at = -math.inf
        driver.list.action_move(1)
        await handled()
        assert driver.list in screen._dirty_widgets


async def test_what_goes_on_by_itself_waits_for_its_frame(start, monkeypatch):
    """A picture that is drawn meanwhile is not painted with the letter, but where the focus is."""
    monkeypatch.setattr(key_paint, "LEAST_SECONDS", 0.0)
    async with start() as driver:
        screen = await at_rest(driver)
        lines = screen.query_one("#picture-line"), screen.query_one("#details-text")
        painted: list[set[Widget]] = []
        update = screen._compositor.update_widgets
        monkeypatch.setattr(
            screen._compositor,
            "update_widgets",
            lambda widgets: (painted.append(set(widgets)), update(widgets)),
        )
        screen.note_key()
        for line in lines:
            line.refresh()
        driver.list.action_move(1)
        await handled()
        assert driver.list in set().union(*painted)
        assert not set(lines) & set().union(*painted)
        assert screen._dirty_widgets == set(lines)
        screen._on_timer_update()
        assert not screen._dirty_widgets
        lines[1].focus()
        await handled()
        screen.note_key()
        for line in lines:
            line.refresh()
        await handled()
        assert screen._dirty_widgets == {lines[0]}


async def test_an_answer_just_behind_another_waits_no_longer_than_it_must(start, monkeypatch):
    monkeypatch.setattr(key_paint, "LEAST_SECONDS", 0.05)
    async with start() as driver:
        screen = await at_rest(driver)
        screen._on_timer_update()
        screen.note_key()
        driver.list.action_move(1)
        await handled()
        assert driver.list in screen._dirty_widgets
        async with asyncio.timeout(20):
            while driver.list in screen._dirty_widgets:
                await asyncio.sleep(0.01)


async def test_keys_in_a_bunch_are_painted_together(start, monkeypatch):
    monkeypatch.setattr(key_paint, "LEAST_SECONDS", 1000.0)
    async with start() as driver:
        screen = await at_rest(driver)
        screen._on_timer_update()
        for _ in range(3):
            screen.note_key()
            driver.list.action_move(1)
            await handled()
        assert driver.list in screen._dirty_widgets


async def test_a_letter_that_changes_no_row_waits_for_no_frame(start, monkeypatch):
    monkeypatch.setattr(key_paint, "LEAST_SECONDS", 0.0)
    async with start() as driver:
        await driver.press("/", "-")
        screen = await at_rest(driver)
        screen.note_key()
        screen.library.letters.value = "-z"
        await handled()
        assert not screen._dirty_widgets


async def test_rows_that_stay_are_not_drawn_anew(start, drawn):
    async with start() as driver:
        library = driver.app.main.library
        library.show_index(SearchIndex.of(entries(60)), is_complete=True)
        await driver.press("s")
        await driver.pilot.pause()
        drawn.clear()
        library.view.filter("-nothing")
        library._show()
        await driver.pilot.pause()
        assert drawn == []
        library.view.filter('-"lora 3"')
        library._show()
        await driver.pilot.pause()
        assert drawn
        assert min(drawn) == 3, "the first that differs: 0, 1, 2 stay"


async def test_what_is_drawn_in_part_looks_as_if_drawn_whole(start):
    """Rows come, go and move, the cursor with them, and the note with none left."""
    async with start() as driver:
        library = driver.app.main.library
        library.show_index(SearchIndex.of(entries(200)), is_complete=True)
        for key, query in (
            ("end", "-nothing"), ("home", "lora"), ("down", '"lora 1"'), ("end", "1 -11"),
            ("M", "-1"), ("home", "nothing"), ("down", "7"), ("s", "-7"), ("end", "9"), ("up", ""),
        ):  # fmt: skip
            await driver.press(key)
            library.view.filter(query)
            library._show()
            await driver.pilot.pause()
            strips = driver.list.render_lines(driver.list.region.reset_offset)
            driver.list.refresh()
            assert driver.list.render_lines(driver.list.region.reset_offset) == strips, query
