"""What the index keeps of one file."""

from __future__ import annotations

import os
from typing import NamedTuple

from engine.library.entry import LibraryEntry
from engine.library.entry_text import encode
from engine.library.list_row import ListRow, folder_id, list_row
from engine.library.names import loose_name, output_name


class IndexedFile(NamedTuple):
    """An entry as the tables of the index have it; plain values, which any process can make."""

    row: ListRow
    root: bytes
    folder: str
    """As it is shown."""
    path: bytes
    stamp: str
    """Empty where the file is to be read again in any case."""
    loose: str
    """Its bare name in its loosest form (see `loose_name`)."""
    output: str
    """What its trainer called it (see `output_name`)."""
    texts: tuple[str, str, str]
    """See `entry_text`."""


def indexed(stamp: str, entry: LibraryEntry) -> IndexedFile:
    """An entry, with what changes when its file does."""
    return IndexedFile(
        list_row(entry, folder_id(entry.root, entry.folder)),
        os.fsencode(entry.root),
        entry.folder,
        os.fsencode(entry.path),
        # A file in error is tried again: the reason (its rights, a disk) may be gone.
        "" if entry.error or entry.problems else stamp,
        loose_name(entry.path.name),
        output_name(entry),
        encode(entry),
    )
