"""What a scan has found since it was last told."""

from __future__ import annotations

from dataclasses import dataclass, field

from engine.library.index import LibraryIndex
from engine.library.list_row import ListRow
from engine.library.scan import ScanProgress
from engine.library.search import SearchIndex


@dataclass
class News:
    """How many files are otherwise than before."""

    new: int = 0
    changed: int = 0
    gone: int = 0
    missing: int = 0
    back: int = 0

    def add(self, progress: ScanProgress) -> None:
        """Count the news of a scan."""
        self.new += progress.new
        self.changed += len(progress.found) - progress.new
        missing = sum(map(bool, progress.missing.values()))
        self.missing += missing
        self.back += len(progress.missing) - missing
        self.gone += len(progress.gone)

    @property
    def words(self) -> str:
        """Such as `3 new, 1 gone`; empty where nothing is."""
        counts = (
            (self.new, "new"),
            (self.changed, "changed"),
            (self.gone, "gone"),
            (self.missing, "missing"),
            (self.back, "seen again"),
        )
        return ", ".join(f"{count:,} {what}" for count, what in counts if count)


@dataclass
class Pending:
    """What is known since the list was shown last."""

    rows: dict[int, ListRow] = field(default_factory=dict)
    gone: set[int] = field(default_factory=set)
    missing: dict[int, str] = field(default_factory=dict)

    def add(self, progress: ScanProgress) -> None:
        """Take the news of a scan."""
        self.rows.update((row.id, row) for row in progress.found)
        self.gone.update(progress.gone)
        self.gone.difference_update(row.id for row in progress.found)
        self.missing.update(progress.missing)

    def into(self, shown: SearchIndex, index: LibraryIndex) -> SearchIndex:
        """The list with them."""
        if not (self.rows or self.gone or self.missing):
            return shown
        folders = index.folders({row.folder for row in self.rows.values()})
        return shown.changed(folders, self.rows.values(), self.gone, self.missing)
