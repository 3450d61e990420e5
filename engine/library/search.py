"""Finding entries: a query of plain words, and the orders of a list."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from operator import attrgetter
from typing import Literal

from engine.library.entry import LibraryEntry

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
        haystacks = _Haystacks.of(entry)
        return all(
            (term.needle in getattr(haystacks, term.field)) is not term.exclude
            for term in self.terms
        )


@dataclass(frozen=True, slots=True)
class _Haystacks:
    """An entry's searched texts, case-folded once: that is what makes each keystroke cheap."""

    text: str
    tag: str
    base: str
    folder: str

    @classmethod
    def of(cls, entry: LibraryEntry) -> _Haystacks:
        words = (word for trigger in entry.trigger_words for word in trigger.words)
        return cls(
            text=_folded("\n".join((entry.key, entry.title, *words))),
            tag=_folded("\n".join(tag for tag, _ in entry.tags)),
            base=_folded(entry.base_label or "unknown").replace(" ", ""),
            folder=_folded(entry.folder),
        )


class SearchIndex:
    """Entries in their order, ready to be filtered at each keystroke.

    Making one of 10,000 entries takes some hundred milliseconds: do it beside the screen.
    """

    def __init__(self, entries: Iterable[LibraryEntry]) -> None:
        self.entries = tuple(entries)
        self._haystacks = [_Haystacks.of(entry) for entry in self.entries]

    @classmethod
    def by_name(cls, entries: Iterable[LibraryEntry]) -> SearchIndex:
        """Sort by natural name first, and work out what lists ask of every entry."""
        index = cls(sort_entries(entries))
        for entry in index.entries:
            _ = entry.place, entry.fits_sdxl
        return index

    def reordered(self, order: SortOrder) -> SearchIndex:
        """The same in another order, quickly; this one must be by name."""
        if order == "name":
            return self
        pairs = zip(self.entries, self._haystacks, strict=True)
        ordered = sorted(pairs, key=lambda pair: _largest_first(pair[0], order))
        index = SearchIndex(())
        index.entries = tuple(entry for entry, _ in ordered)
        index._haystacks = [haystacks for _, haystacks in ordered]
        return index

    def filter(self, text: str) -> list[LibraryEntry]:
        """The entries that a query in words (see `Query`) finds, in their order."""
        pairs = list(zip(self.entries, self._haystacks, strict=True))
        # Term by term: over ten thousand entries, a call for each would be what takes the time.
        for term in Query.parse(text).terms:
            searched, needle = attrgetter(term.field), term.needle
            if term.exclude:
                pairs = [pair for pair in pairs if needle not in searched(pair[1])]
            else:
                pairs = [pair for pair in pairs if needle in searched(pair[1])]
        return [entry for entry, _ in pairs]


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
