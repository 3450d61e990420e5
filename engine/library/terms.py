"""Which rows of the library's list meet a condition of a query."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import cached_property
from itertools import compress
from operator import not_

from engine.library.columns import Columns
from engine.library.list_row import PART, folded
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

    def tags(self, number: int) -> str:
        """The tags alone of a row's text."""
        return self._texts[number].split(PART, 2)[1]

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


def tag_sieve(term: Term, texts: Texts) -> Sieve:
    """What has a needle in its tags."""

    def sieve(numbers: Numbers) -> Numbers:
        # Most of those that have it nowhere are passed over by the block.
        anywhere = texts.with_text(numbers, term.needle, exclude=False)
        found = [number for number in anywhere if term.needle in texts.tags(number)]
        if not term.exclude:
            return found
        tagged = set(found)
        return [number for number in numbers if number not in tagged]

    return sieve


def row_sieve(term: Term, rows: Columns, own: Mapping[int, Own]) -> Sieve:
    """What meets a condition on what is no plain text."""
    meets, exclude = _row_test(term, rows, own), term.exclude
    return lambda numbers: [number for number in numbers if meets(number) is not exclude]


def label_sieve(term: Term, column: Sequence[str], labels: Iterable[str]) -> Sieve:
    """What has a needle in one of few labels, the only ones that are in the column."""
    wanted = {label for label in labels if term.needle in label}
    exclude = term.exclude
    return lambda numbers: [n for n in numbers if (column[n] in wanted) is not exclude]


def mask_sieve(term: Term, mask: Sequence[int]) -> Sieve:
    """What a mask has, or has not."""
    exclude = term.exclude
    return lambda numbers: [number for number in numbers if bool(mask[number]) is not exclude]


def _row_test(term: Term, rows: Columns, own: Mapping[int, Own]) -> Callable[[int], bool]:
    """Whether a row meets a condition; `term.exclude` is not looked at."""
    needle, low, high = term.needle, term.low, term.high

    def said(number: int) -> Own:
        return own.get(rows.id[number], OWN_NOTHING)

    match term.field:
        case "rank":
            return lambda number: low <= rows.rank[number] <= high
        case "used":
            return lambda number: low <= said(number).uses <= high
        case "fav":
            return lambda number: is_favourite(rows, number, said(number))
        case "dup":
            return lambda number: said(number).is_duplicate
        case "missing":
            return lambda number: bool(rows.missing[number])

    def has_error(number: int) -> bool:
        error, missing = rows.error[number], rows.missing[number]
        return bool((error and needle in error) or (missing and needle in folded(missing)))

    return has_error


def is_favourite(rows: Columns, number: int, own: Own) -> bool:
    """Whether the user has it as a favourite, here or in another program."""
    return own.favourite or bool(rows.favourite[number])
