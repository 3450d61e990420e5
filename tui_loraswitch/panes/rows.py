"""The library as rows: folders that open and close, LoRAs within them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from engine.library.entry import LibraryEntry
from engine.library.search import natural_key


@dataclass(frozen=True)
class FolderRow:
    """A folder with the number of LoRAs below it."""

    key: str
    name: str
    depth: int
    count: int
    is_open: bool


class LoraRow(NamedTuple):
    """A LoRA file; `folder` is named where the list is flat."""

    entry: LibraryEntry
    depth: int
    folder: str = ""


Row = FolderRow | LoraRow


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


def build_rows(entries: Sequence[LibraryEntry], is_open: Callable[[str, int], bool]) -> list[Row]:
    """Rows for entries already sorted; `is_open(key, count)` says whether a folder is unfolded.

    Library folders themselves are rows only when there are several.
    """
    top = _Folder("", "")
    several = len({entry.root for entry in entries}) > 1
    # Thousands of LoRAs lie in tens of folders: the way to each is gone once.
    found: dict[tuple[Path, str], _Folder] = {}
    for entry in entries:
        place = entry.root, entry.folder
        folder = found.get(place)
        if folder is None:
            names = entry.folder.split("/") if entry.folder else []
            folder = top.below((entry.root.name, *names) if several else names)
            found[place] = folder
        folder.entries.append(entry)
    rows: list[Row] = []
    _append(rows, top, 0, is_open)
    return rows


def _append(
    rows: list[Row], folder: _Folder, depth: int, is_open: Callable[[str, int], bool]
) -> None:
    for child in sorted(folder.folders.values(), key=lambda child: natural_key(child.name)):
        unfolded = is_open(child.key, child.count)
        rows.append(FolderRow(child.key, child.name, depth, child.count, unfolded))
        if unfolded:
            _append(rows, child, depth + 1, is_open)
    rows.extend(LoraRow(entry, depth) for entry in folder.entries)


def flat_rows(entries: Sequence[LibraryEntry]) -> list[Row]:
    """Rows without folders, each LoRA naming its own."""
    return [LoraRow(entry, 0, entry.folder) for entry in entries]
