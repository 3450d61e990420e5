"""Thumbnails for what is seen, made on a thread of their own: the newest wish goes first."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from engine.errors import FileFormatError
from engine.gallery.thumbnails import Thumbnails
from tui_loraswitch.images.fit import HalfCells, fit_half_cells

log = logging.getLogger(__name__)

Ready = Callable[[Path, HalfCells | None], object]


class ThumbnailLoader:
    """`want` says what is seen now; what was wanted before and is seen no longer is dropped.

    `on_ready` is called on the loader's thread with each, None for one that cannot be read.
    """

    def __init__(self, thumbnails: Thumbnails, size: tuple[int, int], on_ready: Ready) -> None:
        self._thumbnails = thumbnails
        self._size = size
        self._on_ready = on_ready
        self._news = threading.Condition()
        self._wanted: list[Path] = []
        self._is_closed = False
        threading.Thread(target=self._run, name="thumbnails", daemon=True).start()

    def want(self, paths: Sequence[Path]) -> None:
        """These are seen, the first of them most."""
        with self._news:
            self._wanted = list(paths)
            self._news.notify()

    def close(self) -> None:
        """End the thread; the cache is brought within its bound."""
        with self._news:
            self._is_closed = True
            self._news.notify()

    def _run(self) -> None:
        while True:
            with self._news:
                while not self._wanted and not self._is_closed:
                    self._news.wait()
                if self._is_closed:
                    break
                path = self._wanted.pop(0)
            self._on_ready(path, self._small(path))
        self._thumbnails.prune()

    def _small(self, path: Path) -> HalfCells | None:
        try:
            return fit_half_cells(self._thumbnails.small(path), *self._size)
        except (FileFormatError, OSError) as error:
            log.info("no thumbnail of %s: %s", path, error)
            return None
