"""The queue on the screen: what waits, and what its keys do."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.protocol.commands import CancelJob, Draw, RetryJob, Unload
from engine.protocol.events import GenerationFinished, GenerationStarted, JobChanged, ModelUnloaded
from engine.protocol.jobs import Job
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest

SIZES = [(60, 15), (80, 24), (120, 36)]
INK = LoraRef(Path("/loras/ink.safetensors"), 0.8, 0.8)


def ask(session, *prompts: str) -> list[str]:
    """Pictures that wait; the first has a LoRA."""
    requests = [GenerateRequest(prompt, Path("/pictures"), seed=1) for prompt in prompts]
    return [
        session.send(Draw(request, () if number else (INK,)))
        for number, request in enumerate(requests)
    ]


async def begin(driver) -> None:
    """Let the first picture be drawn."""
    await driver.emit(GenerationStarted(driver.session.view.jobs[0].request, 1, 20))


def prompts(session) -> list[str]:
    return [job.request.prompt for job in session.view.jobs]


@pytest.mark.parametrize("size", SIZES)
async def test_what_waits_is_shown_and_followed(start, session, size):
    async with start(*size) as driver:
        await driver.load()
        ask(session, "a fox", "a boat", "a tree")
        await driver.press("Q")
        await driver.sees("Queue 3", "a fox", "a boat", "a tree")
        await begin(driver)
        await driver.sees("▸ a fox")
        await driver.emit(GenerationFinished((), 1.0, (), (INK,), ()))
        await driver.sees("Queue 2")
        assert "a fox" not in driver.screen[0]
        await driver.press("escape")
        await driver.until(lambda: driver.app.screen is driver.app.main)


async def test_pictures_are_moved_dropped_and_paused(start, session):
    async with start() as driver:
        await driver.load()
        ask(session, "a fox", "a boat", "a tree", "a cat")
        await begin(driver)
        await driver.press("Q")
        await driver.sees("Queue 4")
        await driver.press("down", "j", "j", "K")
        assert prompts(session) == ["a fox", "a boat", "a cat", "a tree"]
        await driver.press("K")
        assert prompts(session) == ["a fox", "a cat", "a boat", "a tree"]
        await driver.press("K")
        assert prompts(session)[0] == "a fox", "what is being drawn stays first"
        await driver.press("J", "J", "J")
        assert prompts(session) == ["a fox", "a boat", "a tree", "a cat"]
        await driver.press("d")
        assert prompts(session) == ["a fox", "a boat", "a tree"]
        await driver.press("p")
        assert session.view.paused
        await driver.sees("Queue 3 · paused")
        await driver.press("p", "up", "k", "k", "d")
        assert not session.view.paused
        assert session.sent(CancelJob)[-1].job == session.view.jobs[0].id
        assert session.view.stopping, "the running one stops at its next step"
        await driver.press("X")
        assert prompts(session) == ["a fox"]


async def test_what_was_set_aside_says_why_and_is_tried_again(start, session):
    async with start() as driver:
        await driver.load()
        (id,) = ask(session, "a deadly fox")
        job = session.view.jobs[0]
        reason = "the engine died twice while drawing it"
        session.tell(JobChanged(Job(id, job.request, state="set aside", attempts=2, reason=reason)))
        await driver.press("Q")
        await driver.sees("! a deadly fox", reason)
        await driver.press("t")
        assert session.sent(RetryJob) == [RetryJob(id)]
        assert session.view.jobs[0].state == "waiting"


async def test_an_empty_queue_says_how_to_fill_it(start):
    async with start() as driver:
        await driver.load()
        await driver.press("Q")
        await driver.sees("Queue 0", "g draws a picture")
        await driver.press("d", "K", "t", "p", "Q")
        await driver.until(lambda: driver.app.screen is driver.app.main)


async def test_a_in_capitals_draws_again_and_again(start, session):
    async with start() as driver:
        await driver.load()
        await driver.press("p", *"fox", "enter", "A")
        (draw,) = session.sent(Draw)
        assert draw.forever
        await driver.press("Q")
        await driver.sees("again")


async def test_the_model_is_unloaded_and_the_queue_stays(start, session):
    async with start() as driver:
        await driver.load()
        ask(session, "a fox")
        await driver.press("U")
        assert session.sent(Unload) == [Unload()]
        session.take()
        session.tell(ModelUnloaded())
        assert prompts(session) == ["a fox"]
