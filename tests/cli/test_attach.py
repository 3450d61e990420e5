"""The app finds its host also while one is dying or starting."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from engine.client import remote, spawn
from engine.host.runtime import HostError, NoAnswerError
from tui_loraswitch.commands import attach
from tui_loraswitch.commands.attach import attach_to_host


class Place:
    """A host's lock, which is held or free as the test says, and then free."""

    name = "default"

    def __init__(self, *alive: bool) -> None:
        self._alive: Iterator[bool] = iter(alive)

    def is_alive(self) -> bool:
        return next(self._alive)


@pytest.fixture
def tried(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """What was done: hosts started, and answers to whoever attached (an error or an engine)."""
    done: list[Any] = []
    clock = iter(range(1000))
    monkeypatch.setattr(spawn, "spawn_host", lambda place, *rest: done.append("started"))
    monkeypatch.setattr(
        attach, "time", SimpleNamespace(monotonic=lambda: next(clock), sleep=lambda seconds: None)
    )
    return done


def answer(monkeypatch: pytest.MonkeyPatch, tried: list[Any], *answers: Any) -> None:
    waiting = iter(answers)

    def connect(place: Place, on_lost: object) -> Any:
        found = next(waiting)
        tried.append(found)
        if isinstance(found, Exception):
            raise found
        return found

    monkeypatch.setattr(remote, "RemoteEngine", connect)


def attach_at(place: Place) -> Any:
    settings: Any = SimpleNamespace(device=None)
    return attach_to_host(place, settings, lambda reason: None)  # type: ignore[arg-type]


def test_a_host_that_is_dying_is_waited_for_and_another_is_started(
    monkeypatch: pytest.MonkeyPatch, tried: list[Any]
) -> None:
    silent = NoAnswerError("No host answers.")
    answer(monkeypatch, tried, silent, silent, silent, "engine")
    assert attach_at(Place(True, True, False, True)) == "engine"
    # It held its lock twice; the next one took a moment to listen.
    assert tried == [silent, silent, "started", silent, "engine"]


def test_one_that_says_nothing_for_long_is_an_error(
    monkeypatch: pytest.MonkeyPatch, tried: list[Any]
) -> None:
    answer(monkeypatch, tried, *[NoAnswerError("No host answers.")] * 100)
    with pytest.raises(NoAnswerError):
        attach_at(Place(*[True] * 100))
    assert "started" not in tried


def test_one_that_refuses_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch, tried: list[Any]
) -> None:
    answer(monkeypatch, tried, HostError("Its version is another one."), "engine")
    with pytest.raises(HostError, match="version"):
        attach_at(Place(True, True))
    assert len(tried) == 1
