"""Reading files for the index: here, or by processes beside this one where there are many."""

from __future__ import annotations

import logging
import os
import queue
import threading
from collections.abc import Callable, Iterable, Iterator

from engine.library.indexed_file import IndexedFile, indexed
from engine.library.outlines import Outlines
from engine.library.read_entry import read_entry
from engine.library.reader_process import ReaderProcess, Unread

log = logging.getLogger(__name__)

_MANY = 1_000
"""Files from which on it pays to start processes, which takes a fifth of a second."""
_MOST_PROCESSES = 8
_LOOK_SECONDS = 0.1

Batch = list[Unread]


class Reading:
    """Files that are to be read, and what is read of them, batch by batch.

    Where there are many, processes begin with them as soon as they are added: reading headers is
    Python's work, and on a thread of this process it would hold up the screen.
    """

    def __init__(self, at_once: int, stopped: Callable[[], bool]) -> None:
        """`at_once`: files of a batch. When `stopped()` is True no other file is begun."""
        self._at_once = at_once
        self._stopped = stopped
        self._outlines = Outlines()
        self._rest: Batch = []
        self._added = 0
        self._todo: queue.SimpleQueue[Batch | None] = queue.SimpleQueue()
        self._done: queue.SimpleQueue[tuple[Batch, list[IndexedFile] | None]] = queue.SimpleQueue()
        self._under_way = 0
        self._threads: list[threading.Thread] = []
        self._is_over = False

    def add(self, files: Iterable[Unread]) -> None:
        """Have files read."""
        before = len(self._rest)
        self._rest += files
        self._added += len(self._rest) - before
        if self._added >= _MANY:
            if not self._threads:
                self._start()
            while len(self._rest) >= self._at_once:
                self._pass_on(self._rest[: self._at_once])
                del self._rest[: self._at_once]

    def results(self) -> Iterator[tuple[Batch, list[IndexedFile]]]:
        """What is read of all of them; of a batch in which it was stopped, the first few."""
        if self._threads and self._rest:
            self._pass_on(self._rest)
            self._rest = []
        for start in range(0, len(self._rest), self._at_once):
            if not self._stopped():
                yield self._read_here(self._rest[start : start + self._at_once])
        self._rest = []
        while self._under_way and not self._stopped():
            try:
                batch, files = self._done.get(timeout=_LOOK_SECONDS)
            except queue.Empty:
                continue
            self._under_way -= 1
            yield (batch, files) if files is not None else self._read_here(batch)
        self.close()

    def close(self) -> None:
        """End the processes."""
        self._is_over = True
        for _ in self._threads:
            self._todo.put(None)

    def _read_here(self, batch: Batch) -> tuple[Batch, list[IndexedFile]]:
        found: list[IndexedFile] = []
        for file, added_ns, _ in batch:
            if self._stopped():
                break
            found.append(indexed(file.stamp, read_entry(file, self._outlines, added_ns)))
        return batch, found

    def _pass_on(self, batch: Batch) -> None:
        self._under_way += 1
        self._todo.put(batch)

    def _start(self) -> None:
        for _ in range(min(os.cpu_count() or 1, _MOST_PROCESSES)):
            thread = threading.Thread(target=self._feed, name="reading", daemon=True)
            self._threads.append(thread)
            thread.start()

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
