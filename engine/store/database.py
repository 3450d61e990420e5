"""The SQLite file that all subjects share: opened in its present form, read and changed."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from engine.errors import StoreError
from engine.files.mounts import is_on_network
from engine.files.regular_file import printable
from engine.store.migrate import Subject, is_current, migrate
from engine.store.opening import BUSY_SECONDS, opening_alone, patiently, set_aside

APPLICATION_ID = 0x4C_53_77_69
"""Says in the file's header whose it is (`LSwi`)."""


class Database:
    """One open file; any thread may use it, one at a time.

    `subjects` are those whose tables are needed; those of others in the same file are left alone.
    Several processes may have it open. A file that is no database is renamed and a fresh one begun,
    which `warning` then says; it is empty when all is well. Raises `StoreError`.
    """

    def __init__(self, path: Path, *subjects: Subject) -> None:
        self.path = path
        self.warning = ""
        self._lock = threading.RLock()
        with self._in_words("opened"):
            path.parent.mkdir(parents=True, exist_ok=True)
            self._connection = self._open(subjects)

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
        with self._lock:
            self._connection.close()

    def rows(self, statement: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """What a query finds. Raises `StoreError`."""
        with self._lock, self._in_words("read"):
            return self._connection.execute(statement, values).fetchall()

    @contextlib.contextmanager
    def changing(self) -> Iterator[sqlite3.Connection]:
        """One transaction: what is done within happens whole or, on an error, not at all.

        It holds the only right to write from its beginning, so that what it reads stays true.
        Raises `StoreError`.
        """
        with self._lock, self._in_words("written"), transaction(self._connection):
            yield self._connection

    def change(self, statement: str, values: Sequence[Any] = ()) -> None:
        """One statement as a transaction. Raises `StoreError`."""
        with self.changing() as connection:
            connection.execute(statement, values)

    def _open(self, subjects: Sequence[Subject]) -> sqlite3.Connection:
        try:
            connection = _connect(self.path)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
        else:
            if is_current(connection, subjects):
                return connection
            connection.close()
        # Only one process at a time makes, sets aside or migrates the file.
        with opening_alone(self.path):
            connection = self._sound_one()
            try:
                _claim(connection, self.path)
                migrate(connection, self.path, subjects)
            except BaseException:
                connection.close()
                raise
        return connection

    def _sound_one(self) -> sqlite3.Connection:
        try:
            return _connect(self.path)
        except sqlite3.DatabaseError as error:
            if not _is_damage(error):
                raise
        kept = set_aside(self.path)
        self.warning = (
            f"{printable(self.path)}: this was no sound database, and a fresh one is begun; "
            f"the old file is kept as {printable(kept.name)}."
        )
        return _connect(self.path)

    @contextlib.contextmanager
    def _in_words(self, done: str) -> Iterator[None]:
        place = printable(self.path)
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # a fault of the caller
        except (sqlite3.OperationalError, OSError) as error:
            reason = error.strerror if isinstance(error, OSError) else str(error)
            raise StoreError(
                f"{place}: the store cannot be {done} ({reason}); check the folder's rights and "
                "its free space, and whether another program holds the file."
            ) from error
        except sqlite3.DatabaseError as error:
            raise StoreError(
                f"{place}: the store cannot be {done} ({error}); if it is damaged, move the file "
                "away and start again, and a fresh one is begun."
            ) from error


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """Begin, and end with all of it or nothing."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        # A full disk may have ended the transaction already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _connect(path: Path) -> sqlite3.Connection:
    """A connection that can read the file. Raises `sqlite3.DatabaseError`."""
    connection = sqlite3.connect(
        path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False
    )
    try:
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        patiently(lambda: connection.execute("SELECT count(*) FROM sqlite_schema").fetchone())
        _choose_journal(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _choose_journal(connection: sqlite3.Connection, path: Path) -> None:
    """A write-ahead log, where its memory can be shared; across a network that damages files."""
    wanted = "delete" if is_on_network(path) else "wal"
    if connection.execute("PRAGMA journal_mode").fetchone() == (wanted,):
        return
    # While others have the file open it stays as they have it.
    with contextlib.suppress(sqlite3.OperationalError):
        patiently(lambda: connection.execute(f"PRAGMA journal_mode = {wanted}").fetchone())


def _claim(connection: sqlite3.Connection, path: Path) -> None:
    """Put our name into a fresh file. Raises `StoreError` for a database of another program."""
    (owner,) = connection.execute("PRAGMA application_id").fetchone()
    if owner == APPLICATION_ID:
        return
    (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
    if owner or tables:
        raise StoreError(
            f"{printable(path)}: this is a database of another program; move it away, and start "
            "again."
        )
    connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _is_damage(error: sqlite3.DatabaseError) -> bool:
    """A file that is locked, full or not to be written has a class of its own."""
    return type(error) is sqlite3.DatabaseError
