"""Hashes of the files in use, computed beside the work and kept between runs."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from engine.errors import EngineError
from engine.files.file_version import FileVersion
from engine.files.hashes import FileHashes
from engine.library.hash_table import HashTable
from engine.library.niceness import lower_priority

log = logging.getLogger(__name__)

_LOOK_SECONDS = 0.05
"""Between two looks whether a wait was given up."""
_MOMENT = 0.5
"""Seconds of waiting that are not worth a word."""
_NICENESS = 15
"""Added to that of the thread: a model on the CPU needs every core while it draws."""


@dataclass
class _Job:
    path: Path
    version: FileVersion
    has_begun: bool = False
    hashes: FileHashes | None = None
    done: threading.Event = field(default_factory=threading.Event)

    @property
    def has_failed(self) -> bool:
        """Whether it ended without hashes; the reason may be gone the next time."""
        return self.done.is_set() and self.hashes is None


class HashStore:
    """Hashes of the files behind the live weights, for the pictures that are drawn with them.

    `look` before files are read, `use` after: of those that were not written to in between it is
    known which version is in the weights. `begin` when they are to be drawn with: they are hashed
    once for each version, on a thread that ends with the last of them. The picture asks when it is
    finished, so that it never waits to be drawn, and never carries the hash of another version.
    """

    def __init__(self, index: Path | None = None) -> None:
        self._table = HashTable(index)
        self._used: dict[Path, _Job] = {}
        self._lock = threading.Lock()
        self._waiting: deque[_Job] = deque()
        self._runs = False

    def look(self, paths: Iterable[Path | None]) -> dict[Path, FileVersion]:
        """The versions of files as they are now; what is no file is left out."""
        found = {}
        for path in paths:
            if path is not None and (version := _version(path)) is not None:
                found[path] = version
        return found

    def use(self, looked: Mapping[Path, FileVersion]) -> None:
        """Take down which files are in use, if they are still what they were at the `look`."""
        for path, version in looked.items():
            job = self._used.pop(path, None)
            if _version(path) == version:
                same = job is not None and job.version == version and not job.has_failed
                self._used[path] = job if job is not None and same else _Job(path, version)

    def begin(self, paths: Iterable[Path | None]) -> None:
        """Have the hashes of files in use computed."""
        for path in paths:
            job = self._used.get(path) if path is not None else None
            if job is not None and not job.has_begun:
                job.has_begun = True
                self._start(job)

    def of_used(
        self, path: Path | None, stopped: Callable[[], bool], on_wait: Callable[[Path], object]
    ) -> FileHashes | None:
        """The hashes of a file as it was used last, once they are computed.

        None where they cannot be, or when `stopped()` is true before. `on_wait` is called once
        when it takes more than a moment.
        """
        self.begin((path,))
        job = self._used.get(path) if path is not None else None
        if job is None:
            return None
        patience = time.monotonic() + _MOMENT
        while not job.done.wait(_LOOK_SECONDS):
            if stopped():
                return None
            if time.monotonic() > patience:
                patience = math.inf
                on_wait(job.path)
        return job.hashes

    def _start(self, job: _Job) -> None:
        with self._lock:
            self._waiting.append(job)
            if self._runs:
                return
            self._runs = True
        # A daemon: a hash that is not finished at the end is computed the next time.
        threading.Thread(target=self._run, name="hashes", daemon=True).start()

    def _run(self) -> None:
        """Hash what waits, and end: a thread that waited for more would outlive the store."""
        lower_priority(_NICENESS)
        while (job := self._next()) is not None:
            try:
                job.hashes = self._hashes_of(job)
            except Exception:
                # Whoever waits must be answered, and the next file be hashed.
                log.exception("no hash of %s", job.path)
            finally:
                job.done.set()

    def _next(self) -> _Job | None:
        with self._lock:
            self._runs = bool(self._waiting)
            return self._waiting.popleft() if self._runs else None

    def _hashes_of(self, job: _Job) -> FileHashes | None:
        try:
            return self._table.hashes(job.path, job.version)
        except (OSError, ValueError, EngineError) as error:
            log.warning("no hash of %s: %s", job.path, error)
            return None


def _version(path: Path) -> FileVersion | None:
    try:
        return FileVersion.of(path) if path.is_file() else None
    except (OSError, ValueError):
        return None
