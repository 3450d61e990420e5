"""The engine of a command: that of a running host, or one of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

from engine.client.blocking import BlockingClient, UnexpectedError
from engine.errors import EngineError
from engine.host.runtime import HostPlace
from engine.protocol.commands import CancelJob, Command, Draw, Load, SetStack, Unload, Verify
from engine.protocol.events import (
    CommandFailed,
    Event,
    EventMessage,
    GenerationFinished,
    ModelInfo,
    ModelLoaded,
    ModelUnloaded,
    Switched,
    Verified,
)
from engine.protocol.refs import LoraRef
from engine.protocol.request import GenerateRequest
from engine.protocol.view import EngineView
from tui_loraswitch.commands.attach import connected
from tui_loraswitch.commands.outcome import CANCELLED, FAILED, end_process, say
from tui_loraswitch.commands.places import log_path
from tui_loraswitch.config.settings import AppSettings
from tui_loraswitch.control.load_command import load_command

CLOSE_SECONDS = 1.5
_LOADS = ("load", "draw")
"""Work that opens a model; a job does it where it is to be drawn with another one."""

_Outcome = TypeVar("_Outcome", bound=Event)


class EngineRun:
    """Commands that wait; each raises `EngineError` when the engine refuses or fails.

    Of these, `LoraRefusedError` says that a switch left the weights as they were.
    Every event passes through `on_event`, on the thread that waits.
    """

    def __init__(self, on_event: Callable[[Event], None], place: HostPlace | None = None) -> None:
        self.client = BlockingClient(lambda message: on_event(message.event))
        self._needs_model = False
        self.engine = connected(place, self.client.lose)
        self.engine.attach(self._take)

    def _take(self, message: EventMessage) -> None:
        self.client.take(message)
        reason = no_model_comes(message.event, self.engine.view)
        if reason is not None and self._needs_model:
            self.client.fail(EngineError(reason))

    @property
    def model(self) -> ModelInfo:
        """The model that is loaded; raises `EngineError` where none is."""
        model = self.engine.view.model
        if model is None:
            raise EngineError("No model is loaded.")
        return model

    def load(self, settings: AppSettings) -> ModelInfo:
        """Open the model of the settings, and say what is unusual about it."""
        loaded = self.ask(load_command(settings, settings.model), ModelLoaded)
        for note in loaded.notes:
            say(note)
        return loaded.model

    def require_model(self, settings: AppSettings) -> None:
        """Open the model of the settings where none is open and none is on its way."""
        if needed_load(self.engine.view, settings) is not None:
            self.load(settings)

    def switch(self, stack: Sequence[LoraRef]) -> Switched:
        """Make a stack live; an empty one is the base."""
        return self.ask(SetStack(tuple(stack)), Switched)

    def draw(self, request: GenerateRequest, stack: Sequence[LoraRef]) -> GenerationFinished:
        """Draw the pictures of a request with a stack."""
        say_if_paused(self.engine.view)
        return self.ask(Draw(request, tuple(stack)), GenerationFinished)

    def unload(self) -> None:
        """Give the model's memory back."""
        self.ask(Unload(), ModelUnloaded)

    def verify(self) -> Verified:
        """Compare the base with its fingerprints."""
        return self.ask(Verify(), Verified)

    def ask(self, command: Command, outcome: type[_Outcome]) -> _Outcome:
        """Ask for something, and wait for the event that ends it."""
        self._needs_model = isinstance(command, SetStack | Draw)
        try:
            return self.client.wait(self.client.send(self.engine, command), outcome)
        except UnexpectedError as error:
            raise EngineError(unexpected_words(str(error))) from error

    def leave(self) -> bool:
        """Take back what was asked for and is not done, and leave; True when done in time."""
        for id in self.client.asked:
            self.engine.send(CancelJob(id))
        return self.engine.close(CLOSE_SECONDS)


def needed_load(view: EngineView, settings: AppSettings) -> Load | None:
    """The command that opens the model of the settings, where none is open nor on its way."""
    if view.model is not None or view.working in _LOADS:
        return None
    return load_command(settings, settings.model)


def say_if_paused(view: EngineView) -> None:
    """Say why nothing is drawn, where somebody has paused a host's queue."""
    if view.paused:
        say("The host's queue is paused; “loraswitch queue go-on” lets it draw.")


def no_model_comes(event: Event, view: EngineView) -> str | None:
    """Why what waits for a model would wait for ever: whoever asked for one did not get it.

    Who cancels a load is at the host, and will ask for another one.
    """
    if view.model is None and isinstance(event, CommandFailed) and event.command == "load":
        return None if event.cancelled else event.message
    return None


def unexpected_words(message: str) -> str:
    """What is said of a fault of the program."""
    return f"{message} (unexpected; {log_path()} has the details)"


@contextmanager
def open_engine(
    on_event: Callable[[Event], None], place: HostPlace | None = None
) -> Iterator[EngineRun]:
    """Start an engine, or attach to the host at `place`, and leave it in any case."""
    run = EngineRun(on_event, place)
    with left_in_any_case(run.leave):
        yield run


@contextmanager
def left_in_any_case(leave: Callable[[], bool]) -> Iterator[None]:
    """Leave an engine at the end; a signal ends the process when the engine cannot."""
    try:
        yield
    except KeyboardInterrupt:
        if not leave():
            say("Cancelled.")
            end_process(CANCELLED)
        raise
    except SystemExit as leaving:
        if not leave():
            end_process(leaving.code if isinstance(leaving.code, int) else FAILED)
        raise
    finally:
        leave()
