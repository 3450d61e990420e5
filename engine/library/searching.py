"""A search through the library's list, piece by piece: its beginning is found before its end."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct

from engine.library.entry import LibraryEntry
from engine.library.orders import SortOrder
from engine.library.query import Query, Term
from engine.library.terms import Numbers, Sieve

if TYPE_CHECKING:
    from engine.library.search import SearchIndex

PIECE = 2048
"""Rows looked at between two looks at the clock: half a millisecond's work."""


class Wish(NamedTuple):
    """How what is found is to be shown."""

    order: SortOrder = "folders"
    reverse: bool = False
    show_hidden: bool = True
    """Also files that are made for other models."""
    favourites_first: bool = False


class Found(Struct, frozen=True):
    """What a search has found."""

    index: SearchIndex
    numbers: Numbers
    hidden: int = 0
    """How many more there are that are made for other models."""
    problems: tuple[str, ...] = ()
    """What of the query is not understood, in sentences."""
    is_complete: bool = True
    """False while it is the beginning of what there is."""

    @property
    def entries(self) -> list[LibraryEntry]:
        """All of it, read whole, on any thread; a screen asks for those that are seen."""
        return list(map(self.index.read, self.numbers))

    @property
    def usable(self) -> int:
        """How many of it can be drawn with SDXL, as far as is known."""
        return self.index.usable(self.numbers)


class Met(Struct, frozen=True):
    """The rows that meet a condition and those before it, in the order in which they are shown."""

    term: Term
    numbers: Numbers


class Search:
    """What a query finds, in order; what was found before serves where a key only adds to it."""

    def __init__(self, index: SearchIndex, query: Query, wish: Wish) -> None:
        self._index, self._problems, self._wish = index, query.problems, wish
        self._ordering = wish.order, wish.reverse
        self._base: Numbers = index.in_order(*self._ordering)
        self._met: list[Met] = []
        before = index.last_met(self._ordering)
        for term, old in zip(query.terms, before, strict=False):
            if term.narrows(old.term):
                self._base = old.numbers
            if term != old.term:
                break
            self._met.append(old)
        terms = query.terms[len(self._met) :]
        self._sieves: list[tuple[Sieve, list[int]]] = [(index.sieve(term), []) for term in terms]
        self._terms = terms
        self._place = 0
        self._hidden = 0
        self._hides = index.hides_any and not wish.show_hidden
        self._is_complete = False
        # With nothing to look for all are found at once.
        self._shown: Numbers = [] if self._sieves or self._hides else self._base

    def found(self) -> Found:
        """What is found up to now."""
        numbers = self._shown if self._is_complete else self._shown[:]
        return Found(self._index, numbers, self._hidden, self._problems, self._is_complete)

    def finish(self) -> Found:
        """What is found in the end."""
        self.go_on(lambda: False)
        return self.found()

    def go_on(self, is_over: Callable[[], bool]) -> bool:
        """Look further until `is_over()` is true, which is asked now and then; True at the end."""
        if self._is_complete:
            return True
        while (self._sieves or self._hides) and self._place < len(self._base):
            self._take(self._base[self._place : self._place + PIECE])
            self._place += PIECE
            is_last = self._place >= len(self._base)
            # Favourites among the last may be the first of all.
            if not is_last and not self._wish.favourites_first and is_over():
                return False
        lists = [numbers for _, numbers in self._sieves]
        met = (Met(term, numbers) for term, numbers in zip(self._terms, lists, strict=True))
        self._index.keep_met(self._ordering, [*self._met, *met])
        if self._wish.favourites_first:
            self._shown = self._index.favourites_first(self._shown)
        self._is_complete = True
        return True

    def _take(self, piece: Numbers) -> None:
        for sieve, numbers in self._sieves:
            piece = sieve(piece)
            if not piece:
                return
            numbers += piece
        assert isinstance(self._shown, list), "it grows"
        if self._hides:
            seen = self._index.made_for_sdxl(piece)
            self._hidden += len(piece) - len(seen)
            piece = seen
        self._shown += piece
