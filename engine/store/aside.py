"""Which folders hold files that were set aside, until the trash has them."""

from __future__ import annotations

import os
from pathlib import Path

from engine.store.database import Database
from engine.store.migrate import Subject

ASIDE = Subject("aside", ("CREATE TABLE aside (folder BLOB PRIMARY KEY);",))


class AsideStore:
    """Remembers the folders beyond a crash. Raises `StoreError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def add(self, folder: Path) -> None:
        """Files are set aside in this folder."""
        self._database.change("REPLACE INTO aside VALUES (?)", (os.fsencode(folder),))

    def drop(self, folder: Path) -> None:
        """There are none any more."""
        self._database.change("DELETE FROM aside WHERE folder = ?", (os.fsencode(folder),))

    def all(self) -> list[Path]:
        """All such folders."""
        rows = self._database.rows("SELECT folder FROM aside")
        return [Path(os.fsdecode(folder)) for (folder,) in rows]
