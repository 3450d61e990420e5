"""The library as rows: folders that open and close, LoRAs within them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, overload

from engine.library.entry import LibraryEntry
from engine.library.own import Own
from engine.library.places import root_labels
from engine.library.search import SearchIndex
from engine.library.searching import Found
from engine.library.terms import Numbers


class FolderRow(NamedTuple):
    """A folder with the number of LoRAs below it."""

    key: str
    name: str
    depth: int
    loras: int
    is_open: bool


@dataclass(frozen=True)
class LoraRow:
    """A LoRA file; `folder` is named where the list is flat."""

    id: int
    """The file's, in every list of the library."""
    entry: LibraryEntry
    own: Own
    """The user's own words about it."""
    depth: int
    folder: str = ""


Row = FolderRow | LoraRow


class _Run(NamedTuple):
    """LoRAs one below the other, by their numbers in the library's list."""

    numbers: Numbers
    depth: int


class Rows(Sequence[Row]):
    """All rows of the list; those of LoRAs are made when they are asked for.

    Of thousands a screen shows some tens, and each keystroke of the filter asks for new ones.
    """

    def __init__(self, index: SearchIndex, is_flat: bool = False) -> None:
        self._index, self._is_flat = index, is_flat
        self._parts: list[FolderRow | _Run] = []
        self._starts: list[int] = []
        self._length = 0

    def add_folder(self, row: FolderRow) -> None:
        """Append a folder."""
        self._add(row, 1)

    def add_loras(self, numbers: Numbers, depth: int) -> None:
        """Append LoRAs, by their numbers in the library's list."""
        if numbers:
            self._add(_Run(numbers, depth), len(numbers))

    def __len__(self) -> int:
        return self._length

    @overload
    def __getitem__(self, number: int) -> Row: ...

    @overload
    def __getitem__(self, number: slice) -> list[Row]: ...

    def __getitem__(self, number: int | slice) -> Row | list[Row]:
        if isinstance(number, slice):
            return [self[i] for i in range(*number.indices(self._length))]
        number += self._length if number < 0 else 0
        if not 0 <= number < self._length:
            raise IndexError(number)
        place = bisect_right(self._starts, number) - 1
        part = self._parts[place]
        if isinstance(part, FolderRow):
            return part
        return self._lora(part.numbers[number - self._starts[place]], part.depth)

    def entry(self, id: int) -> LibraryEntry | None:
        """The file of an id, whether its row is seen or not; None when it is gone."""
        number = self._index.number(id)
        return None if number is None else self._index.entry(number)

    def first_lora(self) -> int:
        """Where the first LoRA stands; 0 where there is none."""
        runs = (n for n, p in zip(self._starts, self._parts, strict=True) if isinstance(p, _Run))
        return next(runs, 0)

    def find(self, wanted: Row) -> int | None:
        """Where the same folder or file stands; None where it does not."""
        if isinstance(wanted, LoraRow):
            return self.find_file(wanted.id)
        for start, part in zip(self._starts, self._parts, strict=True):
            if isinstance(part, FolderRow) and part.key == wanted.key:
                return start
        return None

    def find_file(self, id: int) -> int | None:
        """Where a file stands; None where it does not."""
        number = self._index.number(id)
        if number is None:
            return None
        for start, part in zip(self._starts, self._parts, strict=True):
            if isinstance(part, FolderRow):
                continue
            if (place := self._place_of(number, part.numbers)) is not None:
                return start + place
        return None

    def _place_of(self, number: int, numbers: Numbers) -> int | None:
        if self._is_flat:
            return numbers.index(number) if number in numbers else None
        place = bisect_left(numbers, number)
        return place if place < len(numbers) and numbers[place] == number else None

    def _lora(self, number: int, depth: int) -> LoraRow:
        index, folder = self._index, ""
        if self._is_flat:
            folder = index.place(number).folder.path
        return LoraRow(index.id(number), index.entry(number), index.own(number), depth, folder)

    def _add(self, part: FolderRow | _Run, length: int) -> None:
        self._parts.append(part)
        self._starts.append(self._length)
        self._length += length


@dataclass
class _Folder:
    name: str
    key: str
    folders: dict[str, _Folder] = field(default_factory=dict)
    places: list[int] = field(default_factory=list)
    """Of its own files; two where folders of other bytes look the same."""

    def below(self, names: Sequence[str]) -> _Folder:
        """The folder at the end of a way through others, made where it is not there yet."""
        folder = self
        for name in names:
            if name not in folder.folders:
                folder.folders[name] = _Folder(name, f"{folder.key}/{name}")
            folder = folder.folders[name]
        return folder


class Tree:
    """The folders of a library, for all that is looked for in it.

    Library folders themselves are rows only when there are several.
    """

    def __init__(self, index: SearchIndex) -> None:
        self._index = index
        labels = root_labels({place.folder.root for place in index.places})
        self._top = _Folder("", "")
        for number, (folder, _, _) in enumerate(index.places):
            names = folder.path.split("/") if folder.path else []
            names = [labels[folder.root], *names] if len(labels) > 1 else names
            self._top.below(names).places.append(number)

    def rows(self, numbers: Numbers, is_open: Callable[[str, int], bool]) -> Rows:
        """Rows for what was found, in the order of the folders.

        `is_open(key, count)` says whether a folder is unfolded.
        """
        # Thousands of LoRAs lie in hundreds of folders, which follow one another as here.
        parts: list[Numbers] = []
        start = 0
        for place in self._index.places:
            end = bisect_left(numbers, place.end, start)
            parts.append(numbers[start:end] if end > start else ())
            start = end
        rows = Rows(self._index)
        _append(rows, self._top, 0, parts, is_open)
        return rows


def _append(
    rows: Rows,
    folder: _Folder,
    depth: int,
    parts: Sequence[Numbers],
    is_open: Callable[[str, int], bool],
) -> None:
    for child in folder.folders.values():
        if count := _count(child, parts):
            unfolded = is_open(child.key, count)
            rows.add_folder(FolderRow(child.key, child.name, depth, count, unfolded))
            if unfolded:
                _append(rows, child, depth + 1, parts, is_open)
    for place in folder.places:
        rows.add_loras(parts[place], depth)


def _count(folder: _Folder, parts: Sequence[Numbers]) -> int:
    """LoRAs in it and below."""
    count = sum([_count(child, parts) for child in folder.folders.values()])
    for place in folder.places:
        count += len(parts[place])
    return count


def flat_rows(found: Found) -> Rows:
    """Rows without folders, each LoRA naming its own."""
    rows = Rows(found.index, is_flat=True)
    rows.add_loras(found.numbers, 0)
    return rows
