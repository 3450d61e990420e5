"""Hearing of changes below folders as they happen, where the system tells of them."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from engine.files.mounts import is_on_network

log = logging.getLogger(__name__)

_GROUPED_MS = 400
"""Changes that come within this time are told of together."""
_QUIET_MS = 200
"""Between two looks whether more has come; each look takes a moment of the interpreter's time."""
_BREATH_MS = 500
_MOST_NEW = 16
"""Watches of new folders, each with a thread; with more, all folders are watched anew as one."""


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
        self._new = 0
        """Watches of folders that came since."""
        self.has_failed = False
        """Whether somebody else has to look: the system does not tell of changes there."""

    def watch(self, folders: Iterable[Path]) -> None:
        """Watch these from now on, and no others."""
        wanted = tuple(folders)
        if wanted != self._folders or self._new > _MOST_NEW:
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
        self._stop, self._folders, self._new, self.has_failed = None, (), 0, False

    def _run(self, folders: tuple[Path, ...], stop: threading.Event) -> None:
        # Where Linux is to watch all below a folder, watchfiles looks at each file and lets no
        # other thread run meanwhile: half a second with a hundred thousand.
        is_linux = sys.platform == "linux"
        watched = tuple(_folders_below(folders)) if is_linux else folders
        if self._follow(watched, stop, self._on_ready, everything=not is_linux):
            if self._stop is stop:
                self._folders = ()
        elif self._stop is stop:
            self.has_failed = True

    def _follow(
        self,
        folders: tuple[Path, ...],
        stop: threading.Event,
        on_ready: Callable[[], object],
        *,
        everything: bool,
    ) -> bool:
        """Tell of changes in folders, or (`everything`) also below them; False when that fails."""
        from watchfiles import Change, watch

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
                recursive=everything,
            ):
                if not is_ready:
                    is_ready = True
                    on_ready()
                if not changes:
                    continue
                if not everything:
                    added = (Path(path) for change, path in changes if change is Change.added)
                    self._follow_new(tuple(path for path in added if path.is_dir()), stop)
                self._on_change({Path(path) for _, path in changes})
        except (OSError, RuntimeError) as error:
            left = tuple(folder for folder in folders if folder.is_dir())
            if len(left) < len(folders):
                # Some went before they were watched.
                return not left or self._follow(left, stop, on_ready, everything=everything)
            # Watchfiles raises either where the system watches no more folders. They are looked at
            # from time to time.
            log.warning("%s: cannot be watched (%s)", ", ".join(map(str, self._folders)), error)
            return False
        return True

    def _follow_new(self, folders: tuple[Path, ...], stop: threading.Event) -> None:
        """Follow what happens in and below new folders too."""

        def tell() -> None:
            # What came into them before they were watched has been told by nobody.
            self._on_change(set(folders))

        def follow() -> None:
            if not self._follow(folders, stop, tell, everything=True) and self._stop is stop:
                self.has_failed = True

        if folders:
            self._new += 1
            threading.Thread(target=follow, name="watching new folders", daemon=True).start()


def _folders_below(folders: Iterable[Path]) -> Iterator[Path]:
    """These and all below them, also behind links; each real folder once, hidden ones not."""
    seen: set[str] = set()
    for top in folders:
        for folder, names, _ in os.walk(top, followlinks=True):
            real = os.path.realpath(folder)
            names[:] = [name for name in names if real not in seen and not name.startswith(".")]
            if real not in seen:
                seen.add(real)
                yield Path(folder)


def can_watch(folder: Path) -> bool:
    """Whether the system tells of changes there; it does not of what others do across a network."""
    return folder.is_dir() and not is_on_network(folder)
