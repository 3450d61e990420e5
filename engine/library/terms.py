"""Which rows of the library's list meet a condition of a query."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import compress
from operator import not_

from engine.library.list_row import ListRow, folded
from engine.library.own import OWN_NOTHING, Own
from engine.library.query import Term

Numbers = Sequence[int]
"""Numbers of rows in a `SearchIndex`, in the order in which they are shown."""

Sieve = Callable[[Numbers], Numbers]
"""Gives those of some rows that meet a condition."""

_BETWEEN = "\x1e"
"""Between two texts: no needle has it."""
_BLOCK = 128
"""Texts that are looked through as one first: most have nothing of what is rare."""


class Texts:
    """A column of texts, and blocks of them as one, in which it is seen that none has a word."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts

    @cached_property
    def blocks(self) -> list[str]:
        """The texts of some rows each, joined."""
        texts = self._texts
        return [_BETWEEN.join(texts[at : at + _BLOCK]) for at in range(0, len(texts), _BLOCK)]

    def with_text(self, numbers: Numbers, needle: str, exclude: bool) -> Numbers:
        """Those of some rows whose text has a needle, or has not."""
        texts = self._texts
        if not isinstance(numbers, range) or numbers.step != 1:
            return [number for number in numbers if (needle in texts[number]) is not exclude]
        found: list[int] = []
        at, end = numbers.start, numbers.stop
        while at < end:
            block = range(at, min(end, at - at % _BLOCK + _BLOCK))
            if needle in self.blocks[at // _BLOCK] or _BETWEEN in needle:
                hits = [needle in text for text in texts[at : block.stop]]
                found += compress(block, map(not_, hits) if exclude else hits)
            elif exclude:
                found += block
            at = block.stop
        return found


def row_sieve(term: Term, rows: Sequence[ListRow], own: Mapping[int, Own]) -> Sieve:
    """What meets a condition on what is no plain text."""
    meets, exclude = _row_test(term), term.exclude
    return lambda numbers: [
        number
        for number in numbers
        if meets(rows[number], own.get(rows[number].id, OWN_NOTHING)) is not exclude
    ]


def label_sieve(
    term: Term, rows: Sequence[ListRow], place: int, labels: Iterable[tuple[object, str]]
) -> Sieve:
    """What has a needle in one of few labels, given with the values that rows have at `place`."""
    wanted = {value for value, label in labels if term.needle in label}
    exclude = term.exclude
    return lambda numbers: [n for n in numbers if (rows[n][place] in wanted) is not exclude]


def _row_test(term: Term) -> Callable[[ListRow, Own], bool]:
    """Whether a row meets a condition; `term.exclude` is not looked at."""
    needle, low, high = term.needle, term.low, term.high
    match term.field:
        case "rank":
            return lambda row, own: low <= row.rank <= high
        case "used":
            return lambda row, own: low <= own.uses <= high
        case "fav":
            return is_favourite
        case "dup":
            return lambda row, own: own.is_duplicate
        case "missing":
            return lambda row, own: bool(row.missing)
    return lambda row, own: bool(
        (row.error and needle in row.error) or (row.missing and needle in folded(row.missing))
    )


def is_favourite(row: ListRow, own: Own) -> bool:
    """Whether the user has it as a favourite, here or in another program."""
    return own.favourite or bool(row.favourite)
