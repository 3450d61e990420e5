"""An engine for a program without a screen: each call waits for its outcome."""

from __future__ import annotations

import queue
from collections.abc import Callable
from typing import TypeVar

from engine.client.engine import Engine
from engine.errors import CancelledError, EngineError, LoraRefusedError
from engine.host.runtime import HostError
from engine.protocol.commands import Command
from engine.protocol.events import (
    FINAL,
    CommandFailed,
    Event,
    EventMessage,
    GenerationCancelled,
    Superseded,
)

_Outcome = TypeVar("_Outcome", bound=Event)


class UnexpectedError(EngineError):
    """A fault of the program; the engine's log has its traceback."""


class BlockingClient:
    """Commands that wait; each raises `EngineError` when the engine refuses or fails.

    Of these, `LoraRefusedError` says that a switch left the weights as they were, `CancelledError`
    that somebody stopped it, and `HostError` that the host is gone. `take` and `lose` are what the
    engine is to be made with. Every event of the commands that are waited for passes through
    `on_event`, on the thread that waits; so do events that answer nobody.
    """

    def __init__(self, on_event: Callable[[EventMessage], None]) -> None:
        self._on_event = on_event
        self._messages: queue.SimpleQueue[EventMessage | EngineError] = queue.SimpleQueue()
        self.asked: set[str] = set()
        """Ids of the commands that are not ended."""

    def take(self, message: EventMessage) -> None:
        """Get an event, on any thread."""
        self._messages.put(message)

    def lose(self, reason: str) -> None:
        """The connection to the host is lost."""
        self.fail(HostError(f"The connection to the host is lost ({reason})."))

    def fail(self, error: EngineError) -> None:
        """Let whoever waits now or next get this error, on any thread."""
        self._messages.put(error)

    def send(self, engine: Engine, command: Command) -> str:
        """Ask for something without waiting; returns its id, for `wait`."""
        id = engine.send(command)
        self.asked.add(id)
        return id

    def wait(self, id: str, outcome: type[_Outcome]) -> _Outcome:
        """The event that ends a command."""
        event = self.next_end(id).event
        if isinstance(event, outcome):
            return event
        raise _error_of(event)

    def next_end(self, id: str | None = None) -> EventMessage:
        """The next message that ends the command of that id, or any that was asked."""
        while True:
            message = self._messages.get()
            if isinstance(message, EngineError):
                raise message
            if message.answers is None or message.answers in self.asked:
                self._on_event(message)
            if message.answers in self.asked and isinstance(message.event, FINAL):
                self.asked.discard(message.answers)
                if id is None or message.answers == id:
                    return message


def _error_of(event: Event) -> EngineError:
    match event:
        case CommandFailed(message=message, cancelled=True):
            return CancelledError(message)
        case CommandFailed(message=message, unexpected=True):
            return UnexpectedError(message)
        case CommandFailed(command="switch", message=message, refused=True):
            return LoraRefusedError(message)
        case CommandFailed(message=message):
            return EngineError(message)
        case GenerationCancelled():
            return CancelledError("The generation was cancelled.")
        case Superseded():
            return EngineError("Somebody else has chosen another stack meanwhile.")
    return EngineError(f"The engine answered something else: {type(event).__name__}.")
