"""A thread that writes finished pictures beside the drawing of the next ones."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from engine.errors import CancelledError

log = logging.getLogger(__name__)

_AHEAD = 2
"""Pictures that may wait; each is some megabytes, and a disk may be slower than the drawing."""


class PictureWriter:
    """Writes in the order in which pictures come; what fails is raised by `put` or at the end."""

    def __init__(self) -> None:
        self._waiting: queue.Queue[Callable[[], object] | None] = queue.Queue(_AHEAD)
        self._fault: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="pictures", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Wait until all is written, also what was drawn before a cancel."""
        self._waiting.put(None)
        self._thread.join()
        if self._fault is None:
            return
        if error is None or isinstance(error, CancelledError):
            # A cancel is no reason to keep silent about a picture that is lost.
            raise self._fault from error
        log.error("a picture was not written either", exc_info=self._fault)

    def put(self, write: Callable[[], object]) -> None:
        """Have a picture written; waits where too many do already."""
        self._raise_fault()
        self._waiting.put(write)

    def _raise_fault(self) -> None:
        if self._fault is not None:
            raise self._fault

    def _run(self) -> None:
        while (write := self._waiting.get()) is not None:
            if self._fault is not None:
                continue  # emptied, so that nobody waits for ever
            try:
                write()
            except BaseException as error:  # noqa: BLE001 - raised again on the engine's thread
                self._fault = error
