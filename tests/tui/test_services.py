"""What runs beside the screen, without one."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import replace
from types import SimpleNamespace

import pytest
from textual.message import Message

from engine import session as session_module
from engine.events import GenerationStep, StateChanged
from engine.library import index
from engine.monitor import sampler
from tests.tui.conftest import MODEL
from tui_loraswitch import services as services_module
from tui_loraswitch.messages import EngineReported, LibraryFound, ProblemNoticed
from tui_loraswitch.services import ENGINE_NICENESS, Services


def collect(services: Services, found: list[Message]) -> list[Message]:
    services._thread(services._scan_library).run()
    return found


def test_a_second_scan_shows_what_the_first_one_found_at_once(settings, session):
    first: list[Message] = []
    collect(Services(settings, first.append, session), first)
    second: list[Message] = []
    collect(Services(settings, second.append, session), second)
    (found,) = [message for message in first if isinstance(message, LibraryFound)]
    known, again = [message for message in second if isinstance(message, LibraryFound)]
    assert not known.is_complete
    assert again.is_complete
    assert set(known.by_name.entries) == set(again.by_name.entries) == set(found.by_name.entries)


def test_a_missing_folder_is_a_problem_and_the_rest_is_found(settings, session, tmp_path):
    settings = replace(settings, loras=(tmp_path / "nowhere", *settings.loras))
    messages: list[Message] = []
    collect(Services(settings, messages.append, session), messages)
    (problem,) = [message for message in messages if isinstance(message, ProblemNoticed)]
    assert "there is no such folder" in problem.problem
    assert len(messages[-1].by_name.entries) == 6


def test_a_fault_of_a_service_is_said(settings, session, monkeypatch):
    def fail(path):
        raise RuntimeError("broken")

    monkeypatch.setattr(index, "LibraryIndex", fail)
    messages: list[Message] = []
    collect(Services(settings, messages.append, session), messages)
    assert [type(message) for message in messages] == [ProblemNoticed]
    assert "RuntimeError: broken" in messages[0].problem


def test_nothing_is_posted_after_the_end(settings, session):
    messages: list[Message] = []
    services = Services(settings, messages.append, session)
    assert services.stop(1.5)
    collect(services, messages)
    assert messages == []


@pytest.mark.parametrize("is_late", [False, True])
def test_the_gpu_of_the_model_is_watched_however_late_the_monitor_starts(
    settings, session, monkeypatch, is_late
):
    watched: list[str | None] = []

    class FakeSampler:
        def __init__(self, interval, on_reading):
            self.is_started = False

        def start(self):
            self.is_started = True

        def watch(self, gpu_uuid):
            watched.append(gpu_uuid)

        def stop(self, timeout=2.0):
            assert self.is_started

    monkeypatch.setattr(sampler, "Sampler", FakeSampler)
    services = Services(settings, lambda message: None, session)
    steps = [lambda: services.watch("GPU-1"), services._start_monitor]
    for step in steps if is_late else reversed(steps):
        step()
    assert watched[-1] == "GPU-1"
    assert services.stop(1.5)


@pytest.mark.skipif(sys.platform != "linux", reason="niceness of a thread is Linux's")
def test_the_engine_and_its_threads_make_way_for_the_screen(settings, monkeypatch):
    found: list[int] = []

    class FakeSession:
        def __init__(self, report, index):
            thread = threading.Thread(target=lambda: found.append(niceness()))
            thread.start()
            thread.join()

        def load(self, *args):
            pass

    def niceness() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    monkeypatch.setattr(session_module, "Session", FakeSession)
    monkeypatch.setattr(services_module, "FIRST_READING_PATIENCE", 0.0)
    monkeypatch.setattr(services_module, "LIST_PATIENCE", 0.0)
    services = Services(settings, lambda message: None)
    services._engine_starter.start()
    services._engine_starter.join()
    assert found == [min(niceness() + ENGINE_NICENESS, 19)], "this thread's own is what it was"


@pytest.mark.parametrize(
    ("device", "shown"), [("cuda:0", [1, 26, 51, 76, 100]), ("cpu", [1, 51, 100])]
)
def test_of_many_steps_the_first_and_the_last_are_shown_and_some_between(
    settings, session, monkeypatch, device, shown
):
    messages: list[Message] = []
    services = Services(settings, messages.append, session)
    services.follow_model(replace(MODEL, device=device))
    clock = iter([100.0 + 0.01 * n for n in range(100)])
    monkeypatch.setattr(services_module, "time", SimpleNamespace(monotonic=lambda: next(clock)))
    for step in range(1, 101):
        services.report(GenerationStep(step, 100, 0.01 * step))
        services.report(StateChanged("base"))
    events = [message.event for message in messages if isinstance(message, EngineReported)]
    steps = [event.step for event in events if isinstance(event, GenerationStep)]
    assert steps == shown
    assert len(events) == len(steps) + 100, "all else is reported as it comes"
