"""Hashing files beside everything else, one after the other, on a thread that makes way."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from engine.library.niceness import lower_priority
from engine.library.own_words import OwnWords

_NICENESS = 15


class Hashing:
    """Hashes the files that are added; a hash that is known costs nothing.

    What is not finished at the end is begun again when somebody adds it the next time.
    """

    def __init__(self, words: OwnWords, on_hashed: Callable[[], object]) -> None:
        """`on_hashed` is called, on the thread, after each file that has a hash now."""
        self._words = words
        self._on_hashed = on_hashed
        self._files: queue.SimpleQueue[Path | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._stopping = False

    def add(self, files: Iterable[Path]) -> None:
        """Have files hashed."""
        for file in files:
            self._files.put(file)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="hashing", daemon=True)
                self._thread.start()

    def stop(self) -> None:
        """Begin with no other file."""
        self._stopping = True
        self._files.put(None)

    def _run(self) -> None:
        lower_priority(_NICENESS)
        while (file := self._files.get()) is not None and not self._stopping:
            if self._words.hash(file) is not None:
                self._on_hashed()
