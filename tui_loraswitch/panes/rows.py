"""The library as rows: folders that open and close, LoRAs within them."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import overload

from engine.library.entry import LibraryEntry
from engine.library.search import Found, natural_key


@dataclass(frozen=True)
class FolderRow:
    """A folder with the number of LoRAs below it."""

    key: str
    name: str
    depth: int
    count: int
    is_open: bool


@dataclass(frozen=True)
class LoraRow:
    """A LoRA file; `folder` is named where the list is flat."""

    entry: LibraryEntry
    depth: int
    folder: str = ""


Row = FolderRow | LoraRow


@dataclass(frozen=True)
class _Run:
    """LoRAs one below the other."""

    entries: Sequence[LibraryEntry]
    depth: int
    is_flat: bool

    def row(self, number: int) -> LoraRow:
        entry = self.entries[number]
        return LoraRow(entry, self.depth, entry.folder if self.is_flat else "")


class Rows(Sequence[Row]):
    """All rows of the list; those of LoRAs are made when they are asked for.

    Of thousands a screen shows some tens, and each keystroke of the filter asks for new ones.
    """

    def __init__(self) -> None:
        self._parts: list[FolderRow | _Run] = []
        self._starts: list[int] = []
        self._length = 0

    def add_folder(self, row: FolderRow) -> None:
        """Append a folder."""
        self._add(row, 1)

    def add_loras(self, entries: Sequence[LibraryEntry], depth: int, *, is_flat: bool) -> None:
        """Append LoRAs, which name their folders where the list `is_flat`."""
        if entries:
            self._add(_Run(entries, depth, is_flat), len(entries))

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
        return part if isinstance(part, FolderRow) else part.row(number - self._starts[place])

    def first_lora(self) -> int:
        """Where the first LoRA stands; 0 where there is none."""
        runs = (n for n, p in zip(self._starts, self._parts, strict=True) if isinstance(p, _Run))
        return next(runs, 0)

    def find(self, wanted: Row) -> int | None:
        """Where the same folder or file stands; None where it does not."""
        for start, part in zip(self._starts, self._parts, strict=True):
            if isinstance(part, FolderRow):
                if isinstance(wanted, FolderRow) and part.key == wanted.key:
                    return start
            elif isinstance(wanted, LoraRow):
                place = _place_of(wanted.entry, part.entries)
                if place is not None:
                    return start + place
        return None

    def _add(self, part: FolderRow | _Run, length: int) -> None:
        self._parts.append(part)
        self._starts.append(self._length)
        self._length += length


def _place_of(wanted: LibraryEntry, entries: Sequence[LibraryEntry]) -> int | None:
    # Mostly it is the very same one, and that can be told without looking into each.
    same_objects = list(map(id, entries))
    if id(wanted) in same_objects:
        return same_objects.index(id(wanted))
    key, path = wanted.key, wanted.path
    # Keys are compared first: paths take ten times as long.
    same = (n for n, entry in enumerate(entries) if entry.key == key and entry.path == path)
    return next(same, None)


@dataclass
class _Folder:
    name: str
    key: str
    folders: dict[str, _Folder] = field(default_factory=dict)
    entries: list[LibraryEntry] = field(default_factory=list)

    @property
    def count(self) -> int:
        """LoRAs in it and below."""
        return len(self.entries) + sum(folder.count for folder in self.folders.values())

    def below(self, names: Sequence[str]) -> _Folder:
        """The folder at the end of a way through others, made where it is not there yet."""
        folder = self
        for name in names:
            if name not in folder.folders:
                folder.folders[name] = _Folder(name, f"{folder.key}/{name}")
            folder = folder.folders[name]
        return folder


def build_rows(found: Found, is_open: Callable[[str, int], bool]) -> Rows:
    """Rows for what was found; `is_open(key, count)` says whether a folder is unfolded.

    Library folders themselves are rows only when there are several.
    """
    # Thousands of LoRAs lie in tens of folders: whatever can be is done once for each folder.
    groups = defaultdict[str, list[LibraryEntry]](list)
    for entry, place in zip(found.entries, found.places, strict=True):
        groups[place].append(entry)
    several = len({group[0].root for group in groups.values()}) > 1
    top, mixed = _Folder("", ""), list[_Folder]()
    for group in groups.values():
        first = group[0]
        names = first.folder.split("/") if first.folder else []
        folder = top.below((first.root.name, *names) if several else names)
        if folder.entries:
            mixed.append(folder)
        folder.entries.extend(group)
    # Library folders of one name are one row, with the LoRAs of both in their order.
    for folder in mixed:
        together = {id(entry) for entry in folder.entries}
        folder.entries = [entry for entry in found.entries if id(entry) in together]
    rows = Rows()
    _append(rows, top, 0, is_open)
    return rows


def _append(rows: Rows, folder: _Folder, depth: int, is_open: Callable[[str, int], bool]) -> None:
    for child in sorted(folder.folders.values(), key=lambda child: natural_key(child.name)):
        unfolded = is_open(child.key, child.count)
        rows.add_folder(FolderRow(child.key, child.name, depth, child.count, unfolded))
        if unfolded:
            _append(rows, child, depth + 1, is_open)
    rows.add_loras(folder.entries, depth, is_flat=False)


def flat_rows(entries: Sequence[LibraryEntry]) -> Rows:
    """Rows without folders, each LoRA naming its own."""
    rows = Rows()
    rows.add_loras(entries, 0, is_flat=True)
    return rows
