"""Which rows of the library's list meet a condition of a query."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import compress

from engine.library.list_row import PART, ListRow, folded
from engine.library.own import Own
from engine.library.query import Term

Numbers = Sequence[int]
"""Numbers of rows in a `SearchIndex`, ascending unless another order was asked for."""


def with_text(texts: Sequence[str], numbers: Numbers, needle: str, exclude: bool) -> Numbers:
    if isinstance(numbers, range):
        hits = [needle in text for text in texts]
        if exclude:
            hits = [not hit for hit in hits]
        return list(compress(numbers, hits))
    if exclude:
        return [number for number in numbers if needle not in texts[number]]
    return [number for number in numbers if needle in texts[number]]


def row_test(term: Term) -> Callable[[ListRow, Own], bool]:
    """Whether a row meets a condition on what is no plain text; `term.exclude` is not looked at."""
    needle, low, high = term.needle, term.low, term.high
    match term.field:
        case "tag":
            return lambda row, own: needle in row.text.split(PART, 2)[1]
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
