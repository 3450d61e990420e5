"""Prompts of before: the arrow keys at the prompt's edges, and a search."""

from __future__ import annotations

from typing import Any

import pytest

from engine.store.database import Database
from engine.store.prompts import PROMPTS, PromptStore, StoredPrompt
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.control.prompt_history import PromptHistory, matching
from tui_loraswitch.panes.prompt import PromptField


@pytest.fixture(autouse=True)
def prompts(settings: AppSettings) -> None:
    """Three prompts, the newest a fox."""
    with Database(settings.store_path, PROMPTS) as database:
        store = PromptStore(database)
        for at, (prompt, negative) in enumerate([("a boat", ""), ("a cat", "dull"), ("a fox", "")]):
            store.use(prompt, negative, float(at))


async def test_arrows_at_the_edges(start: Any) -> None:
    async with start(120, 36) as driver:
        await driver.load()

        def field() -> str:
            return str(driver.app.main.query_one("#prompt-text", PromptField).text)

        await driver.press("p", *"new")
        for expected in ("a fox", "a cat", "a boat"):
            await driver.press("up")
            await driver.until(lambda expected=expected: field() == expected)
        assert driver.app.control.state.prompt == "a boat"
        await driver.sees("prompt 3 of 3 before")
        await driver.press("up")
        assert field() == "a boat"
        await driver.press("down")
        await driver.until(lambda: field() == "a cat")
        assert driver.app.control.state.negative_prompt == "dull"
        await driver.press("down", "down")
        await driver.until(lambda: field() == "new")
        # What is changed is being written: the newest comes next.
        await driver.press("up", "up")
        await driver.until(lambda: field() == "a cat")
        await driver.press("end", *"s", "up")
        await driver.until(lambda: field() == "a fox")
        await driver.press("down")
        await driver.until(lambda: field() == "a cats")


async def test_search(start: Any) -> None:
    async with start(120, 36) as driver:
        await driver.load()
        await driver.press("p", "ctrl+r")
        await driver.sees("Prompts of before", "a boat", "a cat − dull")
        await driver.press(*"dull", "enter")
        await driver.until(lambda: driver.app.control.state.prompt == "a cat")
        assert driver.app.control.state.negative_prompt == "dull"
        await driver.press("ctrl+r", "down", "down", "enter")
        await driver.until(lambda: driver.app.control.state.prompt == "a boat")


def test_turning_without_a_screen() -> None:
    before = [StoredPrompt(name, "") for name in "cba"]
    history = PromptHistory()
    assert history.turn(1) is None
    history.begin(before, StoredPrompt("b", ""))
    turned = [history.turn(by) for by in (1, 1, 1, -1, -1, -1)]
    assert [one.prompt if one else None for one in turned] == ["c", "a", None, "c", "b", None]
    assert [p.prompt for p in matching([StoredPrompt("A Fox", "in Snow")], "snow fox")] == ["A Fox"]
