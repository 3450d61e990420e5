"""Finding files: what a query finds, in the order in which it is wanted."""

from __future__ import annotations

import random
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cached_property
from typing import Literal

from engine.library.columns import Columns
from engine.library.entry import LibraryEntry
from engine.library.list_row import FITS, OTHER_MODEL, Folder, ListRow, folded, folder_id, list_row
from engine.library.near import near
from engine.library.orders import SortOrder
from engine.library.own import OWN_NOTHING, Own, columns_with_own, entry_with_own
from engine.library.places import Place, root_labels, tree_key
from engine.library.query import Query, Term
from engine.library.searching import Found, Met, Search, Wish
from engine.library.terms import (
    Numbers,
    Sieve,
    Texts,
    is_favourite,
    label_sieve,
    mask_sieve,
    row_sieve,
    tag_sieve,
)

_LARGEST_FIRST: dict[SortOrder, str] = {
    "added": "added_ns",
    "date": "mtime_ns",
    "size": "size",
    "rank": "rank",
}


class SearchIndex:
    """The library's files as a list: folder by folder, each by name, ready for each keystroke.

    It holds what the list needs to sort and to search, and asks for the rest of a file by its id
    when that file is looked at. It never changes; `changed` gives another one.
    """

    def __init__(
        self,
        folders: Mapping[int, Folder],
        by_folder: Mapping[int, Columns],
        entry_of: Callable[[int], LibraryEntry | None],
        own: Mapping[int, Own] | None = None,
    ) -> None:
        """`by_folder` holds the rows of each folder, by name."""
        self._folders, self._entry_of = folders, entry_of
        labels = root_labels({folder.root for folder in folders.values()})
        self._order_of_folders = sorted(by_folder, key=lambda id: tree_key(folders[id], labels))
        self._plain = Columns.joined([by_folder[id] for id in self._order_of_folders])
        self.places: list[Place] = []
        end = 0
        for id in self._order_of_folders:
            start, end = end, end + len(by_folder[id].id)
            self.places.append(Place(folders[id], start, end))
        self._begin(own or {})

    def _begin(self, own: Mapping[int, Own]) -> None:
        """With these words of the user, and nothing found yet."""
        self._own = own
        self._read: dict[int, LibraryEntry] = {}
        self._last: list[Met] = []
        self._last_ordering: tuple[SortOrder, bool] = ("folders", False)
        self._orders: dict[SortOrder, list[int]] = {}
        self._rows = columns_with_own(self._plain, own)
        self._texts = Texts(self._rows.text)
        self._hides_any = OTHER_MODEL in self._rows.fits

    @classmethod
    def of(
        cls, entries: Iterable[LibraryEntry], own: Mapping[int, Own] | None = None
    ) -> SearchIndex:
        """Of entries that are all at hand."""
        folders: dict[int, Folder] = {}
        rows: defaultdict[int, list[ListRow]] = defaultdict(list)
        by_id: dict[int, LibraryEntry] = {}
        for entry in entries:
            id = folder_id(entry.root, entry.folder)
            folders.setdefault(id, Folder(entry.root, entry.folder))
            row = list_row(entry, id)
            if row.id not in by_id:
                rows[id].append(row)
            by_id[row.id] = entry
        by_folder = {id: Columns.of(some) for id, some in rows.items()}
        return cls(folders, by_folder, by_id.get, own)

    def __len__(self) -> int:
        return len(self._rows.id)

    def entry(self, number: int) -> LibraryEntry:
        """All that is known of the file in a row."""
        id = self._rows.id[number]
        if id not in self._read:
            if len(self._read) > _KEPT:
                self._read.clear()
            self._read[id] = self.read(number)
        return self._read[id]

    def read(self, number: int) -> LibraryEntry:
        """The same, read anew and not kept; any thread may ask."""
        id = self._rows.id[number]
        entry = self._entry_of(id) or self._vanished(number)
        return entry_with_own(entry, self._own[id]) if id in self._own else entry

    def usable(self, numbers: Numbers) -> int:
        """How many of some rows can be drawn with SDXL, as far as is known."""
        fits = self._rows.fits
        return sum(fits[number] == FITS for number in numbers)

    def id(self, number: int) -> int:
        """The id of the file in a row; see `file_id`."""
        return self._rows.id[number]

    def number(self, id: int) -> int | None:
        """The row of a file; None when it is not here."""
        return self._rows.place(id)

    def size(self, number: int) -> int:
        """Bytes of the file in a row."""
        return self._rows.size[number]

    def own(self, number: int) -> Own:
        """The user's own words about the file in a row."""
        return self._own.get(self._rows.id[number], OWN_NOTHING)

    def place(self, number: int) -> Place:
        """The folder that a row belongs to."""
        return self.places[bisect_right(self._starts, number) - 1]

    def changed(
        self,
        folders: Mapping[int, Folder] | None = None,
        found: Iterable[ListRow] = (),
        gone: Collection[int] = (),
        missing: Mapping[int, str] | None = None,
    ) -> SearchIndex:
        """The same with other rows: new ones and newer ones, those that are gone or not seen now.

        Takes as long as copying the list, plus the sorting of the folders that changed.
        """
        added: defaultdict[int, list[ListRow]] = defaultdict(list)
        replaced = set(gone)
        for row in found:
            added[row.folder].append(row)
            replaced.add(row.id)
        missing = missing or {}
        touched = replaced | missing.keys()
        by_folder: dict[int, Columns] = {}
        for id, (_, start, end) in zip(self._order_of_folders, self.places, strict=True):
            part = self._plain.part(start, end)
            if id in added or not touched.isdisjoint(part.id):
                kept = (
                    row._replace(missing=missing.get(row.id, row.missing))
                    for row in part.rows(id)
                    if row.id not in replaced
                )
                part = Columns.of((*kept, *added.pop(id, ())))
            if part:
                by_folder[id] = part
        by_folder |= {id: Columns.of(rows) for id, rows in added.items()}
        every = {**self._folders, **(folders or {})}
        return SearchIndex(every, by_folder, self._entry_of, self._own)

    def with_own(self, own: Mapping[int, Own]) -> SearchIndex:
        """The same files with other words of the user."""
        other = SearchIndex.__new__(SearchIndex)
        other._folders, other._entry_of = self._folders, self._entry_of
        other._order_of_folders, other.places = self._order_of_folders, self.places
        other._plain = self._plain
        other._begin(own)
        return other

    # Finding.

    def find(
        self,
        text: str,
        *,
        show_hidden: bool = True,
        order: SortOrder = "folders",
        reverse: bool = False,
        favourites_first: bool = False,
    ) -> Found:
        """What a query in words (see `Query`) finds, in order.

        Files for other models are left out and counted unless `show_hidden` is set.
        """
        return self.search(text, Wish(order, reverse, show_hidden, favourites_first)).finish()

    def search(self, text: str, wish: Wish) -> Search:
        """The same as a search that is still to go on."""
        return Search(self, Query.parse(text), wish)

    def best_named(self, text: str, numbers: Numbers) -> Numbers:
        """Of the first rows of some, those whose name has a query's first plain word best.

        Best is the word itself, then a beginning with it, then the word anywhere.
        """
        words = _plain_words(text)
        best: dict[int, list[int]] = {0: [], 1: [], 2: []}
        for number in numbers[:_LOOKED_AT] if words else ():
            before, word, after = _name_in(self._rows.text[number]).partition(words[0])
            if word:
                best[2 if before else bool(after)].append(number)
        return next(filter(None, best.values()), ())

    def near(self, text: str) -> Found:
        """Files whose names are near to the plain words of a query; the nearest first."""
        words = _plain_words(text)
        if not words:
            return Found(self, ())
        names = [_name_in(text) for text in self._rows.text]
        return Found(self, near(" ".join(words), names))

    def filter(self, text: str) -> list[LibraryEntry]:
        """The entries that a query finds, in their order."""
        return self.find(text).entries

    # What a search needs.

    @property
    def hides_any(self) -> bool:
        """Whether files for other models are among them."""
        return self._hides_any

    def made_for_sdxl(self, numbers: Numbers) -> Numbers:
        """Those of some rows that are not made for other models."""
        fits = self._rows.fits
        return [number for number in numbers if fits[number] != OTHER_MODEL]

    def favourites_first(self, numbers: Numbers) -> Numbers:
        """The same rows, the favourites among them before the others."""
        first = [n for n in numbers if is_favourite(self._rows, n, self.own(n))]
        loved = set(first)
        return [*first, *(n for n in numbers if n not in loved)] if first else numbers

    def last_met(self, ordering: tuple[SortOrder, bool]) -> list[Met]:
        """What the last query found, term by term, in this order: most keys only add to one."""
        return self._last if ordering == self._last_ordering else []

    def keep_met(self, ordering: tuple[SortOrder, bool], met: list[Met]) -> None:
        """Keep what was found, for the next query."""
        self._last_ordering, self._last = ordering, met

    def sieve(self, term: Term) -> Sieve:
        """What finds the rows that meet a condition."""
        match term.field:
            case "text":
                return lambda numbers: self._texts.with_text(numbers, term.needle, term.exclude)
            case "tag":
                return tag_sieve(term, self._texts)
            case "base" | "type":
                name: Literal["base", "family"] = "base" if term.field == "base" else "family"
                return label_sieve(term, getattr(self._rows, name), self._labels[name])
            case "folder":
                return mask_sieve(term, self._in_folders(term.needle))
        return row_sieve(term, self._rows, self._own)

    def prepare(self) -> None:
        """Make ready what the first keys would have to wait for."""
        _ = self._texts.blocks, self._labels, self._starts

    def _in_folders(self, needle: str) -> bytearray:
        """For each row whether its folder's name has a needle."""
        mask = bytearray()
        for folder, start, end in self.places:
            mask += bytes([needle in folded(folder.path)]) * (end - start)
        return mask

    @cached_property
    def _labels(self) -> dict[str, set[str]]:
        """All words for base models and families."""
        return {"base": set(self._rows.base), "family": set(self._rows.family)}

    @cached_property
    def _starts(self) -> list[int]:
        return [place.start for place in self.places]

    # Orders.

    def in_order(self, order: SortOrder, reverse: bool) -> Numbers:
        """All rows in an order; equal ones by name."""
        numbers = range(len(self)) if order == "folders" else self._order(order)
        return numbers[::-1] if reverse else numbers

    def _order(self, order: SortOrder) -> list[int]:
        if order not in self._orders:
            self._orders[order] = self._sorted(order)
        return self._orders[order]

    def _sorted(self, order: SortOrder) -> list[int]:
        if order == "name":
            return sorted(range(len(self)), key=self._rows.sort.__getitem__)
        by_name = list(self._order("name"))
        if order == "random":
            random.Random().shuffle(by_name)
        elif order == "base":
            by_name.sort(key=self._rows.base.__getitem__)
        elif order in ("uses", "last use"):
            uses = [self.own(number) for number in range(len(self))]
            by_name.sort(key=lambda n: -(uses[n].uses if order == "uses" else uses[n].last_use))
        else:
            column = getattr(self._rows, _LARGEST_FIRST[order])
            by_name.sort(key=lambda number: -column[number])
        return by_name

    def _vanished(self, number: int) -> LibraryEntry:
        """What stands for a file whose row of the index has just been taken away."""
        folder, rows = self.place(number).folder, self._rows
        name = _name_in(rows.text[number])
        path = folder.root / folder.path / f"{name}.safetensors"
        reason = f"{name}: the index knows it no more; R reads the library again."
        size, mtime_ns = rows.size[number], rows.mtime_ns[number]
        return LibraryEntry(path, folder.root, size, mtime_ns, 0, error=reason)


_KEPT = 500
"""Entries kept whole: more than any screen shows."""
_LOOKED_AT = 256
"""Names compared with a word at each key: a fifth of a millisecond's work."""


def filter_entries(
    entries: Iterable[LibraryEntry], text: str, own: Mapping[int, Own] | None = None
) -> list[LibraryEntry]:
    """Filter once; for repeated filtering keep a `SearchIndex`."""
    return SearchIndex.of(entries, own).filter(text)


def sort_entries(
    entries: Iterable[LibraryEntry], order: SortOrder = "name", *, reverse: bool = False
) -> list[LibraryEntry]:
    """Sort by natural name (`v2` before `v10`), or in another order, largest and newest first.

    `reverse` turns the order round. Equal ones go by name.
    """
    return SearchIndex.of(entries).find("", order=order, reverse=reverse).entries


def _plain_words(text: str) -> list[str]:
    """What a query looks for in names, among others."""
    terms = Query.parse(text).terms
    return [t.needle for t in terms if t.field == "text" and t.needle and not t.exclude]


def _name_in(text: str) -> str:
    """The file's name, which its searched text begins with."""
    return text.partition("\n")[0].rpartition("/")[2]
