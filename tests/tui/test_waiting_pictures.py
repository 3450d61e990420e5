"""Pictures asked for while the model is loading."""

from __future__ import annotations

from engine.protocol.commands import Draw
from engine.protocol.events import (
    CommandFailed,
    GenerationFinished,
    LoadProgress,
    ModelLoaded,
    StateChanged,
)
from tests.tui.conftest import MODEL


async def write(driver, prompt: str) -> None:
    await driver.press("p", "end", "ctrl+u")
    driver.app.focused.insert(prompt)
    await driver.press("enter")


def names(stack) -> list[tuple[str, float]]:
    return [(ref.name, ref.unet) for ref in stack]


async def test_a_picture_waits_for_the_model(start, session) -> None:
    async with start() as driver:
        await driver.emit(LoadProgress("Reading", 1, 10))
        await write(driver, "a fox <lora:ink:0.4>")
        await driver.press("g")
        assert "1 picture waiting" in driver.screen[0]
        await driver.press("g")
        assert "This very picture is in the queue" in driver.toasts[-1]
        await driver.load()
        job = await driver.begin_picture()
        assert job.request.prompt == "a fox <lora:ink:0.4>"
        assert names(job.stack) == [("ink", 0.4)]
        assert "▸ drawing" in driver.screen[0]
        assert "● <ink> 0.40" in driver.screen[0]
        assert len(session.sent(Draw)) == 1


async def test_each_is_drawn_with_what_it_was_asked_with(start, session) -> None:
    async with start() as driver:
        await write(driver, "first")
        await driver.highlight("ink")
        await driver.press("enter", "g")
        await write(driver, "second")
        await driver.highlight("aya")
        await driver.press("enter", "r", "plus")
        await driver.load()
        await driver.confirm()
        assert driver.screen[0].rstrip().endswith("● aya 1.05")
        for prompt, stack in (("first", [("ink", 1.0)]), ("second", [("aya", 1.0)])):
            job = await driver.begin_picture()
            assert (job.request.prompt, names(job.stack)) == (prompt, stack)
            await driver.emit(GenerationFinished((), 1.0))
        await driver.begin()
        assert driver.screen[0].rstrip().endswith("◌ switching to aya 1.05")
        await driver.confirm()
        assert driver.screen[0].rstrip().endswith("● aya 1.05")


async def test_a_model_that_is_opened_for_a_picture_is_no_missing_one(start) -> None:
    async with start() as driver:
        await driver.load()
        await write(driver, "a fox")
        await driver.press("g")
        await driver.begin()
        await driver.emit(LoadProgress("Reading other", 1, 2), StateChanged("empty"))
        assert driver.screen[0].rstrip().endswith("◌ Reading other 50 %")
        await driver.press("1")
        assert "Reading other" in "".join(driver.screen[1:])
        # The event that ends a load is not one here: the picture goes on.
        driver.session.tell(ModelLoaded(MODEL, 1.0))
        await driver.emit(StateChanged("base"))
        assert driver.screen[0].rstrip().endswith("▸ drawing  ● base")


async def test_what_waits_is_kept_when_the_model_cannot_be_opened(start) -> None:
    async with start() as driver:
        await write(driver, "a fox")
        await driver.press("r")
        await driver.emit(CommandFailed("load", "The file is broken."))
        await driver.begin()
        assert "1 picture waiting" in driver.screen[0]
        await driver.press("L")
        await driver.load()
        job = await driver.begin_picture()
        assert job.request.prompt == "a fox"


async def test_x_drops_what_waits_and_the_load(start, session) -> None:
    async with start() as driver:
        await write(driver, "a fox")
        await driver.press("r")
        assert "1 picture waiting" in driver.screen[0]
        await driver.press("x")
        assert "waiting" not in driver.screen[0]
        assert "! no model" in driver.screen[0]
        await driver.press("L")
        await driver.load()
        await driver.begin()
        assert session.view.is_idle, "there is nothing to draw"
        assert session.view.model == MODEL


async def test_a_tag_that_cannot_be_is_refused_at_once(start, session) -> None:
    async with start() as driver:
        await write(driver, "a fox <lora:nobody>")
        await driver.press("g")
        assert "there is none in the library" in driver.toasts[-1]
        await driver.load()
        assert session.sent(Draw) == []
