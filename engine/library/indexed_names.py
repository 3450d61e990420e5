"""The files of an index by name, looked up one by one: a library of any size costs nothing."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from engine.library.entry import LibraryEntry
from engine.library.index import LibraryIndex, absolute
from engine.library.names import LibraryNames, find_output_name, folded_name


class IndexedNames:
    """The files of some library folders, as the index has them when it is asked."""

    def __init__(self, index: LibraryIndex, roots: Iterable[Path]) -> None:
        self._index = index
        self._roots = frozenset(map(absolute, roots))
        self.names: LibraryNames[LibraryEntry] = LibraryNames(self._called)

    def trained_as(self, name: str) -> LibraryEntry | None:
        """The file that its trainer called so; see `find_output_name`."""
        return find_output_name(name, self._own(self._index.trained_as(folded_name(name))))

    def _called(self, loose: str) -> list[LibraryEntry]:
        return self._own(self._index.called(loose))

    def _own(self, entries: Iterable[LibraryEntry]) -> list[LibraryEntry]:
        # A library folder within another may have given a file to both.
        return list({e.path: e for e in entries if e.root in self._roots}.values())
