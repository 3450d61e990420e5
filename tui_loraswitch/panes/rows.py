"""The library as rows: folders that open and close, LoRAs within them."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import NamedTuple, overload

from msgspec import Struct, field

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


class LoraRow(Struct, frozen=True):
    """A LoRA file; `folder` is named where the list is flat."""

    id: int
    """The file's, in every list of the library."""
    entry: LibraryEntry
    own: Own
    """The user's own words about it."""
    depth: int
    folder: str = ""


Row = FolderRow | LoraRow


class Run(NamedTuple):
    """LoRAs one below the other, by their numbers in the library's list."""

    numbers: Numbers
    depth: int


class Rows(Sequence[Row]):
    """All rows of the list; those of LoRAs are made when they are asked for.

    Of thousands a screen shows some tens, and each keystroke of the filter asks for new ones.
    """

    def __init__(
        self, index: SearchIndex, parts: Sequence[FolderRow | Run] = (), is_flat: bool = False
    ) -> None:
        self._index, self._parts, self._is_flat = index, parts, is_flat
        lengths = (1 if isinstance(part, FolderRow) else len(part.numbers) for part in parts)
        *self._starts, self._length = accumulate(lengths, initial=0)

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
        runs = (n for n, p in zip(self._starts, self._parts, strict=True) if isinstance(p, Run))
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


class _Folder(Struct):
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


class _Step(Struct):
    """A folder, or the files that lie in it itself, on the way through the whole tree."""

    depth: int
    folder: _Folder | None = None
    place: int | None = None
    """Of the files."""
    after: int = 0
    """The step after all that lies in the folder."""


class Tree:
    """The folders of a library, for all that is looked for in it.

    Library folders themselves are rows only when there are several.
    """

    def __init__(self, index: SearchIndex) -> None:
        self._index = index
        labels = root_labels({place.folder.root for place in index.places})
        top = _Folder("", "")
        for number, (folder, _, _) in enumerate(index.places):
            names = folder.path.split("/") if folder.path else []
            names = [labels[folder.root], *names] if len(labels) > 1 else names
            top.below(names).places.append(number)
        self._steps = _steps(top)

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
        steps = self._steps
        sizes = (0 if step.place is None else len(parts[step.place]) for step in steps)
        before = list(accumulate(sizes, initial=0))
        rows: list[FolderRow | Run] = []
        number = 0
        while number < len(steps):
            step = steps[number]
            number += 1
            if step.place is not None:
                if own := parts[step.place]:
                    rows.append(Run(own, step.depth))
            elif (folder := step.folder) is not None:
                count = before[step.after] - before[number]
                is_unfolded = count > 0 and is_open(folder.key, count)
                if count:
                    key, name = folder.key, folder.name
                    rows.append(FolderRow(key, name, step.depth, count, is_unfolded))
                if not is_unfolded:
                    number = step.after
        return Rows(self._index, rows)


def _steps(top: _Folder) -> list[_Step]:
    """The way through a tree: of each folder those within it, then its own files."""
    steps: list[_Step] = []
    to_do = [(top, _Step(-1), False)]
    while to_do:
        folder, step, is_through = to_do.pop()
        depth = step.depth + 1
        if is_through:
            steps += [_Step(depth, place=place) for place in folder.places]
            step.after = len(steps)
            continue
        if folder is not top:
            steps.append(step)
        to_do.append((folder, step, True))
        children = reversed(folder.folders.values())
        to_do += [(child, _Step(depth, child), False) for child in children]
    return steps


def flat_rows(found: Found) -> Rows:
    """Rows without folders, each LoRA naming its own."""
    return Rows(found.index, [Run(found.numbers, 0)] if found.numbers else [], is_flat=True)
