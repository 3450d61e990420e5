"""Hearing of changes below folders as they happen, where the system tells of them."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from pathlib import Path

from engine.files.mounts import is_on_network

log = logging.getLogger(__name__)

_GROUPED_MS = 400
"""Changes that come within this time are told of together."""
_QUIET_MS = 60
_BREATH_MS = 500


class Watching:
    """Tells of changed paths below folders, from a thread of its own, until it is stopped."""

    def __init__(
        self, on_change: Callable[[set[Path]], object], on_ready: Callable[[], object]
    ) -> None:
        """`on_ready` is called when the watching has begun: what happened before is not told."""
        self._on_change = on_change
        self._on_ready = on_ready
        self._stop: threading.Event | None = None
        self._folders: tuple[Path, ...] = ()
        self.has_failed = False
        """Whether somebody else has to look: the system does not tell of changes there."""

    def watch(self, folders: Iterable[Path]) -> None:
        """Watch these from now on, and no others."""
        wanted = tuple(folders)
        if wanted != self._folders:
            self.stop()
            self._folders = wanted
            if wanted:
                self._stop = threading.Event()
                threading.Thread(
                    target=self._run, args=(wanted, self._stop), name="watching", daemon=True
                ).start()

    def stop(self) -> None:
        """Watch nothing more."""
        if self._stop is not None:
            self._stop.set()
        self._stop, self._folders, self.has_failed = None, (), False

    def _run(self, folders: tuple[Path, ...], stop: threading.Event) -> None:
        from watchfiles import watch

        is_ready = False
        try:
            for changes in watch(
                *folders,
                watch_filter=None,
                debounce=_GROUPED_MS,
                step=_QUIET_MS,
                stop_event=stop,
                raise_interrupt=False,
                rust_timeout=_BREATH_MS,
                yield_on_timeout=True,
            ):
                if not is_ready:
                    is_ready = True
                    self._on_ready()
                if changes:
                    self._on_change({Path(path) for _, path in changes})
        except (OSError, RuntimeError) as error:
            # Watchfiles raises either where the system watches no more folders. They are looked at
            # from time to time.
            log.warning("%s: cannot be watched (%s)", ", ".join(map(str, folders)), error)
            if self._stop is stop:
                self.has_failed = True
        else:
            if self._stop is stop:
                self._folders = ()


def can_watch(folder: Path) -> bool:
    """Whether the system tells of changes there; it does not of what others do across a network."""
    return folder.is_dir() and not is_on_network(folder)
