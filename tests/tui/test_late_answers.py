"""Keys count on those before them, also while the engine's answers are still on their way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

import pytest
from textual import events

from engine.protocol.commands import AdjustStrength, Draw, SetStack
from engine.protocol.events import CommandFailed, EventMessage
from engine.protocol.refs import LoraRef
from engine.protocol.view import EngineView
from tests.tui.conftest import FakeEngine
from tui_loraswitch.panes.messages import EngineLost


class LateEngine(FakeEngine):
    """Its events arrive when the test lets them, as those of a host on a busy machine."""

    def __init__(self) -> None:
        self.is_late = False
        self._held: deque[tuple[EventMessage, EngineView]] = deque()
        self._heard = EngineView()
        super().__init__()

    @property
    def view(self) -> EngineView:
        return self._heard

    def attach(self, on_event: Callable[[EventMessage], None]) -> EngineView:
        self._hear = on_event
        self._heard = super().attach(self._hold)
        return self._heard

    def arrive(self, most: int = 1000) -> int:
        """Let so many events arrive; returns how many are still on their way."""
        for _ in range(min(most, len(self._held))):
            message, self._heard = self._held.popleft()
            self._hear(message)
        return len(self._held)

    def _hold(self, message: EventMessage) -> None:
        self._held.append((message, self._view))
        if not self.is_late:
            self.arrive()


@pytest.fixture
def session() -> LateEngine:
    return LateEngine()


def names(stack: tuple[LoraRef, ...]) -> list[tuple[str, float]]:
    return [(ref.name, ref.unet) for ref in stack]


async def test_pictures_asked_for_at_once_have_the_stack_of_the_keys_before(start, session):
    async with start() as driver:
        await driver.load()
        await driver.press("p", *"fox", "enter")
        await driver.highlight("ink")
        session.is_late = True
        for key in ("enter", "plus", "g", "minus", "minus", "r", "0", "enter", "r"):
            driver.app.post_message(events.Key(key, key if len(key) == 1 else None))
        await driver.until(lambda: len(session.sent(Draw)) == 3)
        stacks = [names(command.stack) for command in session.sent(Draw)]
        assert stacks == [[("ink", 1.05)], [("ink", 0.95)], [("ink", 0.95)]]
        assert driver.toasts == []
        session.arrive()
        await driver.confirm()
        assert names(driver.app.control.view.wanted) == [("ink", 0.95)]


async def test_what_arrives_meanwhile_is_not_taken_for_the_last_word(start, session):
    async with start() as driver:
        await driver.load()
        await driver.highlight("ink")
        session.is_late = True
        await driver.press("space", "space", "space", "plus")
        while session.arrive(1):
            await driver.pilot.pause()
            assert names(driver.app.control.view.wanted) == [("ink", 1.05)]
        await driver.pilot.pause()
        assert names(session.view.wanted) == [("ink", 1.05)]


async def test_a_wish_that_is_refused_is_given_up(start, session):
    async with start() as driver:
        await driver.load()
        await driver.switch_to("ink")
        session.is_late = True
        await driver.highlight("neon")
        await driver.press("space")
        assert len(driver.app.control.view.wanted) == 2
        session.do(CommandFailed("switch", "neon does not fit.", refused=True))
        session.arrive()
        await driver.until(lambda: driver.toasts == ["neon does not fit."])
        assert names(driver.app.control.view.wanted) == [("ink", 1.0)]


async def test_somebody_elses_stack_takes_the_place_of_ones_own(start, session):
    async with start() as driver:
        await driver.load()
        await driver.switch_to("ink")
        session.is_late = True
        await driver.press("plus")
        (ref,) = session.sent(SetStack)[0].stack
        session.send(SetStack((ref.at(0.3),)), "another screen's")
        session.arrive()
        await driver.pilot.pause()
        assert names(driver.app.control.view.wanted) == [("ink", 0.3)]
        await driver.press("plus")
        assert len(session.sent(AdjustStrength)) == 2
        assert names(driver.app.control.view.wanted) == [("ink", 0.35)]


async def test_what_a_dead_engine_was_asked_for_counts_no_more(start, session):
    async with start() as driver:
        await driver.load()
        await driver.highlight("ink")
        session.is_late = True
        await driver.press("enter")
        driver.app.post_message(EngineLost("it was killed", starts_again=True))
        await driver.pilot.pause()
        driver.app.control.follow(EngineView())
        assert driver.app.control.view.wanted == ()
        assert driver.app.control.asked == {}
