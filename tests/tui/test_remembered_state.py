"""The demo has a prompt and settings of its own; those of real work stay as they are."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path

from msgspec import structs

from engine.protocol.events import CommandFailed, ModelLoaded, StateChanged
from tests.tui.conftest import MODEL
from tui_loraswitch.config.ui_state import DEMO_PROMPT, RememberedState, UiState, save_state

DEMO = structs.replace(MODEL, name="loraswitch_demo", is_demo=True, default_size=192)


def choose(driver, model: Path | None) -> None:
    """Have a model loaded, as the models screen does."""
    driver.app.attempt(partial(driver.app.control.load, model))


def test_two_files_side_by_side(tmp_path: Path) -> None:
    files = RememberedState(tmp_path / "state.json", is_demo=False)
    assert files.load().prompt == ""
    work, play = UiState(prompt="work", seed=5), UiState(prompt="play")
    assert files.turn_over(work).prompt == DEMO_PROMPT
    assert files.path == tmp_path / "state-demo.json"
    assert files.turn_over(play) == work, "before any of them is on the disk"
    assert files.turn_over(work) == play
    save_state(files.path, play)
    assert RememberedState(tmp_path / "state.json", is_demo=True).load() == play
    assert [path.name for path in tmp_path.iterdir()] == ["state-demo.json"]


async def test_the_demo_leaves_what_real_work_remembers(start, settings) -> None:
    settings.state_path.parent.mkdir()
    settings.state_path.write_text(json.dumps({"prompt": "work", "seed": 99, "sort": "size"}))
    before = settings.state_path.read_bytes()
    async with start(settings=structs.replace(settings, model=None)) as driver:
        assert DEMO_PROMPT in driver.text
        await driver.load(DEMO)
        await driver.press("p", "end", "ctrl+u", *"play", "enter", "s", "q")
        await driver.until(lambda: not driver.app.is_running)
    assert settings.state_path.read_bytes() == before
    async with start(settings=structs.replace(settings, model=None)) as driver:
        await driver.sees("play")
        assert driver.app.main.library.view.sort == "name"


async def test_choosing_the_demo_and_going_back_changes_prompts(start, session, settings) -> None:
    async with start() as driver:
        await driver.load()
        await driver.press("p", *"work", "enter")
        choose(driver, None)
        await driver.begin()
        await driver.sees(DEMO_PROMPT)
        await driver.emit(StateChanged("empty"), ModelLoaded(DEMO, 1.0), StateChanged("base"))
        await driver.press("p", "end", "ctrl+u", *"play", "enter")
        choose(driver, MODEL.path)
        await driver.begin()
        await driver.sees("work")
        await driver.load()
        assert driver.app.control.state.prompt == "work"
    assert json.loads(settings.state_path.read_text())["prompt"] == "work"
    assert json.loads(settings.state_path.with_stem("state-demo").read_text())["prompt"] == "play"


async def test_a_model_that_stays_keeps_its_prompt(start) -> None:
    async with start() as driver:
        await driver.load()
        await driver.press("p", *"work", "enter")
        choose(driver, None)
        await driver.begin()
        await driver.sees(DEMO_PROMPT)
        await driver.emit(CommandFailed("load", "Cancelled.", cancelled=True))
        await driver.sees("work")
