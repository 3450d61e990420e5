"""Looking through library folders: headers are read only of files that changed."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from engine.library.entry import LibraryEntry
from engine.library.index import KnownFile, LibraryIndex, absolute
from engine.library.list_row import ListRow
from engine.library.reader_process import Unread
from engine.library.reading import Reading
from engine.library.walk import Walk
from engine.words.clean import clean_line

BATCH = 200
"""Files read between two reports and two writes of the index."""
_LISTED_BETWEEN_REPORTS = 500


@dataclass(frozen=True)
class ScanProgress:
    """How far a scan is, and what has changed in the index since the last report.

    `total` grows while folders are still being listed.
    """

    done: int
    total: int
    found: tuple[ListRow, ...] = ()
    """Files that are new, or are otherwise than before."""
    new: int = 0
    """How many of them are new."""
    gone: tuple[int, ...] = ()
    missing: Mapping[int, str] = field(default_factory=dict)
    """Why files cannot be seen just now; an empty reason: they can be seen again."""
    problems: tuple[str, ...] = ()
    """Sentences for the user: a folder that is not there, an index that cannot be kept."""


def scan_folders(
    roots: Iterable[Path],
    index: LibraryIndex,
    on_progress: Callable[[ScanProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[LibraryEntry]:
    """Bring the index up to date with library folders, and give all entries that it has of them.

    A file that cannot be used has an entry with `error`. Files of a folder that is not there (a
    drive that is not mounted) keep their entry, with an `error` that says so, and stay in the
    index. When `should_stop` answers True, what was found so far is kept and returned.
    """
    roots = tuple(dict.fromkeys(map(absolute, roots)))
    refresh(roots, index, on_progress, should_stop)
    entries = index.load(roots)
    if index.doubt():
        refresh(roots, index, on_progress, should_stop)
        return index.load(roots)
    return entries


def refresh(
    roots: Iterable[Path],
    index: LibraryIndex,
    on_progress: Callable[[ScanProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """Bring the index up to date with library folders."""
    _Scan(index, on_progress, should_stop).look_at_all(roots)


class Look(NamedTuple):
    """A folder of a library folder to be looked at, with what lies `below` it or without."""

    root: Path
    folder: Path
    below: bool = True


def refresh_folders(
    looks: Iterable[Look],
    index: LibraryIndex,
    on_progress: Callable[[ScanProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> None:
    """The same for some folders of library folders."""
    for look in looks:
        _Scan(index, on_progress, should_stop).look_at(*look)


class _Scan:
    """One look through folders: its counts, and what it passes on."""

    def __init__(
        self,
        index: LibraryIndex,
        on_progress: Callable[[ScanProgress], None] | None,
        should_stop: Callable[[], bool] | None,
    ) -> None:
        self._index = index
        self._on_progress = on_progress or (lambda _: None)
        self._stopped = should_stop or (lambda: False)
        self._reading = Reading(BATCH, self._stopped)
        self._visited: set[str] = set()
        self._done = self._total = self._reported_total = 0
        self._begun = time.time_ns()

    def look_at_all(self, roots: Iterable[Path]) -> None:
        """Whole library folders; what is known is compared first, then the rest is read."""
        try:
            for root in dict.fromkeys(map(absolute, roots)):
                known = self._index.known(root)
                if os.path.realpath(root) in self._visited:
                    # It lies in another library folder, which has given its files already.
                    self._index.forget(file.id for file in known.values())
                else:
                    self._compare(Walk(root, self._visited), known)
                if self._stopped():
                    return
            self._read()
        finally:
            self._reading.close()

    def look_at(self, root: Path, folder: Path, below: bool) -> None:
        """One folder, with what is below or without."""
        try:
            walk = Walk(root, self._visited, start=folder, below=below)
            self._compare(walk, self._index.known(root, folder, below))
            self._read()
        finally:
            self._reading.close()

    def _compare(self, walk: Walk, known: Mapping[str, KnownFile]) -> None:
        """Take down what is gone or out of sight, and have the rest read."""
        seen: set[str] = set()
        missing: dict[int, str] = {}
        same = 0
        for files in walk:
            self._list_more(len(files))
            if self._stopped():
                return
            to_read: list[Unread] = []
            for file in files:
                before = known.get(str(file.path))
                if before is None or before.stamp != file.stamp:
                    added = before.added_ns if before else self._begun
                    to_read.append(Unread(file, added, before is not None and not before.stamp))
                if before is not None and before.missing:
                    missing[before.id] = ""
            if known:
                seen.update(str(file.path) for file in files)
            same += len(files) - len(to_read)
            self._reading.add(to_read)
        unlisted = dict(walk.unlisted)
        has_none = not seen and (walk.below or walk.is_bare)
        if known and has_none and not unlisted and walk.begin == walk.root:
            words = f"{clean_line(str(walk.root))}: it is empty; is its drive mounted?"
            unlisted[walk.root] = words
        unseen = [path for path in known if path not in seen]
        reasons = {path: _why_unseen(Path(path), unlisted) for path in unseen}
        gone = tuple(known[path].id for path, reason in reasons.items() if not reason)
        for path, reason in reasons.items():
            if reason and reason != known[path].missing:
                missing[known[path].id] = reason
        self._index.forget(gone)
        self._index.miss(missing)
        offline = len(unseen) - len(gone)
        self._list_more(offline)
        self._done += same + offline
        self._report(gone=gone, missing=missing, problems=tuple(unlisted.values()))

    def _read(self) -> None:
        for batch, files in self._reading.results():
            self._done += len(files)
            fresh = [
                file
                for one, file in zip(batch, files, strict=False)
                if not one.was_in_error or not self._index.has(file)
            ]
            self._index.store(fresh)
            self._report(tuple(file.row for file in fresh))
        if self._index.warning:
            self._report(problems=(self._index.warning,))

    def _list_more(self, files: int) -> None:
        """More files are known to exist; said at times, since listing a slow disk takes long."""
        self._total += files
        if self._total - self._reported_total >= _LISTED_BETWEEN_REPORTS:
            self._report()

    def _report(
        self,
        found: tuple[ListRow, ...] = (),
        gone: tuple[int, ...] = (),
        missing: Mapping[int, str] | None = None,
        problems: tuple[str, ...] = (),
    ) -> None:
        self._reported_total = self._total
        new = sum(row.added_ns == self._begun for row in found)
        self._on_progress(
            ScanProgress(self._done, self._total, found, new, gone, missing or {}, problems)
        )


def _why_unseen(path: Path, unlisted: Mapping[Path, str]) -> str:
    """The reason why a known file's folder shows nothing; empty when the file is simply gone."""
    if not unlisted:
        return ""
    return next((unlisted[place] for place in (path, *path.parents) if place in unlisted), "")
