"""Quitting: state kept, engine ended, always in time."""

from __future__ import annotations

import json
import os
import signal

import pytest
from msgspec.structs import replace

from engine.protocol.events import LoadProgress, PictureSaved


async def test_q_keeps_the_state_and_closes_the_engine(start, session, settings):
    async with start() as driver:
        await driver.load()
        await driver.press("p", *"a fox", "enter", "s", "q")
        await driver.until(lambda: not driver.app.is_running)
    assert session.is_closed
    assert driver.app.engine_stopped
    state = json.loads(settings.state_path.read_text())
    assert state["prompt"] == "a fox"
    assert state["sort"] == "name"
    left = {path.name for path in settings.state_path.parent.iterdir()}
    assert {name for name in left if not name.startswith("loraswitch.db")} == {"state.json"}


async def test_the_next_start_shows_what_was_remembered(start, session, settings):
    settings.state_path.parent.mkdir()
    settings.state_path.write_text(json.dumps({"prompt": "old words", "seed": 99, "steps": "no"}))
    async with start() as driver:
        assert "old words" in driver.text
        assert "28 steps" in driver.text
        assert "seed 99" in driver.text


async def test_quitting_while_loading_leaves_although_the_engine_does_not_end(start, session):
    session.closes_in_time = False
    async with start() as driver:
        await driver.emit(LoadProgress("reading", 1, 10))
        await driver.press("q")
        await driver.until(lambda: not driver.app.is_running)
    assert session.is_closed
    assert not driver.app.engine_stopped


@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGTERM, signal.SIGINT])
async def test_a_signal_ends_all_even_when_the_screen_hangs(
    start, session, settings, monkeypatch, number
):
    codes: list[int] = []
    monkeypatch.setattr("os._exit", codes.append)
    monkeypatch.setattr("tui_loraswitch.app.hang_up.GRACE", 0.0)
    # Under nohup the hang-up is ignored, here as in the program.
    outside = signal.signal(number, signal.default_int_handler)
    before = signal.getsignal(number)
    async with start() as driver:
        await driver.press("p", *"kept", "enter")
        os.kill(os.getpid(), number)
        await driver.until(lambda: codes and not driver.app.is_running)
    assert codes == [128 + number]
    assert session.is_closed
    assert json.loads(settings.state_path.read_text())["prompt"] == "kept"
    assert signal.getsignal(number) is before
    signal.signal(number, outside)


async def test_a_state_that_cannot_be_written_is_said_and_no_reason_to_stay(start, settings):
    settings.state_path.parent.write_text("a file where the folder should be")
    async with start() as driver:
        await driver.press("q")
        await driver.until(lambda: not driver.app.is_running)


async def test_the_theme_is_remembered(start, settings):
    async with start() as driver:
        driver.app.theme = "nord"
        await driver.press("q")
        await driver.until(lambda: not driver.app.is_running)
    async with start() as driver:
        assert driver.app.theme == "nord"


async def test_events_after_the_end_disturb_nobody(start, session):
    async with start():
        pass
    session.do(LoadProgress("late"))


async def test_what_dead_processes_left_is_swept_at_the_start(start, settings):
    folders = (settings.output, settings.state_path.parent)
    for folder in folders:
        folder.mkdir()
        (folder / ".loraswitch-0123456789abcdef.part").touch()
    async with start() as driver:
        await driver.until(lambda: not any(list(folder.glob(".*")) for folder in folders))


async def test_the_state_is_kept_with_every_picture_and_a_failure_said(start, settings):
    async with start() as driver:
        await driver.press("p", *"a fox", "enter")
        picture = PictureSaved(settings.output / "1.png", 7, 64, 64, 28, "")
        await driver.emit(picture)
        await driver.until(lambda: settings.state_path.exists())
        assert json.loads(settings.state_path.read_text())["prompt"] == "a fox"
        settings.state_path.unlink()
        settings.state_path.mkdir()
        await driver.emit(replace(picture, path=settings.output / "2.png"))
        await driver.until(lambda: any("no file" in line for line in driver.log))


async def test_what_ctrl_c_may_end_is_seen_whole_on_the_smallest_screen(start):
    async with start(40, 10) as driver:
        await driver.load()
        await driver.press("p", *"a fox", "enter", "g", "ctrl+c")
        await driver.sees("Ctrl+C ends nothing by itself here.", "What is it to end?")
        await driver.sees("cancel 1 picture (x)", "leave the app (q)", "go on")
        await driver.sees("Enter chooses · Escape stays")
