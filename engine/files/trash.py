"""Put files into the user's trash, and take them back.

Linux: the Trash specification of freedesktop.org, in the home folder, or on a drive of its own in
that drive's `.Trash-UID`. macOS: `~/.Trash`.
"""

from __future__ import annotations

import os
import sys
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from engine.errors import EngineError
from engine.files.regular_file import printable
from engine.files.saving import in_words


@dataclass(frozen=True)
class Trashed:
    """A file in the trash."""

    original: Path
    kept: Path
    info: Path | None
    """The file that says where it was."""

    def restore(self) -> Path:
        """Put it back where it was. Raises `EngineError` where another file is there by now."""
        try:
            # A link never replaces a file, as a renaming would.
            os.link(self.kept, self.original)
        except FileExistsError as error:
            raise EngineError(f"{printable(self.original)}: another file is there now.") from error
        except OSError:
            self._move_back()
        else:
            # It is back: what cannot be removed from the trash does no harm there.
            with suppress(OSError):
                self.kept.unlink()
        if self.info is not None:
            with suppress(OSError):
                self.info.unlink()
        return self.original

    def _move_back(self) -> None:
        """The same on file systems without hard links."""
        if self.original.exists():
            raise EngineError(f"{printable(self.original)}: another file is there now.")
        try:
            self.original.parent.mkdir(parents=True, exist_ok=True)
            self.kept.rename(self.original)
        except OSError as error:
            raise EngineError(
                f"{printable(self.original)}: cannot be put back ({in_words(error)}); it is "
                f"{printable(self.kept)}."
            ) from error


def to_trash(path: Path) -> Trashed:
    """Move a file into the trash. Raises `EngineError` with the reason where that cannot be."""
    try:
        return _move(path, _trash_of(path))
    except OSError as error:
        raise EngineError(
            f"{printable(path)}: cannot be put into the trash ({in_words(error)})."
        ) from error


def _move(path: Path, trash: Path) -> Trashed:
    if sys.platform == "darwin":
        return Trashed(path, _renamed(path, trash), None)
    files, notes = trash / "files", trash / "info"
    for folder in (files, notes):
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    written = quote(os.fsencode(path.absolute()))
    date = time.strftime("%Y-%m-%dT%H:%M:%S")
    text = f"[Trash Info]\nPath={written}\nDeletionDate={date}\n"
    number = 1
    while True:
        name = path.name if number == 1 else f"{path.stem}.{number}{path.suffix}"
        info = notes / f"{name}.trashinfo"
        try:
            # Whoever makes this file has the name.
            with info.open("x") as file:
                file.write(text)
            break
        except FileExistsError:
            number += 1
    try:
        path.rename(files / name)
    except OSError:
        info.unlink()
        raise
    return Trashed(path.absolute(), files / name, info)


def _renamed(path: Path, trash: Path) -> Path:
    trash.mkdir(mode=0o700, parents=True, exist_ok=True)
    kept, number = trash / path.name, 1
    while kept.exists():
        number += 1
        kept = trash / f"{path.stem} {number}{path.suffix}"
    return path.rename(kept)


def _trash_of(path: Path) -> Path:
    """The trash on the same drive."""
    if sys.platform == "darwin":
        return Path.home() / ".Trash"
    base = os.environ.get("XDG_DATA_HOME", "")
    home = (Path(base) if base.startswith("/") else Path.home() / ".local/share") / "Trash"
    device = path.lstat().st_dev
    nearest = home
    while not nearest.exists():
        nearest = nearest.parent
    if nearest.stat().st_dev == device:
        return home
    top = path.absolute().parent
    while top.parent != top and top.parent.stat().st_dev == device:
        top = top.parent
    return top / f".Trash-{os.getuid()}"
