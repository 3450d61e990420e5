"""The app's engine: attach to its host, start one, find it again when it has died."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from textual.message import Message

from engine.client.engine import Engine
from engine.errors import EngineError
from engine.host.runtime import HostPlace
from engine.protocol.events import FINAL, EventMessage, GenerationStep, StackWanted
from tui_loraswitch.panes.messages import EngineAnswered, EngineAttached, EngineLost, ViewChanged

log = logging.getLogger(__name__)

STEP_SECONDS = 1.0
"""Between two steps of a picture that are shown."""
STEP_WITH_PREVIEW_SECONDS = 0.5
"""The same where there is more to see."""
MOST_DEATHS, DEATHS_SECONDS = 3, 300.0
"""A host that dies as often within that time is not started again by itself."""

Attach = Callable[[Callable[[str], None]], Engine]
"""Gives an engine; what it gets is to be called when the engine is lost."""


class EngineLink:
    """Keeps an engine at hand; what it tells reaches the app through `post`, from any thread."""

    def __init__(
        self, attach: Attach, post: Callable[[Message], object], place: HostPlace | None
    ) -> None:
        self._attach = attach
        self._post = post
        self.place = place
        """Where the host is; None for an engine in this process."""
        self.engine: Engine | None = None
        self.listener: Callable[[EventMessage], object] = lambda message: None
        """Gets every event of the engine as it comes, on the engine's thread."""
        self._leaving = threading.Event()
        self._deaths: deque[float] = deque(maxlen=MOST_DEATHS)
        self._last_step = -math.inf

    @property
    def status(self) -> dict[str, Any]:
        """What the host said of itself when this app attached."""
        return dict(getattr(self.engine, "status", {}))

    def connect(self) -> None:
        """Attach; this may take as long as a host takes to start. Raises `EngineError`."""
        engine = self._attach(self._lost)
        if self._leaving.is_set():
            engine.close(0)
            return
        self.engine = engine
        # Before its first event, which comes on another thread.
        first = engine.view
        self._post(EngineAttached(first))
        if engine.attach(self._hear).seq > first.seq:
            self._post(ViewChanged(engine.view))

    def leave(self, timeout: float) -> bool:
        """Leave the engine alone, or end it where it is this process's; True when in time."""
        self._leaving.set()
        return self.engine is None or self.engine.close(timeout)

    def _hear(self, message: EventMessage) -> None:
        event, engine = message.event, self.engine
        if engine is None or self._leaving.is_set():
            return
        self.listener(message)
        if isinstance(event, GenerationStep) and event.step < event.total_steps:
            now = time.monotonic()
            wait = STEP_SECONDS if event.preview is None else STEP_WITH_PREVIEW_SECONDS
            if now - self._last_step < wait:
                return
            self._last_step = now
        is_taken = isinstance(event, (StackWanted, *FINAL))
        self._post(ViewChanged(engine.view, message.answers if is_taken else None))
        if isinstance(event, FINAL):
            self._post(EngineAnswered(message))

    def _lost(self, reason: str) -> None:
        """The host is gone: start another, unless they die one after the other."""
        self.engine = None
        if self._leaving.is_set():
            return
        self._deaths.append(time.monotonic())
        again = len(self._deaths) < MOST_DEATHS
        again = again or self._deaths[-1] - self._deaths[0] > DEATHS_SECONDS
        self._post(EngineLost(reason, starts_again=again))
        if again:
            threading.Thread(target=self._connect_again, name="attach", daemon=True).start()

    def _connect_again(self) -> None:
        try:
            self.connect()
        except EngineError as error:
            log.warning("no engine: %s", error)
            self._post(EngineLost(str(error), starts_again=False))
