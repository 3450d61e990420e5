"""Hashes of files, computed once for each version of a file."""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from engine.errors import EngineError, FileFormatError
from engine.file_version import FileVersion
from engine.library.hashes import FileHashes, hash_file

log = logging.getLogger(__name__)


class HashStore:
    """Remembers hashes by path and version of the file."""

    def __init__(self) -> None:
        self._known: dict[tuple[Path, FileVersion], FileHashes] = {}
        self._started: set[tuple[Path, FileVersion]] = set()

    def of(self, path: Path) -> FileHashes:
        """The hashes of a file, computed now unless known. Raises `FileFormatError`."""
        key = _version(path)
        if key not in self._known:
            self._known[key] = hash_file(path)
        return self._known[key]

    def of_later(self, path: Path) -> FileHashes | None:
        """The hashes of a large file, or None while they are computed in the background."""
        key = _version(path)
        if key not in self._known and key not in self._started:
            self._started.add(key)
            threading.Thread(target=self._compute, args=(path,), name="hash", daemon=True).start()
        return self._known.get(key)

    def _compute(self, path: Path) -> None:
        try:
            self.of(path)
        except EngineError:
            log.exception("no hash of %s", path)


def _version(path: Path) -> tuple[Path, FileVersion]:
    try:
        return path, FileVersion.of(path)
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror}).") from error
