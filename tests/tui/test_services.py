"""What runs beside the screen, without one."""

from __future__ import annotations

import gc
import threading
from collections.abc import Callable
from types import SimpleNamespace

import pytest
from msgspec import structs
from textual.message import Message

from engine.library import index
from engine.monitor import sampler
from engine.protocol.events import GenerationStep, Preview, StateChanged
from tests.tui.conftest import FakeEngine
from tui_loraswitch.app import engine_link
from tui_loraswitch.app.engine_link import EngineLink
from tui_loraswitch.app.services import Services
from tui_loraswitch.panes.messages import (
    EngineAttached,
    EngineLost,
    LibraryFound,
    ProblemNoticed,
    ViewChanged,
)


def collect(services: Services, found: list[Message]) -> list[Message]:
    """Have the library followed until it is complete."""
    post = services._post_message

    def until_complete(message: Message) -> None:
        post(message)
        if isinstance(message, LibraryFound) and message.is_complete:
            services.stop(1.5)

    services._post_message = until_complete
    services._thread(services._follow_library).run()
    return found


def link(session: FakeEngine) -> EngineLink:
    return EngineLink(lambda on_lost: session, lambda message: None, None)


def test_a_second_scan_shows_what_the_first_one_found_at_once(settings, session):
    first: list[Message] = []
    collect(Services(settings, first.append, link(session)), first)
    second: list[Message] = []
    collect(Services(settings, second.append, link(session)), second)
    *_, found = (message for message in first if isinstance(message, LibraryFound))
    known, again = (message for message in second if isinstance(message, LibraryFound))
    assert not known.is_complete
    assert again.is_complete
    rows = [[message.index.id(n) for n in range(6)] for message in (found, known, again)]
    assert rows[0] == rows[1] == rows[2]


def test_a_missing_folder_is_a_problem_and_the_rest_is_found(settings, session, tmp_path):
    settings = structs.replace(settings, loras=(tmp_path / "nowhere", *settings.loras))
    messages: list[Message] = []
    collect(Services(settings, messages.append, link(session)), messages)
    (problem,) = [message for message in messages if isinstance(message, ProblemNoticed)]
    assert "there is no such folder" in problem.problem
    assert len(messages[-1].index) == 6


def test_a_fault_of_a_service_is_said(settings, session, monkeypatch):
    def fail(path):
        raise RuntimeError("broken")

    monkeypatch.setattr(index, "LibraryIndex", fail)
    messages: list[Message] = []
    collect(Services(settings, messages.append, link(session)), messages)
    assert [type(message) for message in messages] == [ProblemNoticed]
    assert "RuntimeError: broken" in messages[0].problem


def test_nothing_is_posted_after_the_end(settings, session):
    messages: list[Message] = []
    services = Services(settings, messages.append, link(session))
    assert services.stop(1.5)
    collect(services, messages)
    assert messages == []


@pytest.mark.parametrize("is_late", [False, True])
def test_gpu_and_process_of_the_model_are_watched_however_late_the_monitor_starts(
    settings, session, monkeypatch, is_late
):
    watched: list[str | None] = []
    processes: list[int] = []

    class FakeSampler:
        def __init__(self, interval, on_reading):
            self.is_started = False

        def start(self):
            self.is_started = True

        def watch(self, gpu_uuid):
            watched.append(gpu_uuid)

        def watch_process(self, pid):
            processes.append(pid)

        def stop(self, timeout=2.0):
            assert self.is_started

    monkeypatch.setattr(sampler, "Sampler", FakeSampler)
    services = Services(settings, lambda message: None, link(session))
    steps = [
        lambda: services.watch("GPU-1"),
        lambda: services.watch_process(4711),
        services._start_monitor,
    ]
    for step in steps if is_late else reversed(steps):
        step()
    assert (watched[-1], processes[-1]) == ("GPU-1", 4711)
    assert services.stop(1.5)


@pytest.mark.parametrize(
    ("preview", "shown"), [(None, [1, 101, 150]), (Preview(1, 1, bytes(3)), [1, 51, 101, 150])]
)
def test_of_many_steps_some_are_shown_and_all_else_as_it_comes(
    session, monkeypatch, preview, shown
):
    messages: list[Message] = []
    link = EngineLink(lambda on_lost: session, messages.append, None)
    link.connect()
    clock = iter([100.0 + 0.01 * n for n in range(150)])
    monkeypatch.setattr(engine_link, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    for step in range(1, 151):
        session.tell(GenerationStep(step, 150, 0.01 * step, preview))
    session.tell(StateChanged("base"))
    attached, *views = messages
    assert isinstance(attached, EngineAttached)
    steps = [message.view.drawing.step for message in views if isinstance(message, ViewChanged)]
    assert steps == [*shown, 150], "the state changed after the last step"


def test_a_lost_engine_is_found_again_unless_it_dies_one_time_after_the_other(session):
    messages: list[Message] = []
    lose: list[Callable[[str], None]] = []

    def attach(on_lost: Callable[[str], None]) -> FakeEngine:
        lose.append(on_lost)
        return session

    link = EngineLink(attach, messages.append, None)
    link.connect()
    for number in range(1, engine_link.MOST_DEATHS + 1):
        lose[-1]("it was killed")
        for thread in threading.enumerate():
            if thread.name == "attach":
                thread.join()
        assert len(lose) == min(number + 1, engine_link.MOST_DEATHS)
    lost = [message for message in messages if isinstance(message, EngineLost)]
    assert [message.starts_again for message in lost] == [True, True, False]
    assert link.engine is None
    assert link.leave(0)


def test_what_happens_while_the_app_attaches_is_shown_after_what_was_before():
    class Quick(FakeEngine):
        def attach(self, on_event):
            view = super().attach(on_event)
            self.tell(StateChanged("base"))
            return view

    messages: list[Message] = []
    EngineLink(lambda on_lost: Quick(), messages.append, None).connect()
    attached, changed = messages
    assert isinstance(attached, EngineAttached)
    assert isinstance(changed, ViewChanged)
    assert (attached.view.state, changed.view.state) == ("empty", "base")


def test_the_library_is_left_out_of_searches_for_garbage(settings, session):
    gc.unfreeze()
    messages: list[Message] = []
    collect(Services(settings, messages.append, link(session)), messages)
    rows = messages[-1].index._rows
    tracked = {id(one) for one in gc.get_objects()}
    assert rows
    assert not any(id(row) in tracked for row in rows)
    gc.unfreeze()
