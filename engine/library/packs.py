"""How the rows of the list come out of the index: in few large pieces, packed folder by folder."""

from __future__ import annotations

import sqlite3
import sys
from array import array
from collections import defaultdict
from itertools import groupby, repeat
from typing import Any, NamedTuple, TypeVar

import msgspec

from engine.library.columns import Columns
from engine.library.list_row import ListRow

_T = TypeVar("_T")


Runs = list[tuple[str, int]]
"""Texts of which many in a row are the same, each with how many."""


class Pack(NamedTuple):
    """The columns of one folder as they are kept: numbers as this machine has them."""

    folder: int
    id: bytes
    sort: list[str]
    text: list[str]
    base: Runs
    family: Runs
    rank: bytes
    size: bytes
    mtime_ns: bytes
    added_ns: bytes
    fits: bytes
    favourite: bytes
    error: Runs
    missing: Runs

    @classmethod
    def of(cls, folder: int, columns: Columns) -> Pack:
        """The columns of a folder."""
        return cls(
            folder,
            columns.id.tobytes(),
            columns.sort,
            columns.text,
            _runs(columns.base),
            _runs(columns.family),
            columns.rank.tobytes(),
            columns.size.tobytes(),
            columns.mtime_ns.tobytes(),
            columns.added_ns.tobytes(),
            bytes(columns.fits),
            bytes(columns.favourite),
            _runs(columns.error),
            _runs(columns.missing),
        )

    @property
    def columns(self) -> Columns:
        """The columns again; raises `ValueError` where they make no sense."""
        columns = Columns(
            _numbers(self.id),
            self.sort,
            self.text,
            _listed(self.base),
            _listed(self.family),
            _numbers(self.rank),
            _numbers(self.size),
            _numbers(self.mtime_ns),
            _numbers(self.added_ns),
            bytearray(self.fits),
            bytearray(self.favourite),
            _listed(self.error),
            _listed(self.missing),
        )
        if len({len(column) for column in columns}) != 1:
            raise ValueError("columns of different lengths")
        return columns


def _runs(texts: list[str]) -> Runs:
    return [(text, len(list(same))) for text, same in groupby(texts)]


def _listed(runs: Runs) -> list[str]:
    return [text for text, count in runs for text in repeat(sys.intern(text), count)]


def _numbers(raw: bytes) -> array[int]:
    numbers = array("q")
    numbers.frombytes(raw)
    return numbers


PACKED = (
    "SELECT CAST('[' || group_concat(pack) || ']' AS BLOB) FROM packs WHERE folder BETWEEN ? AND ?"
)
"""All packs of folders with numbers from one to another, in one piece of JSON."""

_LISTED = ", ".join(ListRow._fields)
_ROWS = msgspec.json.Decoder(list[ListRow], strict=False)
_PACKS = msgspec.json.Decoder(list[bytes])
_PACK = msgspec.msgpack.Decoder(Pack)
_FOLDERS = msgspec.json.Decoder(list[tuple[int, str]])


def listed_in(numbers: str) -> str:
    """What gives the rows of some folders."""
    return in_one_piece(f"SELECT {_LISTED} FROM rows WHERE folder IN {numbers}")


def write_packs(statement: str, db: sqlite3.Connection) -> None:
    """Pack the rows that a statement gives; raises `DatabaseError` where they make no sense."""
    # Nobody may change a row between the reading and the writing.
    db.execute("BEGIN IMMEDIATE")
    found = columns_of_rows(db.execute(statement).fetchall())
    packs = ((folder, _packed(Pack.of(folder, columns))) for folder, columns in found.items())
    db.executemany("INSERT OR REPLACE INTO packs VALUES (?, ?)", packs)


def _packed(pack: Pack) -> str:
    # JSON has no bytes, but those of MessagePack, as Base64, are read several times faster.
    return msgspec.json.encode(msgspec.msgpack.encode(pack)).decode()


def columns_of_rows(answer: list[Any]) -> dict[int, Columns]:
    """The rows of folders; raises `DatabaseError` where they make no sense."""
    rows: defaultdict[int, list[ListRow]] = defaultdict(list)
    for row in _decoded(_ROWS, answer):
        rows[row.folder].append(row)
    return {folder: Columns.of(some) for folder, some in rows.items()}


def columns_of_packs(answer: list[Any]) -> dict[int, Columns]:
    """The same from their packs."""
    try:
        packs = map(_PACK.decode, _decoded(_PACKS, answer))
        return {pack.folder: pack.columns for pack in packs}
    except ValueError as error:  # those of msgspec too
        raise sqlite3.DatabaseError(f"its packs make no sense: {error}") from error


def shown_folders(answer: list[Any]) -> dict[int, str]:
    """What is shown of folders; raises `DatabaseError` where that makes no sense."""
    return dict(_decoded(_FOLDERS, answer))


def _decoded(decoder: msgspec.json.Decoder[list[_T]], answer: list[Any]) -> list[_T]:
    """What was asked for in one piece."""
    try:
        return [row for (text,) in answer if text for row in decoder.decode(text)]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise sqlite3.DatabaseError(f"its rows make no sense: {error}") from error


def in_one_piece(statement: str) -> str:
    """A statement that gives all its rows as one text of JSON.

    Between two rows SQLite lets other threads of Python run. While the screen is busy, each of ten
    thousand rows would wait for it.
    """
    columns, _, rest = statement.removeprefix("SELECT ").partition(" FROM ")
    return f"SELECT CAST(json_group_array(json_array({columns})) AS BLOB) FROM {rest}"
