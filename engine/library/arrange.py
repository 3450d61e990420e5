"""Renaming, moving and deleting LoRA files, with all that lies beside them; each can be undone.

A deleted file is first set aside, in a hidden folder on its own file system, where a rename brings
it: at once, whatever its size. Only `empty` gives it to the system's trash. Each deletion has a
folder of its own there, which says whose it is: no other process throws away what this one may
still bring back.
"""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from engine.errors import EngineError
from engine.files.regular_file import printable
from engine.files.saving import in_words
from engine.library.previews import by_folded_name
from engine.library.walk import look_beside

ASIDE = ".loraswitch-aside"
"""The hidden folder, beside the files that were in it."""
_ENDING = ".safetensors"


class ArrangeError(EngineError):
    """A file cannot be renamed, moved or deleted; the text says why."""


@dataclass(frozen=True)
class Moved:
    """Files that have other names now, so that they can have their old ones again."""

    pairs: tuple[tuple[Path, Path], ...]
    """From where to where, the LoRA itself last."""

    @property
    def lora(self) -> Path:
        """Where the LoRA is now."""
        return self.pairs[-1][1]

    def undo(self) -> Moved:
        """Give all of them their old names. Raises `ArrangeError`, and then nothing has changed."""
        back = _move_all([(new, old) for old, new in self.pairs])
        for folder in {new.parent for _, new in self.pairs if new.parent.parent.name == ASIDE}:
            _remove_if_empty(folder)
            _remove_if_empty(folder.parent)
        return back


def companions(lora: Path) -> list[Path]:
    """The sidecars and previews of a LoRA, by the names in its folder."""
    try:
        names = by_folded_name(os.listdir(lora.parent))  # noqa: PTH208 - names are wanted
    except OSError as error:
        raise _refused(lora, error) from error
    sidecars, previews = look_beside(lora.parent, lora.name[: -len(_ENDING)], names)
    return list(dict.fromkeys((*(path for _, path in sidecars), *previews)))


def rename(lora: Path, target: Path) -> Moved:
    """Give a LoRA another name or place, and what lies beside it the same.

    A folder that is not there yet is made. Raises `ArrangeError` where a name is taken or a file
    cannot be moved; then nothing has changed.
    """
    stem, new_stem = lora.name[: -len(_ENDING)], target.name.removesuffix(_ENDING)
    if not new_stem or new_stem.startswith(".") or "\0" in str(target):
        raise ArrangeError(f"“{printable(target.name)}” is no name for a LoRA file.")
    endings = [(path, path.name[len(stem) :]) for path in companions(lora)]
    pairs = [(path, target.with_name(new_stem + ending)) for path, ending in endings]
    pairs.append((lora, target.with_name(new_stem + lora.name[len(stem) :])))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(target.parent, error) from error
    return _move_all(pairs)


def set_aside(lora: Path) -> Moved:
    """Take a LoRA and what lies beside it out of the library. Raises `ArrangeError`."""
    aside = lora.parent / ASIDE
    found = [*companions(lora), lora]
    try:
        aside.mkdir(exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=aside))
    except OSError as error:
        raise _refused(lora, error) from error
    try:
        return _move_all([(path, folder / path.name) for path in found])
    except ArrangeError:
        _remove_if_empty(folder)
        _remove_if_empty(aside)
        raise


def empty(asides: Iterable[Path], owned: bool) -> list[str]:
    """Give what was set aside to the system's trash; what cannot be is said.

    `asides` are the hidden folders. It is either what this process has set aside (`owned`), or what
    processes have that are gone.
    """
    from send2trash import send2trash
    from send2trash.exceptions import TrashPermissionError

    problems = []
    for aside in asides:
        folders = sorted(aside.iterdir()) if aside.is_dir() else []
        for folder in (one for one in folders if _may_empty(one, owned)):
            for path in sorted(folder.iterdir()):
                try:
                    send2trash(path)
                except (OSError, TrashPermissionError) as error:
                    problems.append(f"{printable(path)}: stays set aside ({error}).")
            _remove_if_empty(folder)
        _remove_if_empty(aside)
    return problems


def _may_empty(folder: Path, owned: bool) -> bool:
    owner = folder.name.partition("-")[0]
    if not owner.isdecimal() or not folder.is_dir():
        return False
    if owned:
        return int(owner) == os.getpid()
    return not psutil.pid_exists(int(owner))


def _move_all(pairs: list[tuple[Path, Path]]) -> Moved:
    """Rename all, or none: what is done already is turned back when one cannot be."""
    for old, new in pairs:
        if os.path.lexists(new) and not _is_same(old, new):
            raise ArrangeError(f"{printable(new)}: there is a file of this name already.")
    done: list[tuple[Path, Path]] = []
    try:
        for old, new in pairs:
            _move(old, new)
            done.append((old, new))
    except OSError as error:
        try:
            for old, new in reversed(done):
                _move(new, old)
        except OSError as second:
            raise ArrangeError(
                f"{printable(new)}: was moved, and cannot be moved back, {in_words(second)}."
            ) from error
        raise _refused(pairs[len(done)][0], error) from error
    return Moved(tuple(done))


def _move(old: Path, new: Path) -> None:
    try:
        old.rename(new)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        # Whole or not at all: a kill leaves a hidden part of it, and the old file.
        part = new.with_name(f".{new.name}.part")
        shutil.copy2(old, part)
        part.replace(new)
        old.unlink()


def _is_same(old: Path, new: Path) -> bool:
    """Whether two names are one file, as those that differ in case are on some systems."""
    try:
        return old.samefile(new) and old.name.casefold() == new.name.casefold()
    except OSError:
        return False


def _remove_if_empty(folder: Path) -> None:
    try:
        folder.rmdir()
    except OSError:
        return  # something is in it still


def _refused(path: Path, error: OSError) -> ArrangeError:
    return ArrangeError(f"{printable(path)}: cannot be moved, {in_words(error)}.")
