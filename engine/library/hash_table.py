"""Hashes of files kept between runs, in a table of the library's index."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.files.file_version import FileVersion
from engine.files.hashes import FileHashes, hash_file

log = logging.getLogger(__name__)

_BUSY_SECONDS = 5.0
_TABLE = (
    "CREATE TABLE IF NOT EXISTS file_hashes (path BLOB PRIMARY KEY, version TEXT, "
    "sha256 TEXT, tensors_sha256 TEXT, legacy TEXT, content TEXT)"
)


class HashTable:
    """What is known of each path: the hashes of one version of its file.

    Without a file, and where the file cannot be used, nothing is kept: a hash can be computed
    again. The table stays when entries of the library are made otherwise than before.
    """

    def __init__(self, index: Path | None) -> None:
        self._index = index

    def find(self, path: Path, version: FileVersion) -> FileHashes | None:
        """The hashes of this version; None where they are not known."""
        statement = (
            "SELECT sha256, tensors_sha256, legacy, content FROM file_hashes "
            "WHERE path = ? AND version = ?"
        )
        row = self._do(statement, (os.fsencode(path), _key(version)))
        return FileHashes(*row) if row else None

    def with_hash(self, beginning: str) -> Path | None:
        """A file that is still what it was when one of its hashes began so."""
        statement = (
            "SELECT path, version FROM file_hashes WHERE substr(tensors_sha256, 1, ?) = ? "
            "OR substr(sha256, 1, ?) = ? OR legacy = ? ORDER BY path"
        )
        length = len(beginning)
        values = (length, beginning, length, beginning, beginning)
        for path, version in self._all(statement, values):
            found = Path(os.fsdecode(path))
            with suppress(OSError, ValueError):
                if found.is_file() and _key(FileVersion.of(found)) == version:
                    return found
        return None

    def hashes(self, path: Path, version: FileVersion | None = None) -> FileHashes | None:
        """The hashes of a version of a file, or of the one that lies there now.

        Computed, and kept, where they are not known. None where the file is another by the end.
        Raises `OSError`, `ValueError` and `FileFormatError` for what is no sound file.
        """
        wanted = version or FileVersion.of(path)
        if (known := self.find(path, wanted)) is not None:
            return known
        hashes = hash_file(path)
        if FileVersion.of(path) != wanted:
            return None
        self.keep(path, wanted, hashes)
        return hashes

    def has_hash(self, path: Path, beginning: str) -> bool:
        """Whether one of a file's hashes begins so; they are computed where they are not known."""
        try:
            hashes = self.hashes(path)
        except (OSError, ValueError, EngineError) as error:
            log.warning("no hash of %s: %s", path, error)
            return False
        return hashes is not None and (
            hashes.tensors_sha256.startswith(beginning)
            or hashes.sha256.startswith(beginning)
            or hashes.legacy == beginning
        )

    def keep(self, path: Path, version: FileVersion, hashes: FileHashes) -> None:
        """Keep the hashes of this version in place of those of another."""
        row = (hashes.sha256, hashes.tensors_sha256, hashes.legacy, hashes.content)
        self._do(
            "INSERT OR REPLACE INTO file_hashes VALUES (?, ?, ?, ?, ?, ?)",
            (os.fsencode(path), _key(version), *row),
        )

    def all(self) -> dict[Path, tuple[str, str]]:
        """Of each path, the version that was hashed and the hash of its tensors."""
        rows = self._all("SELECT path, version, tensors_sha256 FROM file_hashes", ())
        return {Path(os.fsdecode(path)): (version, tensors) for path, version, tensors in rows}

    @staticmethod
    def is_version(path: Path, version: str) -> bool:
        """Whether a path's file is still of this version."""
        try:
            return _key(FileVersion.of(path)) == version
        except OSError:
            return False

    def _do(self, statement: str, values: tuple[Any, ...]) -> tuple[Any, ...] | None:
        """Run a statement and give its first row."""
        return next(iter(self._all(statement, values)), None)

    def _all(self, statement: str, values: tuple[Any, ...]) -> list[tuple[Any, ...]]:
        if self._index is None:
            return []
        try:
            self._index.parent.mkdir(parents=True, exist_ok=True)
            # A hash is asked for a few times in a run: nobody has to close the file then.
            connection = sqlite3.connect(self._index, timeout=_BUSY_SECONDS)
            with closing(connection), connection:
                connection.execute(_TABLE)
                return connection.execute(statement, values).fetchall()
        except (OSError, sqlite3.Error) as error:
            log.warning("%s: hashes are not kept (%s)", self._index, error)
            return []


def _key(version: FileVersion) -> str:
    """A version without its device, whose number may be another after the next start."""
    return ":".join(map(str, version[1:]))
