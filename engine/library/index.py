"""The library's memory between runs: what was read of each file, in one SQLite file."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

import msgspec

from engine.library.entry import LibraryEntry
from engine.library.entry_text import decode
from engine.library.indexed_file import IndexedFile
from engine.library.list_row import Folder, ListRow
from engine.words.clean import clean_line

_VERSION = 5
"""Raised when entries are made otherwise than before: older ones are then read anew."""

_BUSY_SECONDS = 5.0
_AT_ONCE = 500
"""Values in one statement, within what every SQLite takes."""

_TABLES = (
    "CREATE TABLE folders (id INTEGER PRIMARY KEY, root BLOB, shown TEXT)",
    # What the list holds of all files; what is long of each stands in `entries`.
    "CREATE TABLE rows (id INTEGER PRIMARY KEY, folder INTEGER, sort TEXT, text TEXT, base TEXT, "
    "family TEXT, rank INTEGER, size INTEGER, mtime_ns INTEGER, added_ns INTEGER, fits INTEGER, "
    "favourite INTEGER, "
    "error TEXT, missing TEXT, path BLOB, stamp TEXT, loose TEXT, output TEXT)",
    "CREATE TABLE entries (id INTEGER PRIMARY KEY, entry TEXT, tags TEXT, metadata TEXT)",
    "CREATE INDEX rows_folder ON rows (folder)",
    "CREATE INDEX rows_loose ON rows (loose)",
    "CREATE INDEX rows_output ON rows (output) WHERE output <> ''",
)
_NAMES = ("folders", "rows", "entries")
_MARKS = ", ".join("?" * (len(ListRow._fields) + 4))
_LISTED = ", ".join(f"rows.{name}" for name in ListRow._fields)
_WHOLE = (
    "SELECT rows.path, folders.root, entry, tags, metadata, missing FROM rows "
    "JOIN folders ON folders.id = rows.folder JOIN entries ON entries.id = rows.id "
)

_PART = 10_000
"""Rows that are read in one piece: some megabytes of text."""
_ROWS = msgspec.json.Decoder(list[ListRow], strict=False)
_FOLDERS = msgspec.json.Decoder(list[tuple[int, str]])

_T = TypeVar("_T")


class KnownFile(NamedTuple):
    """What a scan has to know of a file that was read before."""

    id: int
    stamp: str
    """Changes with the file; empty when it is to be read again in any case."""
    added_ns: int
    missing: str
    """Why it could not be seen the last time; empty when it could."""


class LibraryIndex:
    """Entries kept between runs; any thread may use it.

    Readers do not wait for a writer, nor do other processes. A file that is no sound index is
    renamed to `<name>.damaged` and a fresh one begun; where none can be written the index lives in
    memory. `warning` then says so; it is empty when all is well.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warning = ""
        self._is_closed = False
        self.doubtful: list[bytes] = []
        """Paths of files whose rows make no sense; they are to be read again."""
        self._folders: set[int] = set()
        """Those that stand in the file."""
        self._writing = threading.RLock()
        self._reading = self._writing
        self._connection = self._reader = self._open()
        self._open_reader()

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
        with self._reading, self._writing:
            self._is_closed = True
            self._reader.close()
            self._connection.close()

    # What the list needs.

    def rows(self, roots: Iterable[Path]) -> tuple[dict[int, Folder], list[ListRow]]:
        """The folders and files known of some library folders, without a look at the disk."""
        folders = self._folders_of(roots)
        if not folders:
            return {}, []
        ((count,),) = self._ask("SELECT count(*) FROM rows") or ((0,),)
        parts = 1 + count // _PART
        # The files of a folder have numbers near to each other, and folders are spread evenly.
        ids = [(part << 63) // parts for part in range(parts)] + [1 << 63]
        statement = _in_one_piece(f"SELECT {_LISTED} FROM rows WHERE id BETWEEN ? AND ?")
        found: list[ListRow] = []
        # One part is asked for while the one before is made into rows.
        with ThreadPoolExecutor(1) as executor:
            bounds = ((start, end - 1) for start, end in pairwise(ids))
            for answer in executor.map(partial(self._ask, statement), bounds):
                found += self._decoded(_ROWS, answer)
        return folders, [row for row in found if row.folder in folders]

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
            for raw, *values in self._ask(f"SELECT {columns} FROM rows WHERE folder IN {numbers}"):
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

        self._change(write)
        self._folders |= folders.keys()

    def has(self, file: IndexedFile) -> bool:
        """Whether just the same is kept of a file already."""
        kept = self._ask("SELECT entry, tags, metadata FROM entries WHERE id = ?", (file.row.id,))
        return bool(kept) and kept[0] == file.texts

    def forget(self, ids: Iterable[int]) -> None:
        """Drop files that are gone."""
        gone = [(id,) for id in ids]

        def write(db: sqlite3.Connection) -> None:
            db.executemany("DELETE FROM rows WHERE id = ?", gone)
            db.executemany("DELETE FROM entries WHERE id = ?", gone)

        if gone:
            self._change(write)

    def miss(self, reasons: Mapping[int, str]) -> None:
        """Take down why files cannot be seen now; an empty reason: they can be seen again."""
        rows = [(reason, id) for id, reason in reasons.items()]
        if rows:
            statement = "UPDATE rows SET missing = ? WHERE id = ?"
            self._change(lambda db: db.executemany(statement, rows))

    def folders(self, ids: Iterable[int]) -> dict[int, Folder]:
        """Folders by their numbers."""
        found = {}
        for numbers in _portions(ids):
            for id, root, shown in self._ask(f"SELECT * FROM folders WHERE id IN {numbers}"):
                found[id] = Folder(Path(os.fsdecode(root)), shown)
        return found

    def _folders_of(self, roots: Iterable[Path]) -> dict[int, Folder]:
        found = {}
        for root in dict.fromkeys(map(absolute, roots)):
            statement = "SELECT id, shown FROM folders WHERE root = ?"
            answer = self._ask(_in_one_piece(statement), (os.fsencode(root),))
            for id, shown in self._decoded(_FOLDERS, answer):
                found[id] = Folder(root, shown)
        return found

    def _whole(self, where: str, values: tuple[object, ...] = ()) -> Iterator[LibraryEntry]:
        for path, root, *texts, missing in self._ask(_WHOLE + where, values):
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
            self._change(lambda db: db.executemany(statement, paths))
        return bool(paths)

    # The file.

    def _ask(self, statement: str, values: tuple[object, ...] = ()) -> list[Any]:
        try:
            with self._reading:
                if self._is_closed:
                    return []  # a screen that is closing asks for one more row
                return self._reader.execute(statement, values).fetchall()
        except sqlite3.ProgrammingError:
            raise  # a fault of the caller, not of the file
        except sqlite3.DatabaseError as error:
            self._begin_anew(error)
            return []

    def _decoded(self, decoder: msgspec.json.Decoder[list[_T]], answer: list[Any]) -> list[_T]:
        """What was asked for in one piece."""
        try:
            return [row for (text,) in answer for row in decoder.decode(text)]
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            self._begin_anew(sqlite3.DatabaseError(f"its rows make no sense: {error}"))
            return []

    def _change(self, action: Callable[[sqlite3.Connection], object]) -> None:
        try:
            with self._writing, self._connection:
                action(self._connection)
        except sqlite3.ProgrammingError:
            raise
        except sqlite3.DatabaseError as error:
            self._begin_anew(error)

    def _begin_anew(self, error: sqlite3.DatabaseError) -> None:
        with self._reading, self._writing:
            self._reader.close()
            self._connection.close()
            self._folders.clear()
            self._reading = self._writing
            self._connection = self._reader = self._recover(error)
            self._open_reader()

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return _connect(self.path)
        except (OSError, sqlite3.DatabaseError) as error:
            return self._recover(error)

    def _open_reader(self) -> None:
        """Read by a connection of its own where there is a file."""
        if self._is_in_memory:
            return
        try:
            self._reader = _connect(self.path)
            self._reading = threading.RLock()
        except sqlite3.DatabaseError:
            self._reader = self._connection  # one will do

    @property
    def _is_in_memory(self) -> bool:
        return not self._connection.execute("PRAGMA database_list").fetchone()[2]

    def _recover(self, error: OSError | sqlite3.DatabaseError) -> sqlite3.Connection:
        """Begin a fresh file in the place of a damaged one, or else go on in memory."""
        # Damage is the base class itself; a locked, full or read-only file has a class of its own.
        # Bytes in the place of text are no JSON.
        if type(error) is sqlite3.DatabaseError or "JSON" in str(error):
            try:
                self._set_aside()
                return _connect(self.path)
            except (OSError, sqlite3.DatabaseError) as another:
                error = another
        self.warning = (
            f"{self.path}: the library index cannot be kept here ({error}), so the next start "
            "reads all files anew; check the folder's rights and its free space."
        )
        return _connect(None)

    def _set_aside(self) -> None:
        damaged = self.path.with_name(self.path.name + ".damaged")
        self.path.replace(damaged)
        for ending in ("-wal", "-shm"):
            self.path.with_name(self.path.name + ending).unlink(missing_ok=True)
        self.warning = (
            f"{self.path.name}: the library index was damaged and is built anew; the old one is "
            f"kept as {damaged.name}."
        )


def absolute(root: Path) -> Path:
    """The form in which library folders are compared: absolute, links kept."""
    return root.absolute()


def _is_inside(path: Path, folder: Path, below: bool) -> bool:
    return path.parent == folder or (below and folder in path.parents)


def _portions(numbers: Iterable[int]) -> Iterator[str]:
    """Numbers as lists of SQL, each within what one statement takes."""
    listed = list(numbers)
    for start in range(0, len(listed), _AT_ONCE):
        yield f"({', '.join(map(str, listed[start : start + _AT_ONCE]))})"


def _in_one_piece(statement: str) -> str:
    """A statement that gives all its rows as one text of JSON.

    Between two rows SQLite lets other threads of Python run. While the screen is busy, each of ten
    thousand rows would wait for it.
    """
    columns, _, rest = statement.removeprefix("SELECT ").partition(" FROM ")
    return f"SELECT CAST(json_group_array(json_array({columns})) AS BLOB) FROM {rest}"


def _connect(path: Path | None) -> sqlite3.Connection:
    connection = sqlite3.connect(path or ":memory:", timeout=_BUSY_SECONDS, check_same_thread=False)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA cache_size = -16000")
        # Writing the log into the file waits for the disk: not after every few hundred files.
        connection.execute("PRAGMA wal_autocheckpoint = 8000")
        if connection.execute("PRAGMA user_version").fetchone() != (_VERSION,):
            with connection:
                for name in _NAMES:
                    connection.execute(f"DROP TABLE IF EXISTS {name}")
                for statement in _TABLES:
                    connection.execute(statement)
                connection.execute(f"PRAGMA user_version = {_VERSION}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection
