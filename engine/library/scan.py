"""Looking through library folders: headers are read only of files that changed."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from engine.library.entry import LibraryEntry
from engine.library.index import Known, LibraryIndex, absolute
from engine.library.read_entry import read_entry
from engine.library.walk import FoundFile, Walk
from engine.words.clean import clean_line

BATCH = 50
"""Files read between two reports and two writes of the index."""
_LISTED_BETWEEN_REPORTS = 500


@dataclass(frozen=True)
class ScanProgress:
    """How far a scan is, and what it found since the last report.

    `total` grows while folders are still being listed.
    """

    done: int
    total: int
    found: tuple[LibraryEntry, ...] = ()
    problems: tuple[str, ...] = ()
    """Sentences for the user: a folder that is not there, an index that cannot be kept."""


def scan_folders(
    roots: Iterable[Path],
    index: LibraryIndex,
    on_progress: Callable[[ScanProgress], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> list[LibraryEntry]:
    """Find all LoRA files below library folders; the entries come in batches and all at the end.

    A file that cannot be used has an entry with `error`. Files of a folder that is not there (a
    drive that is not mounted) keep their entry, with an `error` that says so, and stay in the
    index. When `should_stop` answers True, what was found so far is returned and kept.
    """
    stopped = should_stop or (lambda: False)
    report = _Report(on_progress or (lambda _: None))
    visited: set[str] = set()
    to_read: list[FoundFile] = []
    for root in dict.fromkeys(map(absolute, roots)):
        if os.path.realpath(root) in visited:
            # It lies in another library folder, which has given its files already.
            continue
        walk = Walk(root, visited)
        files: list[FoundFile] = []
        for folder in walk:
            files += folder
            report.list_more(len(folder))
            if stopped():
                return report.entries
        to_read += _compare_with_index(walk, files, index, report)
    for start in range(0, len(to_read), BATCH):
        fresh = []
        for file in to_read[start : start + BATCH]:
            if stopped():
                break
            fresh.append((file.stamp, read_entry(file)))
        index.store(fresh)
        report.add([entry for _, entry in fresh])
        if stopped():
            break
    if index.warning:
        report.add([], [index.warning])
    return report.entries


def _compare_with_index(
    walk: Walk, files: list[FoundFile], index: LibraryIndex, report: _Report
) -> list[FoundFile]:
    """Report what the index knows of a folder, forget what is gone, return what must be read."""
    known = index.known(walk.root)
    unlisted = dict(walk.unlisted)
    if known and not files and not unlisted:
        unlisted[walk.root] = f"{clean_line(str(walk.root))}: it is empty; is its drive mounted?"
    unseen = known.keys() - {file.path for file in files}
    missing = {path: reason for path in unseen if (reason := _why_unseen(path, unlisted))}
    index.forget(walk.root, unseen - missing.keys())

    offline = [replace(known[path][1], error=reason) for path, reason in missing.items()]
    same = [known[file.path][1] for file in files if _is_known(file, known)]
    report.list_more(len(offline))
    report.add([*same, *offline], unlisted.values())
    unchanged = {entry.path for entry in same}
    return [file for file in files if file.path not in unchanged]


def _is_known(file: FoundFile, known: Known) -> bool:
    stamp, entry = known.get(file.path, ("", None))
    # A file in error is tried again: the reason (its rights, a disk) may be gone without a trace.
    return stamp == file.stamp and entry is not None and not (entry.error or entry.problems)


def _why_unseen(path: Path, unlisted: Mapping[Path, str]) -> str:
    """The reason why a known file's folder shows nothing; empty when the file is simply gone."""
    return next((unlisted[place] for place in (path, *path.parents) if place in unlisted), "")


class _Report:
    """Counts a scan's files and passes its finds on."""

    def __init__(self, on_progress: Callable[[ScanProgress], None]) -> None:
        self._on_progress = on_progress
        self._total = self._reported_total = 0
        self.entries: list[LibraryEntry] = []

    def list_more(self, files: int) -> None:
        """More files are known to exist; said at times, since listing a slow disk takes long."""
        self._total += files
        if self._total - self._reported_total >= _LISTED_BETWEEN_REPORTS:
            self.add([])

    def add(self, found: list[LibraryEntry], problems: Iterable[str] = ()) -> None:
        """Report entries, and problems as sentences."""
        self.entries += found
        self._reported_total = self._total
        self._on_progress(
            ScanProgress(len(self.entries), self._total, tuple(found), tuple(problems))
        )
