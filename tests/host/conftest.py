"""A host in this process, with an engine that does nothing, on a socket of its own."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from engine.client.remote import RemoteEngine
from engine.host.process import Host, HostOptions
from engine.host.runtime import FOLDER_VARIABLE, HostPlace, place_of
from engine.protocol.events import EventMessage

PATIENCE = 20.0


@pytest.fixture
def place(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> HostPlace:
    folder = tmp_path_factory.mktemp("h")
    folder.chmod(0o700)
    monkeypatch.setenv(FOLDER_VARIABLE, str(folder))
    return place_of()


class RunningHost:
    """A host on a thread with an event loop of its own."""

    def __init__(self, place: HostPlace, state: Path) -> None:
        self.place, self.state = place, state
        self._ready = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()), daemon=True)
        self._thread.start()
        assert self._ready.wait(PATIENCE)

    async def _run(self) -> None:
        with self.place.held() as ours:
            assert ours
            self.host = Host(self.place, HostOptions(self.state))
            await self.host.run(on_ready=self._ready.set, takes_signals=False)

    def stop(self) -> None:
        """End it, and wait."""
        self.host.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()


@pytest.fixture
def host(place: HostPlace, tmp_path: Path) -> Iterator[RunningHost]:
    running = RunningHost(place, tmp_path / "host.json")
    yield running
    running.stop()


@dataclass
class Screen:
    """A client that notes what it hears."""

    place: HostPlace
    heard: list[EventMessage] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._news = threading.Condition()
        self.engine = RemoteEngine(self.place, self._lose)
        self.engine.attach(self._hear)

    def _hear(self, message: EventMessage) -> None:
        with self._news:
            self.heard.append(message)
            self._news.notify_all()

    def _lose(self, reason: str) -> None:
        with self._news:
            self.lost.append(reason)
            self._news.notify_all()

    def until(self, condition) -> None:
        """Wait for something to be so."""
        with self._news:
            assert self._news.wait_for(condition, PATIENCE), self.engine.view

    def until_answered(self, id: str) -> EventMessage:
        """The first event that answers a command."""
        self.until(lambda: any(message.answers == id for message in self.heard))
        return next(message for message in self.heard if message.answers == id)
