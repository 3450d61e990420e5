"""Finding LoRA files in folders, with the files beside them; nothing is opened here."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from engine.library.beside import Beside
from engine.words.clean import clean_line

_ENDING = ".safetensors"
_LATEST_NS = 2**63 - 1
"""In the year 2262."""


class FoundFile(NamedTuple):
    """A LoRA file as the folder shows it."""

    path: Path
    root: Path
    size: int
    mtime_ns: int
    inode: int
    sidecars: tuple[tuple[str, Path], ...]
    """Ending and path."""
    previews: tuple[Path, ...]
    """The pictures beside it, the preferred one first."""
    stamp: str = ""
    """Changes when the file, its sidecars or the names of its previews change."""


@dataclass
class Walk:
    """A walk through one library folder, following links, each real folder once.

    It begins at `start` where that is given, a folder in it. Iterating gives the LoRA files folder
    by folder. `unlisted` holds the folders that could not be
    looked into, with the reason as a sentence; their files are neither there nor gone.
    `visited` may be shared by several walks, so that nested library folders give no file twice.
    """

    root: Path
    visited: set[str] = field(default_factory=set)
    unlisted: dict[Path, str] = field(default_factory=dict)
    start: Path | None = None
    below: bool = True
    """Whether the folders below are looked into as well."""
    is_bare: bool = False
    """Set when there is nothing at all where it begins."""

    @property
    def begin(self) -> Path:
        """The folder where it begins."""
        return self.start or self.root

    def __iter__(self) -> Iterator[list[FoundFile]]:
        # Links come last, so that a file reachable both ways keeps its real path.
        folders, links = [self.begin], list[Path]()
        while folders or links:
            folder = folders.pop() if folders else links.pop(0)
            real = os.path.realpath(folder)
            if real in self.visited:
                continue
            self.visited.add(real)
            try:
                with os.scandir(folder) as scan:
                    listed = sorted(scan, key=lambda item: item.name)
            except OSError as error:
                self._note(folder, error)
                continue
            if folder == self.begin:
                self.is_bare = not listed
            visible = [item for item in listed if not item.name.startswith(".")]
            beside = Beside(item.name for item in visible)
            found: list[FoundFile] = []
            below: list[Path] = []
            for item in visible:
                try:
                    if item.is_dir():
                        if self.below:
                            (links if item.is_symlink() else below).append(folder / item.name)
                    elif item.name.lower().endswith(_ENDING):
                        if file := self._look_at(item, folder, beside):
                            found.append(file)
                    elif item.is_symlink():
                        # Perhaps a folder on a drive that is not there now: ask for the reason.
                        item.stat()
                except OSError as error:
                    self._note(folder / item.name, error)
            # The stack is taken from its end: reversed, folders come in the order of their names.
            folders += sorted(below, reverse=True)
            if found:
                yield found

    def _look_at(self, item: os.DirEntry[str], folder: Path, beside: Beside) -> FoundFile | None:
        """The file with its neighbours; None for a pipe or a device of such a name."""
        status = item.stat()
        if not stat.S_ISREG(status.st_mode):
            shown = clean_line(str(folder / item.name))
            self.unlisted[folder / item.name] = f"{shown}: this is a pipe or a device, not a file."
            return None
        sidecars, previews = beside.paths_of(folder, item.name[: -len(_ENDING)])
        stamp = f"{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"
        if sidecars or previews:
            parts = (
                stamp,
                *(preview.name for preview in previews),
                *(_stamp(sidecar) for _, sidecar in sidecars),
            )
            # As text that a database takes, whatever bytes the names have.
            stamp = "|".join(parts).encode(errors="backslashreplace").decode()
        return FoundFile(
            folder / item.name,
            self.root,
            status.st_size,
            mtime_of(status),
            status.st_ino,
            sidecars,
            previews,
            stamp,
        )

    def _note(self, path: Path, error: OSError) -> None:
        shown = clean_line(str(path))
        if isinstance(error, FileNotFoundError) and not path.is_symlink():
            if path == self.root:
                self.unlisted[path] = f"{shown}: there is no such folder; is its drive mounted?"
            # Else it was deleted a moment ago, and is simply gone.
        elif isinstance(error, FileNotFoundError):
            self.unlisted[path] = f"{shown}: this link leads nowhere; is its drive mounted?"
        elif isinstance(error, NotADirectoryError):
            self.unlisted[path] = f"{shown}: this is a file, not a folder."
        else:
            self.unlisted[path] = f"{shown}: cannot be read ({error.strerror})."


def mtime_of(status: os.stat_result) -> int:
    """When a file was changed, in nanoseconds; a time that no index can hold is the last it can.

    Clocks that are wrong write times of the year 2400.
    """
    return max(-_LATEST_NS, min(status.st_mtime_ns, _LATEST_NS))


def _stamp(path: Path) -> str:
    try:
        status = os.stat(path)  # noqa: PTH116 - thousands, and pathlib's takes twice as long
    except OSError:
        return ""
    return f"{path.name}:{status.st_size}:{status.st_mtime_ns}"
