"""The rows of the list as columns: a hundred thousand of them are few objects, and small ones."""

from __future__ import annotations

import sys
from array import array
from collections.abc import Callable, Iterable, Iterator, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from engine.library.list_row import ListRow


class Columns(NamedTuple):
    """Rows one below the other, by the fields of `ListRow` but the folder; they never change."""

    id: array[int]
    sort: list[str]
    text: list[str]
    base: list[str]
    family: list[str]
    rank: array[int]
    size: array[int]
    mtime_ns: array[int]
    added_ns: array[int]
    fits: bytearray
    favourite: bytearray
    error: list[str]
    missing: list[str]

    @classmethod
    def of(cls, rows: Iterable[ListRow]) -> Columns:
        """The rows of a folder, by name."""
        values = map(attrgetter(*cls._fields), sorted(rows, key=_by_name))
        return _made(list(zip(*values, strict=True)) or [()] * len(cls._fields))

    @classmethod
    def joined(cls, parts: Sequence[Columns]) -> Columns:
        """All rows of some, one below the other."""
        return cls._make(map(_join, zip(*parts, strict=True))) if parts else cls.of(())

    def __bool__(self) -> bool:
        return bool(self.id)

    def part(self, start: int, end: int) -> Columns:
        """The rows from one to before another."""
        return Columns._make(column[start:end] for column in self)

    def rows(self, folder: int) -> Iterator[ListRow]:
        """The rows again, which all lie in this folder."""
        for id, *values in zip(*self, strict=True):
            yield ListRow(id, folder, *values)

    def place(self, id: int) -> int | None:
        """Where the row of a file stands; None where it is not here."""
        raw, wanted = self.id.tobytes(), id.to_bytes(_WIDTH, sys.byteorder, signed=True)
        at = raw.find(wanted)
        while at % _WIDTH and at > 0:
            at = raw.find(wanted, at + 1)
        return at // _WIDTH if at >= 0 else None


def _numbers(values: Iterable[int]) -> array[int]:
    return array("q", values)


def _shared(values: Iterable[str]) -> list[str]:
    """Texts of which there are few."""
    return list(map(sys.intern, values))


_KINDS: tuple[Callable[[Any], Any], ...] = (
    _numbers, list, list, _shared, _shared, *[_numbers] * 4, bytearray, bytearray, list, list,
)  # fmt: skip
_WIDTH = array("q").itemsize
_by_name = attrgetter("sort", "id")


def _made(columns: Sequence[Sequence[Any]]) -> Columns:
    return Columns._make(kind(column) for kind, column in zip(_KINDS, columns, strict=True))


def _join(columns: Sequence[Any]) -> Any:
    whole = columns[0][:0]
    for column in columns:
        whole += column
    return whole
