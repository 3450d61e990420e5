"""Reading files for the index: here, or by processes beside this one where that takes long."""

from __future__ import annotations

import logging
import os
import queue
import threading
import time
from collections.abc import Callable, Iterable, Iterator

from engine.library.indexed_file import IndexedFile, indexed
from engine.library.outlines import Outlines
from engine.library.read_entry import read_entry
from engine.library.reader_process import ReaderProcess, Unread

log = logging.getLogger(__name__)

_SLOW = 0.0005
"""Seconds that a file takes from which on processes pay: headers of a few modules take less, and
then most of the time goes by with what is done here in any case."""
_LONG = 2.0
"""Seconds that all files take from which on they pay: to start them takes a fifth of a second."""
_MOST_PROCESSES = 8
_LOOK_SECONDS = 0.1

Batch = list[Unread]


class Reading:
    """Files that are to be read, and what is read of them, batch by batch.

    Reading large headers is Python's work: on a thread of this process thousands of them would
    take all of one processor, and hold up the screen.
    """

    def __init__(self, at_once: int, stopped: Callable[[], bool]) -> None:
        """`at_once`: files of a batch. When `stopped()` is True no other file is begun."""
        self._at_once = at_once
        self._stopped = stopped
        self._outlines = Outlines()
        self._files: Batch = []
        self._todo: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Batch, list[IndexedFile] | None]] = queue.SimpleQueue()
        self._threads: list[threading.Thread] = []
        self._is_over = False

    def add(self, files: Iterable[Unread]) -> None:
        """Have files read."""
        self._files += files

    def results(self) -> Iterator[tuple[Batch, list[IndexedFile]]]:
        """What is read of all of them; of a batch in which it was stopped, the first few."""
        files, self._files = self._files, []
        batches = [files[at : at + self._at_once] for at in range(0, len(files), self._at_once)]
        seconds = 0.0
        while batches and not self._stopped():
            if seconds > _SLOW and seconds * self._at_once * len(batches) > _LONG:
                yield from self._read_beside(batches)
                return
            batch = batches.pop(0)
            start = time.perf_counter()
            found = self._read_here(batch)
            seconds = (time.perf_counter() - start) / len(batch)
            yield batch, found

    def close(self) -> None:
        """End the processes."""
        self._is_over = True
        for _ in self._threads:
            self._todo.put(None)

    def _read_here(self, batch: Batch) -> list[IndexedFile]:
        found: list[IndexedFile] = []
        for file, added_ns, _ in batch:
            if self._stopped():
                break
            found.append(indexed(file.stamp, read_entry(file, self._outlines, added_ns)))
        return found

    def _read_beside(self, batches: list[Batch]) -> Iterator[tuple[Batch, list[IndexedFile]]]:
        for batch in batches:
            self._todo.put(batch)
        for _ in range(min(os.cpu_count() or 1, _MOST_PROCESSES, len(batches))):
            thread = threading.Thread(target=self._feed, name="reading", daemon=True)
            self._threads.append(thread)
            thread.start()
        left = len(batches)
        while left and not self._stopped():
            try:
                batch, files = self._done.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            left -= 1
            yield batch, self._read_here(batch) if files is None else files

    def _feed(self) -> None:
        """Give batches to a process, one after the other; those that it does not read come back."""
        process: ReaderProcess | None = None
        try:
            process = ReaderProcess()
        except OSError as error:
            log.warning("no process to read files beside this one: %s", error)
        try:
            while (batch := self._todo.get()) is not None and not self._is_over:
                self._done.put((batch, process.read(batch) if process is not None else None))
        finally:
            if process is not None:
                process.end()
