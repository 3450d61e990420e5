"""What runs beside the screen, without one."""

from __future__ import annotations

import pytest
from textual.message import Message

from engine.library import index
from engine.monitor import sampler
from tui_loraswitch.messages import LibraryFound, ProblemNoticed
from tui_loraswitch.services import Services


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
    from dataclasses import replace

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
