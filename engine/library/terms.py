"""Which rows of the library's list meet a condition of a query."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import accumulate, compress

from engine.library.list_row import ListRow, folded
from engine.library.own import Own
from engine.library.query import Term

Numbers = Sequence[int]
"""Numbers of rows in a `SearchIndex`, ascending unless another order was asked for."""


_BETWEEN = "\x1e"
"""Between two texts: no needle has it."""
_RARE = 8
"""A needle is rare where fewer than one of so many rows have it."""


class Texts:
    """A column of texts, and all of them as one, in which a rare word is found at once."""

    def __init__(self, texts: list[str]) -> None:
        self._texts = texts

    @cached_property
    def _whole(self) -> str:
        return _BETWEEN.join(self._texts)

    @cached_property
    def _starts(self) -> array[int]:
        lengths = (len(text) + len(_BETWEEN) for text in self._texts[:-1])
        return array("q", accumulate(lengths, initial=0))

    def with_text(self, numbers: Numbers, needle: str, exclude: bool) -> Numbers:
        """Those of some rows whose text has a needle, or has not."""
        count = len(self._texts)
        if len(numbers) < count // 4 or _BETWEEN in needle:
            return with_text(self._texts, numbers, needle, exclude)
        hits = self._whole.count(needle)
        if hits > count // _RARE:
            return with_text(self._texts, numbers, needle, exclude)
        if not hits:
            return numbers if exclude else ()
        found = self._rows_with(needle)
        if len(numbers) == count and not exclude:
            return sorted(found)
        return [number for number in numbers if (number in found) is not exclude]

    def _rows_with(self, needle: str) -> set[int]:
        found: set[int] = set()
        place = self._whole.find(needle)
        while place >= 0:
            number = bisect_right(self._starts, place) - 1
            found.add(number)
            if number + 1 == len(self._starts):
                break
            place = self._whole.find(needle, self._starts[number + 1])
        return found


def with_text(texts: Sequence[str], numbers: Numbers, needle: str, exclude: bool) -> Numbers:
    """Those of some rows whose text has a needle, or has not."""
    if len(numbers) == len(texts):
        hits = [needle in text for text in texts]
        if exclude:
            hits = [not hit for hit in hits]
        found = list(compress(numbers, hits))
        return range(len(texts)) if len(found) == len(texts) else found
    if exclude:
        return [number for number in numbers if needle not in texts[number]]
    return [number for number in numbers if needle in texts[number]]


def row_test(term: Term) -> Callable[[ListRow, Own], bool]:
    """Whether a row meets a condition on what is no plain text; `term.exclude` is not looked at."""
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
