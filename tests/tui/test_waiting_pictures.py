"""Pictures asked for while the model is loading."""

from __future__ import annotations

from pathlib import Path

from engine.events import CommandFailed, LoadProgress, StateChanged
from tests.tui.conftest import MODEL


async def write(driver, prompt: str) -> None:
    await driver.press("p", "end", "ctrl+u")
    driver.app.focused.insert(prompt)
    await driver.press("enter")


async def test_a_picture_waits_for_the_model(start, session) -> None:
    async with start() as driver:
        await driver.emit(LoadProgress("Reading", 1, 10))
        await write(driver, "a fox <lora:ink:0.4>")
        await driver.press("g")
        assert "1 picture waiting" in driver.screen[0]
        assert session.sent("generate") == session.sent("switch") == []
        await driver.press("g")
        assert "waits for the model" in driver.toasts[-1]
        await driver.load()
        (request,) = session.sent("generate")
        assert (request.prompt, request.width) == ("a fox <lora:ink:0.4>", MODEL.default_size)
        assert [ref.name for ref in session.sent("switch")[-1]] == ["ink"]
        assert "▸ drawing" in driver.screen[0]


async def test_each_is_drawn_with_what_it_was_asked_with(start, session) -> None:
    async with start() as driver:
        await write(driver, "first")
        await driver.highlight("ink")
        await driver.press("enter", "g")
        await write(driver, "second")
        await driver.highlight("aya")
        await driver.press("enter", "r", "plus")
        await driver.load()
        sent = [command for command in session.commands if command[0] in ("switch", "generate")]
        names = [
            [(ref.name, ref.unet) for ref in what] if kind == "switch" else what.prompt
            for kind, what in sent
        ]
        assert names[-4:] == [[("ink", 1.0)], "first", [("aya", 1.0)], "second"]
        for _ in range(3):
            await driver.confirm()
        assert [(r.name, r.unet) for r in session.sent("switch")[-1]] == [("aya", 1.05)]


async def test_what_waits_is_dropped_with_the_model_or_by_x(start, session) -> None:
    async with start() as driver:
        await write(driver, "a fox")
        await driver.press("r")
        await driver.emit(CommandFailed("load", "The file is broken."))
        assert "not drawn without it: 1 waiting picture" in driver.log
        assert "waiting" not in driver.screen[0]
        driver.app.control.load(Path("/other.safetensors"))
        await driver.press("r", "x")
        assert "waiting" not in driver.screen[0]
        await driver.emit(CommandFailed("load", "Cancelled.", cancelled=True))
        driver.app.control.load(MODEL.path)
        await driver.load()
        assert session.sent("generate") == []


async def test_a_tag_that_cannot_be_is_refused_at_once(start, session) -> None:
    async with start() as driver:
        await write(driver, "a fox <lora:nobody>")
        await driver.press("g")
        assert "there is none in the library" in driver.toasts[-1]
        await driver.load()
        await driver.emit(StateChanged("base"))
        assert session.sent("generate") == []
