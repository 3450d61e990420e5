"""The file that the library's index lives in: its tables, its damage, its readers and writers."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from engine.files.saving import in_words

_VERSION = 7
"""Raised when entries are made otherwise than before: older ones are then read anew."""

_BUSY_SECONDS = 5.0
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
    # The rows of a folder as the list has them, in order; gone as soon as one of them changes.
    "CREATE TABLE packs (folder INTEGER PRIMARY KEY, pack TEXT)",
    *(
        f"CREATE TRIGGER rows_{change.lower()} AFTER {change} ON rows BEGIN "
        f"DELETE FROM packs WHERE folder = {row}.folder; END"
        for change, row in (("INSERT", "NEW"), ("UPDATE", "OLD"), ("DELETE", "OLD"))
    ),
)
_NAMES = ("folders", "rows", "entries", "packs")
_T = TypeVar("_T")


class IndexFile:
    """One SQLite file; any thread may use it.

    Readers do not wait for a writer, nor do other processes. A file that is no sound index is
    renamed to `<name>.damaged` and a fresh one begun; where none can be written the index lives in
    memory. `warning` then says so; it is empty when all is well.
    """

    def __init__(self, path: Path, on_anew: Callable[[], object]) -> None:
        """`on_anew()` is called when a fresh file has been begun."""
        self.path = path
        self.warning = ""
        self._on_anew = on_anew
        self._is_closed = False
        self._writing = threading.RLock()
        self._reading = self._writing
        self._connection = self._reader = self._open()
        self._open_reader()

    def close(self) -> None:
        """Close the file."""
        with self._reading, self._writing:
            self._is_closed = True
            self._reader.close()
            self._connection.close()

    def ask(self, statement: str, values: tuple[object, ...] = ()) -> list[Any]:
        """All rows of an answer; none where the file is damaged, and the index begins anew."""
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

    def made(self, make: Callable[[list[Any]], dict[int, _T]], answer: list[Any]) -> dict[int, _T]:
        """What is made of an answer; nothing where it makes no sense, and the index begins anew."""
        try:
            return make(answer)
        except sqlite3.DatabaseError as error:
            self._begin_anew(error)
            return {}

    def change(self, action: Callable[[sqlite3.Connection], object]) -> None:
        """Do all of it or nothing."""
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
            self._on_anew()
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
            f"{self.path}: the library index cannot be kept here ({in_words(error)}), so the next "
            "start reads all files anew; check the folder's rights and its free space."
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
