"""The engine for a program without a screen: each call waits for its outcome."""

from __future__ import annotations

import queue
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from engine.errors import CancelledError, EngineError, LoraRefusedError
from engine.events import (
    CommandFailed,
    Event,
    GenerationCancelled,
    GenerationFinished,
    ModelInfo,
    ModelLoaded,
    Switched,
    Verified,
)
from engine.generate.request import GenerateRequest
from engine.refs import LoraRef
from engine.session import Session
from tui_loraswitch.commands.outcome import CANCELLED, FAILED, end_process, say
from tui_loraswitch.commands.places import index_path, log_path
from tui_loraswitch.session_like import load_model
from tui_loraswitch.settings import AppSettings

CLOSE_SECONDS = 1.5

_Outcome = TypeVar("_Outcome", ModelLoaded, Switched, GenerationFinished, Verified)


class EngineRun:
    """Commands that wait; each raises `EngineError` when the engine refuses or fails.

    Of these, `LoraRefusedError` says that a switch left the weights as they were.
    Every event passes through `on_event`, on the thread that waits.
    """

    def __init__(self, on_event: Callable[[Event], None]) -> None:
        self._on_event = on_event
        self._events: queue.SimpleQueue[Event] = queue.SimpleQueue()
        self.session = Session(self._events.put, index_path())

    def load(self, settings: AppSettings) -> ModelInfo:
        """Open the model of the settings, and say what is unusual about it."""
        load_model(self.session, settings, settings.model)
        loaded = self._wait_for(ModelLoaded)
        for note in loaded.notes:
            say(note)
        return loaded.model

    def switch(self, stack: Sequence[LoraRef]) -> Switched:
        """Make a stack live; an empty one is the base."""
        self.session.switch(stack)
        return self._wait_for(Switched)

    def generate(self, request: GenerateRequest) -> GenerationFinished:
        """Draw the pictures of a request."""
        self.session.generate(request)
        return self._wait_for(GenerationFinished)

    def verify(self) -> Verified:
        """Compare the base with its fingerprints."""
        self.session.verify()
        return self._wait_for(Verified)

    def _wait_for(self, outcome: type[_Outcome]) -> _Outcome:
        while True:
            event = self._events.get()
            self._on_event(event)
            match event:
                case outcome():
                    return event
                case CommandFailed(message=message, cancelled=True):
                    raise CancelledError(message)
                case CommandFailed(message=message, unexpected=True):
                    raise EngineError(f"{message} (unexpected; {log_path()} has the details)")
                case CommandFailed(command="switch", message=message, refused=True):
                    raise LoraRefusedError(message)
                case CommandFailed(message=message):
                    raise EngineError(message)
                case GenerationCancelled():
                    raise CancelledError("The generation was cancelled.")


@contextmanager
def open_engine(on_event: Callable[[Event], None]) -> Iterator[EngineRun]:
    """Start the engine and end it in any case; a signal ends the process when the engine cannot."""
    engine = EngineRun(on_event)
    try:
        yield engine
    except KeyboardInterrupt:
        if not engine.session.close(CLOSE_SECONDS):
            say("Cancelled.")
            end_process(CANCELLED)
        raise
    except SystemExit as leaving:
        if not engine.session.close(CLOSE_SECONDS):
            end_process(leaving.code if isinstance(leaving.code, int) else FAILED)
        raise
    finally:
        engine.session.close(CLOSE_SECONDS)
