"""Finding LoRA files in folders, with the files beside them; nothing is opened here."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from engine.library.previews import PREVIEW_ENDINGS, by_folded_name, pick_beside
from engine.library.sidecars import SIDECAR_ENDINGS
from engine.library.text import clean_line

_ENDING = ".safetensors"


@dataclass(frozen=True)
class FoundFile:
    """A LoRA file as the folder shows it."""

    path: Path
    root: Path
    size: int
    mtime_ns: int
    inode: int
    sidecars: tuple[tuple[str, Path], ...]
    """Ending and path."""
    preview: Path | None
    stamp: str
    """Changes when the file, its sidecars or the choice of its preview change."""


@dataclass
class Walk:
    """A walk through one library folder, following links, each real folder once.

    Iterating gives the LoRA files folder by folder. `unlisted` holds the folders that could not be
    looked into, with the reason as a sentence; their files are neither there nor gone.
    `visited` may be shared by several walks, so that nested library folders give no file twice.
    """

    root: Path
    visited: set[str] = field(default_factory=set)
    unlisted: dict[Path, str] = field(default_factory=dict)

    def __iter__(self) -> Iterator[list[FoundFile]]:
        # Links come last, so that a file reachable both ways keeps its real path.
        folders, links = [self.root], list[Path]()
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
            visible = [item for item in listed if not item.name.startswith(".")]
            beside = by_folded_name([item.name for item in visible])
            found: list[FoundFile] = []
            for item in visible:
                try:
                    if item.is_dir():
                        (links if item.is_symlink() else folders).append(folder / item.name)
                    elif item.name.lower().endswith(_ENDING):
                        if file := self._look_at(item, folder, beside):
                            found.append(file)
                    elif item.is_symlink():
                        # Perhaps a folder on a drive that is not there now: ask for the reason.
                        item.stat()
                except OSError as error:
                    self._note(folder / item.name, error)
            # The stack is taken from its end: reversed, folders come in the order of their names.
            folders.sort(reverse=True)
            if found:
                yield found

    def _look_at(
        self, item: os.DirEntry[str], folder: Path, beside: dict[str, list[str]]
    ) -> FoundFile | None:
        """The file with its neighbours; None for a pipe or a device of such a name."""
        status = item.stat()
        if not stat.S_ISREG(status.st_mode):
            return None
        stem = item.name[: -len(_ENDING)]
        sidecars = tuple(
            (ending, folder / name)
            for ending in SIDECAR_ENDINGS
            if (name := pick_beside(stem, (ending,), beside))
        )
        preview = pick_beside(stem, PREVIEW_ENDINGS, beside)
        file_stamp = f"{status.st_size}:{status.st_mtime_ns}:{status.st_ino}"
        return FoundFile(
            path=folder / item.name,
            root=self.root,
            size=status.st_size,
            mtime_ns=status.st_mtime_ns,
            inode=status.st_ino,
            sidecars=sidecars,
            preview=folder / preview if preview else None,
            stamp="|".join((file_stamp, preview or "", *(_stamp(path) for _, path in sidecars))),
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


def _stamp(path: Path) -> str:
    try:
        status = path.stat()
    except OSError:
        return ""
    return f"{path.name}:{status.st_size}:{status.st_mtime_ns}"
