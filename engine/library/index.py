"""The library's memory between runs: what was read of each file, in one SQLite file."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import NamedTuple, Self

from engine.library.columns import Columns
from engine.library.entry import LibraryEntry
from engine.library.entry_text import decode
from engine.library.index_file import IndexFile
from engine.library.indexed_file import IndexedFile
from engine.library.list_row import Folder, ListRow
from engine.library.packs import (
    PACKED,
    columns_of_packs,
    columns_of_rows,
    in_one_piece,
    listed_in,
    shown_folders,
    write_packs,
)
from engine.words.clean import clean_line

_AT_ONCE = 500
"""Values in one statement, within what every SQLite takes."""

_MARKS = ", ".join("?" * (len(ListRow._fields) + 4))
_WHOLE = (
    "SELECT rows.path, folders.root, entry, tags, metadata, missing FROM rows "
    "JOIN folders ON folders.id = rows.folder JOIN entries ON entries.id = rows.id "
)

_PART = 10_000
"""Rows that are read in one piece: some megabytes of text."""
_FOLDERS_AT_ONCE = 50
"""Folders that are packed in one go."""


class KnownFile(NamedTuple):
    """What a scan has to know of a file that was read before."""

    id: int
    stamp: str
    """Changes with the file; empty when it is to be read again in any case."""
    added_ns: int
    missing: str
    """Why it could not be seen the last time; empty when it could."""


class LibraryIndex:
    """Entries kept between runs, in one `IndexFile`; any thread may use it."""

    def __init__(self, path: Path) -> None:
        self.doubtful: list[bytes] = []
        """Paths of files whose rows make no sense; they are to be read again."""
        self._folders: set[int] = set()
        """Those that stand in the file."""
        self._file = IndexFile(path, self._folders.clear)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    @property
    def path(self) -> Path:
        """Where the file is, or should be."""
        return self._file.path

    @property
    def warning(self) -> str:
        """What is amiss with the file; empty when all is well."""
        return self._file.warning

    # What the list needs.

    def listed(self, roots: Iterable[Path]) -> tuple[dict[int, Folder], dict[int, Columns]]:
        """The folders of some library folders, and what is known of the files in each.

        Without a look at the disk; by the packs, and row by row where a folder has none.
        """
        folders = self._folders_of(roots)
        found = self._packed(folders) if folders else {}
        for numbers in _portions(folders.keys() - found.keys(), _FOLDERS_AT_ONCE):
            found |= self._file.made(columns_of_rows, self._file.ask(listed_in(numbers)))
        return folders, found

    def _packed(self, folders: Container[int]) -> dict[int, Columns]:
        ((count,),) = self._file.ask("SELECT count(*) FROM rows") or ((0,),)
        parts = 1 + count // _PART
        # Folders have numbers that are spread evenly.
        ids = [(part << 63) // parts for part in range(parts)] + [1 << 63]
        found: dict[int, Columns] = {}
        # One part is asked for while the one before is made into columns.
        with ThreadPoolExecutor(1) as executor:
            bounds = ((start, end - 1) for start, end in pairwise(ids))
            for answer in executor.map(partial(self._file.ask, PACKED), bounds):
                found |= self._file.made(columns_of_packs, answer)
        # What it has cached of them, up to 16 MB, is not asked for again.
        self._file.ask("PRAGMA shrink_memory")
        return {id: columns for id, columns in found.items() if id in folders}

    def pack(self, roots: Iterable[Path], is_over: Callable[[], bool] = lambda: False) -> None:
        """Pack the folders that have no packs; the next start has its list the sooner."""
        kept = {id for (id,) in self._file.ask("SELECT folder FROM packs")}
        for numbers in _portions(self._folders_of(roots).keys() - kept, _FOLDERS_AT_ONCE):
            if is_over():
                return
            self._file.change(partial(write_packs, listed_in(numbers)))

    def entry(self, id: int) -> LibraryEntry | None:
        """All that is known of a file; None when it is gone, or its row makes no sense."""
        return next(iter(self._whole("WHERE rows.id = ?", (id,))), None)

    def load(self, roots: Iterable[Path]) -> list[LibraryEntry]:
        """All entries known of some library folders, without looking at the disk they are on."""
        found: dict[Path, LibraryEntry] = {}
        for numbers in _portions(self._folders_of(roots)):
            for entry in self._whole(f"WHERE rows.folder IN {numbers} ORDER BY rows.path"):
                found.setdefault(entry.path, entry)
        return list(found.values())

    def called(self, name: str) -> Iterator[LibraryEntry]:
        """The files of this bare name in its loosest form (see `loose_name`)."""
        return self._whole("WHERE rows.loose = ?", (name,))

    def trained_as(self, name: str) -> Iterator[LibraryEntry]:
        """The files whose trainer called them so (see `folded_name`)."""
        return self._whole("WHERE rows.output <> '' AND rows.output = ?", (name,))

    # What a scan needs.

    def known(
        self, root: Path, folder: Path | None = None, below: bool = True
    ) -> dict[str, KnownFile]:
        """The files known in a library folder, or in a folder of it alone, or also `below` it.

        By their paths as text: a hundred thousand paths of pathlib take 40 MiB.
        """
        inside = folder or root
        shown = clean_line(str(inside.relative_to(root))) if inside != root else ""
        listed = [
            id
            for id, place in self._folders_of([root]).items()
            if place.path == shown or (below and (not shown or place.path.startswith(f"{shown}/")))
        ]
        found: dict[str, KnownFile] = {}
        for numbers in _portions(listed):
            columns = "path, id, stamp, added_ns, missing"
            for raw, *values in self._file.ask(
                f"SELECT {columns} FROM rows WHERE folder IN {numbers}"
            ):
                text = os.fsdecode(raw)
                # Folders of other bytes may look the same.
                if (below and inside == root) or _is_inside(Path(text), inside, below):
                    found[text] = KnownFile(*values)
        return found

    def store(self, files: Sequence[IndexedFile]) -> None:
        """Keep what was read of files."""
        folders = {
            file.row.folder: (file.row.folder, file.root, file.folder)
            for file in files
            if file.row.folder not in self._folders
        }

        def write(db: sqlite3.Connection) -> None:
            db.executemany("INSERT OR REPLACE INTO folders VALUES (?, ?, ?)", folders.values())
            rows = ((*file.row, *file[3:7]) for file in files)
            db.executemany(f"INSERT OR REPLACE INTO rows VALUES ({_MARKS})", rows)
            texts = ((file.row.id, *file.texts) for file in files)
            db.executemany("INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)", texts)

        self._file.change(write)
        self._folders.update(folders)

    def has(self, file: IndexedFile) -> bool:
        """Whether just the same is kept of a file already."""
        kept = self._file.ask(
            "SELECT entry, tags, metadata FROM entries WHERE id = ?", (file.row.id,)
        )
        return bool(kept) and kept[0] == file.texts

    def forget(self, ids: Iterable[int]) -> None:
        """Drop files that are gone."""
        gone = [(id,) for id in ids]

        def write(db: sqlite3.Connection) -> None:
            db.executemany("DELETE FROM rows WHERE id = ?", gone)
            db.executemany("DELETE FROM entries WHERE id = ?", gone)

        if gone:
            self._file.change(write)

    def miss(self, reasons: Mapping[int, str]) -> None:
        """Take down why files cannot be seen now; an empty reason: they can be seen again."""
        rows = [(reason, id) for id, reason in reasons.items()]
        if rows:
            statement = "UPDATE rows SET missing = ? WHERE id = ?"
            self._file.change(lambda db: db.executemany(statement, rows))

    def folders(self, ids: Iterable[int]) -> dict[int, Folder]:
        """Folders by their numbers."""
        found = {}
        for numbers in _portions(ids):
            for id, root, shown in self._file.ask(f"SELECT * FROM folders WHERE id IN {numbers}"):
                found[id] = Folder(Path(os.fsdecode(root)), shown)
        return found

    def _folders_of(self, roots: Iterable[Path]) -> dict[int, Folder]:
        found = {}
        for root in dict.fromkeys(map(absolute, roots)):
            statement = "SELECT id, shown FROM folders WHERE root = ?"
            answer = self._file.ask(in_one_piece(statement), (os.fsencode(root),))
            for id, shown in self._file.made(shown_folders, answer).items():
                found[id] = Folder(root, shown)
        return found

    def _whole(self, where: str, values: tuple[object, ...] = ()) -> Iterator[LibraryEntry]:
        for path, root, *texts, missing in self._file.ask(_WHOLE + where, values):
            entry = decode(Path(os.fsdecode(path)), Path(os.fsdecode(root)), *texts)
            if entry is None:
                self.doubtful.append(path)
            else:
                yield replace(entry, error=missing) if missing else entry

    def doubt(self) -> bool:
        """Have the files read again whose rows make no sense; False when there are none."""
        paths = [(path,) for path in self.doubtful]
        self.doubtful.clear()
        if paths:
            statement = "UPDATE rows SET stamp = '' WHERE path = ?"
            self._file.change(lambda db: db.executemany(statement, paths))
        return bool(paths)


def absolute(root: Path) -> Path:
    """The form in which library folders are compared: absolute, links kept."""
    return root.absolute()


def _is_inside(path: Path, folder: Path, below: bool) -> bool:
    return path.parent == folder or (below and folder in path.parents)


def _portions(numbers: Iterable[int], at_once: int = _AT_ONCE) -> Iterator[str]:
    """Numbers as lists of SQL, each within what one statement takes."""
    listed = list(numbers)
    for start in range(0, len(listed), at_once):
        yield f"({', '.join(map(str, listed[start : start + at_once]))})"
