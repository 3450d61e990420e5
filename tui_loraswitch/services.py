"""What runs beside the screen: the engine, the library scan, the monitor.

Each starts on a daemon thread, since importing torch or listing a slow disk must neither hold the
first frame nor the end of the program.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from textual.message import Message

from engine.events import Event
from engine.library.entry import LibraryEntry
from tui_loraswitch.messages import (
    EngineReported,
    EngineUnavailable,
    LibraryFound,
    ProblemNoticed,
    ReadingTaken,
    ScanProgressed,
)
from tui_loraswitch.session_like import SessionLike
from tui_loraswitch.settings import AppSettings

if TYPE_CHECKING:
    from engine.monitor.reading import Reading


log = logging.getLogger(__name__)

READING_SECONDS = 1.0
PARTIAL_SECONDS = 2.0
"""While a first scan runs, the list is filled this often."""


class _Sampler(Protocol):
    def watch(self, gpu_uuid: str | None) -> None: ...

    def stop(self, timeout: float = ...) -> None: ...


class Services:
    """Starts and stops them; what they find reaches the app through `post`, from any thread."""

    def __init__(
        self,
        settings: AppSettings,
        post: Callable[[Message], object],
        session: SessionLike | None = None,
    ) -> None:
        self._settings = settings
        self._post_message = post
        self.session = session
        self._sampler: _Sampler | None = None
        self._stopping = threading.Event()
        self._engine_starter = self._thread(self._start_engine)

    def start(self) -> None:
        """Begin everything, without waiting for anything."""
        self._engine_starter.start()
        self._thread(self._scan_library).start()
        self._thread(self._start_monitor).start()

    def watch(self, gpu_uuid: str | None) -> None:
        """Read the GPU the model is on."""
        if self._sampler is not None:
            self._sampler.watch(gpu_uuid)

    def report(self, event: Event) -> None:
        """Take an event from the engine thread."""
        self._post(EngineReported(event))

    def stop(self, timeout: float) -> bool:
        """End everything; True when the engine's thread has ended within `timeout` seconds."""
        self._stopping.set()
        if self._sampler is not None:
            self._sampler.stop(timeout=0.1)
        if self.session is not None:
            return self.session.close(timeout)
        return not self._engine_starter.is_alive()

    def _thread(self, work: Callable[[], None]) -> threading.Thread:
        def run() -> None:
            # One service less is no reason to end: the app says so and goes on.
            try:
                work()
            except Exception as error:
                log.exception("%s failed", work.__name__)
                words = f"Unexpected fault: {type(error).__name__}: {error}"
                self._post(ProblemNoticed(f"{words}; the log file has the details."))

        return threading.Thread(target=run, name=work.__name__.strip("_"), daemon=True)

    def _start_engine(self) -> None:
        if self.session is None:
            try:
                from engine.session import Session

                session: SessionLike = Session(self.report)
            except ImportError as error:
                self._post(EngineUnavailable(f"The engine cannot be started: {error}."))
                return
            self.session = session
        if not self._stopping.is_set():
            settings = self._settings
            self.session.load(settings.model, settings.device, settings.dtype, settings.backup)

    def _start_monitor(self) -> None:
        from engine.monitor.sampler import Sampler

        def on_reading(reading: Reading) -> None:
            self._post(ReadingTaken(reading))

        sampler = Sampler(READING_SECONDS, on_reading)
        self._sampler = sampler
        if not self._stopping.is_set():
            sampler.start()

    def _scan_library(self) -> None:
        from engine.library.index import LibraryIndex
        from engine.library.scan import ScanProgress, scan_folders

        roots = self._settings.loras
        with LibraryIndex(self._settings.index_path) as index:
            known = index.load(roots)
            found: list[LibraryEntry] = []
            last_partial = time.monotonic()
            if known:
                self._post(LibraryFound(tuple(known), is_complete=False))

            def on_progress(progress: ScanProgress) -> None:
                nonlocal last_partial
                found.extend(progress.found)
                for problem in progress.problems:
                    self._post(ProblemNoticed(problem))
                self._post(ScanProgressed(progress.done, progress.total))
                if not known and time.monotonic() - last_partial > PARTIAL_SECONDS:
                    last_partial = time.monotonic()
                    self._post(LibraryFound(tuple(found), is_complete=False))

            entries = scan_folders(roots, index, on_progress, self._stopping.is_set)
        self._post(LibraryFound(tuple(entries), is_complete=True))

    def _post(self, message: Message) -> None:
        if not self._stopping.is_set():
            # The app may close between the question and the call; nobody listens then.
            with suppress(RuntimeError):
                self._post_message(message)
