"""Prompt and settings are the same on every screen of a host, and there again after a restart."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from engine.protocol.commands import SetDraft
from engine.protocol.request import GenerateRequest

FOX = GenerateRequest("a fox", Path("/elsewhere"), "rain", seed=7, steps=9, width=0, height=0)


async def test_what_is_written_reaches_other_screens_when_the_prompt_is_left(start, session):
    async with start() as driver:
        await driver.load()
        await driver.press("p", *"fox")
        assert session.sent(SetDraft) == [], "not letter by letter"
        await driver.press("enter")
        (sent,) = session.sent(SetDraft)
        assert sent.draft.prompt == "fox"
        assert session.view.draft == sent.draft
        await driver.press("p", "enter")
        assert session.sent(SetDraft) == [sent], "nothing was changed"


async def test_what_another_screen_has_written_is_shown(start, session):
    async with start() as driver:
        await driver.load()
        session.send(SetDraft(FOX))
        await driver.sees("a fox", "rain", "9 steps", "seed 7")
        state = driver.app.control.state
        assert (state.prompt, state.steps, state.width) == ("a fox", 9, 0)
        assert len(session.sent(SetDraft)) == 1, "it is not sent back"


async def test_what_is_being_typed_is_not_taken_away(start, session):
    async with start() as driver:
        await driver.load()
        await driver.press("p", *"boat")
        session.send(SetDraft(FOX))
        await driver.sees("boat")
        await driver.press("s", "enter")
        assert driver.app.control.state.prompt == "boats"
        assert session.view.draft is not None
        assert session.view.draft.prompt == "boats", "the newest is what all have"


async def test_an_app_that_attaches_takes_what_is_there(start, session):
    session.send(SetDraft(FOX))
    async with start() as driver:
        await driver.sees("a fox")


async def test_settings_are_shared_too(start, session):
    async with start() as driver:
        await driver.load()
        session.send(SetDraft(FOX))
        await driver.sees("9 steps")
        session.send(SetDraft(replace(FOX, steps=12)))
        await driver.sees("12 steps")
