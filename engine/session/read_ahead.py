"""Reading the LoRAs of the next job while the one before it is drawn."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence

from engine.errors import EngineError
from engine.protocol.jobs import Job
from engine.protocol.refs import LoraRef

log = logging.getLogger(__name__)

Cancelled = Callable[[], bool]
Prefetch = Callable[[LoraRef, Cancelled], None]


class ReadAhead:
    """One thread at a time that reads and checks files, beside the engine's own."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._stopping = threading.Event()

    def begin(self, refs: Sequence[LoraRef], prefetch: Prefetch) -> None:
        """Read these; nothing is done where others are being read still, or there is nothing."""
        if not refs or (self._thread is not None and self._thread.is_alive()):
            return
        self._stopping.clear()

        def read() -> None:
            for ref in refs:
                try:
                    prefetch(ref, self._stopping.is_set)
                except EngineError as error:
                    # The switch to it says what is wrong, and to whom.
                    log.info("not read ahead: %s", error)

        self._thread = threading.Thread(target=read, name="read ahead", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End it, before what it reads for is given up."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()


def next_loras(waiting: Sequence[Job], job: Job) -> tuple[LoraRef, ...]:
    """The LoRAs of the next job of the same model with another stack, that this one has not."""
    own = {ref.path for ref in job.stack}
    for other in waiting:
        if other.model != job.model:
            return ()
        if other.stack != job.stack:
            return tuple(ref for ref in other.stack if ref.path not in own)
    return ()
