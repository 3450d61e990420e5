"""Finding entries: a query of plain words, and the orders of a list."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import compress
from operator import and_
from typing import Literal, TypeVar, get_args

from engine.library.entry import LibraryEntry

_T = TypeVar("_T")
Field = Literal["text", "tag", "base", "folder"]
SortOrder = Literal["name", "date", "size"]

_TERM = re.compile(r'(-?)(?:(tag|base|folder):)?(?:"([^"]*)"?|(\S*))', re.IGNORECASE)


@dataclass(frozen=True)
class Term:
    """One condition: `needle` occurs in a field of the entry, or with `exclude` does not."""

    field: Field
    needle: str
    exclude: bool = False


@dataclass(frozen=True)
class Query:
    """Conditions that must all hold; none holds for every entry.

    `neon night` both occur in path, title or trigger words; `-x` excludes; `"two words"` belong
    together; `tag:` looks at the training tags, `base:` at the base model (`base:sdxl`,
    `base:pony`, `base:unknown`), `folder:` at the folder. Letter case does not matter.
    """

    terms: tuple[Term, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Query:
        """Read a query; unfinished typing (a lone `-`, `tag:`, an open quote) asks for nothing."""
        terms = []
        for minus, name, quoted, bare in _TERM.findall(text):
            field: Field = name.lower() or "text"
            needle = _folded(quoted or bare)
            if field == "base":
                needle = needle.replace(" ", "")
            if needle:
                terms.append(Term(field, needle, bool(minus)))
        return cls(tuple(terms))

    def matches(self, entry: LibraryEntry) -> bool:
        """True when the entry meets every condition."""
        haystacks = _haystacks(entry)
        return all(
            (term.needle in haystacks[term.field]) is not term.exclude for term in self.terms
        )


def _haystacks(entry: LibraryEntry) -> dict[Field, str]:
    """An entry's searched texts, case-folded once: that is what makes each keystroke cheap."""
    words = (word for trigger in entry.trigger_words for word in trigger.words)
    return {
        "text": _folded("\n".join((entry.key, entry.title, *words))),
        "tag": _folded("\n".join(tag for tag, _ in entry.tags)),
        "base": _folded(entry.base_label or "unknown").replace(" ", ""),
        "folder": _folded(entry.folder),
    }


@dataclass(frozen=True)
class Found:
    """What a search has found."""

    entries: list[LibraryEntry]
    places: list[str]
    """The `place` of each entry."""
    hidden: int
    """How many more there are that are made for other models."""


class SearchIndex:
    """Entries in their order, ready to be filtered at each keystroke.

    Making one of 10,000 entries takes some hundred milliseconds: do it beside the screen.
    """

    def __init__(self, entries: Iterable[LibraryEntry]) -> None:
        self.entries = tuple(entries)
        haystacks = [_haystacks(entry) for entry in self.entries]
        # By columns: to look at each of ten thousand entries takes ten times as long.
        self._columns: dict[Field, list[str]] = {
            field: [texts[field] for texts in haystacks] for field in get_args(Field)
        }
        self._places = [entry.place for entry in self.entries]
        self._fits = [entry.fits_sdxl or bool(entry.error) for entry in self.entries]

    @classmethod
    def by_name(cls, entries: Iterable[LibraryEntry]) -> SearchIndex:
        """Sort by natural name first."""
        return cls(sort_entries(entries))

    def reordered(self, order: SortOrder) -> SearchIndex:
        """The same in another order, quickly; this one must be by name."""
        if order == "name":
            return self
        keys = [_largest_first(entry, order) for entry in self.entries]
        numbers = sorted(range(len(keys)), key=keys.__getitem__)
        index = SearchIndex(())
        index.entries = tuple(_picked(self.entries, numbers))
        index._columns = {name: _picked(texts, numbers) for name, texts in self._columns.items()}
        index._places = _picked(self._places, numbers)
        index._fits = _picked(self._fits, numbers)
        return index

    def find(self, text: str, *, show_hidden: bool = True) -> Found:
        """What a query in words (see `Query`) finds, in order.

        Files for other models are left out and counted unless `show_hidden` is set.
        """
        found = [True] * len(self.entries)
        # Term by term: over ten thousand entries, a call for each would be what takes the time.
        for term in Query.parse(text).terms:
            needle, column = term.needle, self._columns[term.field]
            if term.exclude:
                hits = [needle not in text for text in column]
            else:
                hits = [needle in text for text in column]
            found = list(map(and_, found, hits))
        shown = found if show_hidden else list(map(and_, found, self._fits))
        return Found(
            list(compress(self.entries, shown)),
            list(compress(self._places, shown)),
            sum(found) - sum(shown),
        )

    def filter(self, text: str) -> list[LibraryEntry]:
        """The entries that a query finds, in their order."""
        return self.find(text).entries


def filter_entries(entries: Iterable[LibraryEntry], text: str) -> list[LibraryEntry]:
    """Filter once; for repeated filtering keep a `SearchIndex`."""
    return SearchIndex(entries).filter(text)


def sort_entries(
    entries: Iterable[LibraryEntry], order: SortOrder = "name", *, reverse: bool = False
) -> list[LibraryEntry]:
    """Sort by natural name (`v2` before `v10`), or by date or size with the largest first.

    `reverse` turns the order round. Equal ones go by name.
    """
    by_name: Sequence[LibraryEntry] = sorted(entries, key=_natural_name)
    ordered = list(by_name)
    if order != "name":
        ordered.sort(key=lambda entry: _largest_first(entry, order))
    return ordered[::-1] if reverse else ordered


def _picked(values: Sequence[_T], numbers: Sequence[int]) -> list[_T]:
    return [values[number] for number in numbers]


def _largest_first(entry: LibraryEntry, order: SortOrder) -> int:
    return -(entry.mtime_ns if order == "date" else entry.size)


@lru_cache(maxsize=65_536)
def natural_key(text: str) -> str:
    """A sort key that orders runs of digits by their value and letters without regard to case.

    A string, since a sort compares them without ever letting another thread run.
    """
    return "".join(_natural_part(part) for part in re.split(r"([0-9]+)", _folded(text)) if part)


def _natural_part(part: str) -> str:
    """Digits before letters; a part that ends before those that go on."""
    if not "0" <= part[0] <= "9":
        return f"\x02{part}\x00"
    # By length, then by digits: the order of the values, with no bound on their size.
    number = part.lstrip("0")
    return f"\x01{chr(len(number))}{number}\x00"


def _natural_name(entry: LibraryEntry) -> tuple[object, ...]:
    return natural_key(entry.name), natural_key(entry.folder), entry.key


def _folded(text: str) -> str:
    # NFKC: macOS stores é as e and an accent, keyboards type it as one letter.
    return (text if text.isascii() else unicodedata.normalize("NFKC", text)).casefold()
