"""What the list of the library needs of each file: small enough to be held for all of them."""

from __future__ import annotations

import os
import re
import sys
import unicodedata
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

from engine.library.entry import LibraryEntry

PART = "\x1f"
"""Between the parts of `ListRow.text`: name and title and triggers, then tags, then notes."""
_MAX_NOTES = 2_000
"""Characters of the notes that are searched."""

OTHER_MODEL, FITS, UNUSABLE = 0, 1, 2


class ListRow(NamedTuple):
    """A file as the list sorts and searches it; texts are folded for that (see `folded`)."""

    id: int
    """See `file_id`."""
    folder: int
    """The folder's number among those of the index."""
    sort: str
    """Orders files of a folder by name."""
    text: str
    base: str
    family: str
    rank: int
    size: int
    mtime_ns: int
    added_ns: int
    fits: int
    """`OTHER_MODEL`, `FITS` or `UNUSABLE`."""
    favourite: bool = False
    """Whether another program has it as a favourite."""
    error: str = ""
    missing: str = ""
    """Why the file cannot be seen now, as the folder that holds it cannot."""


class Folder(NamedTuple):
    """A folder of the library that holds files."""

    root: Path
    path: str
    """Below the library folder, with forward slashes, as it is shown."""


def list_row(entry: LibraryEntry, folder: int) -> ListRow:
    """What the list needs of an entry."""
    words = (word for trigger in entry.trigger_words for word in trigger.words)
    texts = (
        "\n".join((f"{entry.folder}/{entry.name}".lstrip("/"), entry.title, *words)),
        "\n".join(tag for tag, _ in entry.tags),
        entry.notes[:_MAX_NOTES],
    )
    return ListRow(
        file_id(entry.root, entry.path),
        folder,
        natural_key(entry.name),
        folded(PART.join(texts)),
        folded_base(entry.base_label or "unknown"),
        sys.intern(folded(entry.family)),
        entry.rank or 0,
        entry.size,
        entry.mtime_ns,
        entry.added_ns,
        UNUSABLE if entry.error else FITS if entry.fits_sdxl else OTHER_MODEL,
        entry.favourite,
        folded(entry.error),
    )


def file_id(root: Path, path: Path) -> int:
    """A number for a file of a library folder: the same in every process and at every start.

    Files of one folder have numbers near to each other, and so stand together in the index.
    """
    whole = os.fsencode(path)
    folder = _folder_number(os.fsencode(root), os.path.split(whole)[0])
    # The whole path: files of one name are common, and few bits are a folder's.
    return folder << _FILE_BITS | _number(os.fsencode(root) + b"\0" + whole, _FILE_BITS)


@lru_cache(maxsize=1024)
def folder_id(root: Path, folder: str) -> int:
    """A number for a folder, by its name as it is shown."""
    return _number(os.fsencode(root) + b"\0" + folder.encode(errors="surrogateescape"), 63)


_FILE_BITS = 43
"""Of the 63 that SQLite's row numbers have; of 100,000 files no two will share all."""


@lru_cache(maxsize=1024)
def _folder_number(root: bytes, folder: bytes) -> int:
    return _number(root + b"\0" + folder, 63 - _FILE_BITS)


def _number(name: bytes, bits: int) -> int:
    return int.from_bytes(blake2b(name, digest_size=8).digest()) >> (64 - bits)


@lru_cache(maxsize=4096)
def folded_base(label: str) -> str:
    """A base model as it is searched: without spaces."""
    return sys.intern(folded(label).replace(" ", ""))


def folded(text: str) -> str:
    """Without regard to letter case; one form for what looks the same."""
    # NFKC: macOS stores é as e and an accent, keyboards type it as one letter.
    return (text if text.isascii() else unicodedata.normalize("NFKC", text)).casefold()


@lru_cache(maxsize=4096)
def natural_key(text: str) -> str:
    """A sort key that orders runs of digits by their value and letters without regard to case.

    A string, since a sort compares them without ever letting another thread run.
    """
    parts = re.split(r"([0-9]+)", folded(text))
    return "".join(map(_natural_part, filter(None, parts)))


def _natural_part(part: str) -> str:
    """Digits before letters; a part that ends before those that go on."""
    if not "0" <= part[0] <= "9":
        return f"\x02{part}\x00"
    # By length, then by digits: the order of the values, with no bound on their size.
    number = part.lstrip("0")
    return f"\x01{chr(len(number))}{number}\x00"
