"""Hashes of files kept between runs, in a table of the library's index."""

from __future__ import annotations

import logging
import os
import sqlite3
from contextlib import closing
from pathlib import Path

from engine.files.file_version import FileVersion
from engine.files.hashes import FileHashes

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

    def keep(self, path: Path, version: FileVersion, hashes: FileHashes) -> None:
        """Keep the hashes of this version in place of those of another."""
        row = (hashes.sha256, hashes.tensors_sha256, hashes.legacy, hashes.content)
        self._do(
            "INSERT OR REPLACE INTO file_hashes VALUES (?, ?, ?, ?, ?, ?)",
            (os.fsencode(path), _key(version), *row),
        )

    def _do(self, statement: str, values: tuple[bytes | str, ...]) -> tuple[str, ...] | None:
        """Run a statement and give its first row."""
        if self._index is None:
            return None
        try:
            self._index.parent.mkdir(parents=True, exist_ok=True)
            # A hash is asked for a few times in a run: nobody has to close the file then.
            connection = sqlite3.connect(self._index, timeout=_BUSY_SECONDS)
            with closing(connection), connection:
                connection.execute(_TABLE)
                row: tuple[str, ...] | None = connection.execute(statement, values).fetchone()
                return row
        except (OSError, sqlite3.Error) as error:
            log.warning("%s: hashes are not kept (%s)", self._index, error)
            return None


def _key(version: FileVersion) -> str:
    """A version without its device, whose number may be another after the next start."""
    return ":".join(map(str, version[1:]))
