"""What a client needs of an engine, in this process or in a host's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from engine.protocol.commands import Command
from engine.protocol.events import EventMessage
from engine.protocol.view import EngineView


class Engine(Protocol):
    """Commands in, events and a view out."""

    def attach(self, on_event: Callable[[EventMessage], None]) -> EngineView:
        """Send the events after the returned view to `on_event`, which must not block."""

    @property
    def view(self) -> EngineView:
        """The engine as it is after the last event that has arrived."""

    def send(self, command: Command, id: str | None = None) -> str:
        """Ask for something; returns the id that the event which ends it will name."""

    def close(self, timeout: float) -> bool:
        """Leave it: an engine of this process ends, a host's goes on. True when done in time."""
