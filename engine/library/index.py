"""The library's memory between runs: what was read of each file, in one SQLite file."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable, Iterable
from dataclasses import fields
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from engine.library.entry import LibraryEntry, TriggerWords

_VERSION = 2
"""Raised when entries are made otherwise than before: older ones are then read anew."""

_BUSY_SECONDS = 5.0

_T = TypeVar("_T")

Known = dict[Path, tuple[str, LibraryEntry]]
"""What is known of a folder's files: a stamp that changes with the file, and the entry."""


class LibraryIndex:
    """Entries kept between runs; belongs to the thread that made it.

    A file that is no sound index is renamed to `<name>.damaged` and a fresh one begun; where none
    can be written the index lives in memory. `warning` then says so; it is empty when all is well.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.warning = ""
        self._known: dict[Path, Known] = {}
        self._connection = self._open()

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
        self._connection.close()

    def load(self, roots: Iterable[Path]) -> list[LibraryEntry]:
        """All entries known of some library folders, without looking at the disk they are on."""
        found: dict[Path, LibraryEntry] = {}
        for root in roots:
            for path, (_, entry) in self.known(absolute(root)).items():
                found.setdefault(path, entry)
        return list(found.values())

    def known(self, root: Path) -> Known:
        """What is known of the files below a library folder; read once."""
        if root not in self._known:
            self._known[root] = self._read(root)
        return self._known[root]

    def _read(self, root: Path) -> Known:
        statement = "SELECT path, stamp, entry, tags, metadata FROM entries WHERE root = ?"
        rows: list[tuple[bytes, str, str, str, str]] = []
        rows = self._run(lambda db: db.execute(statement, (os.fsencode(root),)).fetchall(), rows)
        found: Known = {}
        for raw, stamp, *texts in rows:
            path = Path(os.fsdecode(raw))
            entry = _decode(path, root, *texts)
            if entry is not None:
                found[path] = (stamp, entry)
        return found

    def store(self, entries: Iterable[tuple[str, LibraryEntry]]) -> None:
        """Keep entries with their stamps."""
        entries = list(entries)
        for stamp, entry in entries:
            if entry.root in self._known:
                self._known[entry.root][entry.path] = stamp, entry
        rows = [
            (os.fsencode(entry.root), os.fsencode(entry.path), stamp, *_encode(entry))
            for stamp, entry in entries
        ]
        statement = "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?, ?, ?)"
        self._run(lambda db: db.executemany(statement, rows), None)

    def forget(self, root: Path, paths: Iterable[Path]) -> None:
        """Drop files that are gone."""
        paths = list(paths)
        for path in paths:
            self._known.get(root, {}).pop(path, None)
        rows = [(os.fsencode(root), os.fsencode(path)) for path in paths]
        statement = "DELETE FROM entries WHERE root = ? AND path = ?"
        self._run(lambda db: db.executemany(statement, rows), None)

    def _run(self, action: Callable[[sqlite3.Connection], _T], otherwise: _T) -> _T:
        try:
            with self._connection:
                return action(self._connection)
        except sqlite3.ProgrammingError:
            raise  # a fault of the caller, such as the wrong thread, not of the file
        except sqlite3.DatabaseError as error:
            self._connection.close()
            # What follows is built anew, from what the fresh file holds.
            self._known.clear()
            self._connection = self._recover(error)
            return otherwise

    def _open(self) -> sqlite3.Connection:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            return _connect(self.path)
        except (OSError, sqlite3.DatabaseError) as error:
            return self._recover(error)

    def _recover(self, error: OSError | sqlite3.DatabaseError) -> sqlite3.Connection:
        """Begin a fresh file in the place of a damaged one, or else go on in memory."""
        # Damage is the base class itself; a locked, full or read-only file has a class of its own.
        if type(error) is sqlite3.DatabaseError:
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


def _connect(path: Path | None) -> sqlite3.Connection:
    connection = sqlite3.connect(path or ":memory:", timeout=_BUSY_SECONDS)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        if connection.execute("PRAGMA user_version").fetchone() != (_VERSION,):
            with connection:
                connection.execute("DROP TABLE IF EXISTS entries")
                connection.execute(
                    "CREATE TABLE entries (root BLOB, path BLOB, stamp TEXT, entry TEXT, "
                    "tags TEXT, metadata TEXT, PRIMARY KEY (root, path))"
                )
                connection.execute(f"PRAGMA user_version = {_VERSION}")
    except sqlite3.Error:
        connection.close()
        raise
    return connection


_OWN_COLUMNS = ("path", "root", "tags", "metadata")


def _encode(entry: LibraryEntry) -> tuple[str, str, str]:
    """An entry as JSON, with defaults left out, and its two long tables.

    The tables are plain text, a line per item, since ten thousand entries then load several times
    faster. Their items are single lines: that is how text is cleaned for an entry.
    """
    values = {
        field.name: value
        for field in fields(entry)
        if field.name not in _OWN_COLUMNS
        and (value := getattr(entry, field.name)) not in ("", (), None)
    }
    values["trigger_words"] = [(group.source, group.words) for group in entry.trigger_words]
    if entry.previews:
        values["previews"] = [str(preview) for preview in entry.previews]
    tags = "\n".join(f"{tag}\n{count}" for tag, count in entry.tags)
    metadata = "\n".join(f"{key}\n{value}" for key, value in entry.metadata)
    return json.dumps(values, separators=(",", ":")), tags, metadata


def _decode(path: Path, root: Path, text: str, tags: str, metadata: str) -> LibraryEntry | None:
    """The entry again; None when its row makes no sense, and its file is then read anew."""
    try:
        values: dict[str, Any] = json.loads(text)
        values["trigger_words"] = tuple(
            TriggerWords(source, tuple(words)) for source, words in values["trigger_words"]
        )
        values["parts"] = tuple(values.get("parts", ()))
        values["previews"] = tuple(map(Path, values.get("previews", ())))
        values["problems"] = tuple(values.get("problems", ()))
        names, counts = _alternating(tags)
        values["tags"] = tuple(zip(names, map(int, counts), strict=True))
        values["metadata"] = tuple(zip(*_alternating(metadata), strict=True))
        return LibraryEntry(path, root, **values)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _alternating(lines: str) -> tuple[list[str], list[str]]:
    items = lines.split("\n") if lines else []
    return items[::2], items[1::2]
