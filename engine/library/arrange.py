"""Renaming, moving and deleting LoRA files, with all that lies beside them; each can be undone.

A deleted file is first set aside, in a hidden folder on its own file system, where a rename brings
it: at once, whatever its size. Only `empty` gives it to the system's trash. Each deletion has a
folder of its own there, which says whose it is: no other process throws away what this one may
still bring back.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import psutil

from engine.errors import EngineError
from engine.files.moving import move
from engine.files.regular_file import printable
from engine.files.saving import in_words
from engine.files.trash import to_trash
from engine.library.beside import Beside
from engine.lora.peft_config import CONFIG_NAME, companion

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
    """The sidecars and previews of a LoRA, by the names in its folder.

    Those that are written with other cases are another LoRA's where there is one written so.
    """
    try:
        beside = Beside(os.listdir(lora.parent))  # noqa: PTH208 - names are wanted
    except OSError as error:
        raise _refused(lora, error) from error
    stem = lora.name[: -len(_ENDING)]
    sidecars, previews = beside.paths_of(lora.parent, stem)
    found = dict.fromkeys((*(path for _, path in sidecars), *previews))
    return [
        path
        for path in found
        if path.name.startswith(stem)
        or not path.with_name(path.name[: len(stem)] + _ENDING).exists()
    ]


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
    target = target.with_name(new_stem + lora.name[len(stem) :])
    pairs += _config_pairs(lora, target)
    pairs.append((lora, target))
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise _refused(target.parent, error) from error
    return _move_all(pairs)


def _config_pairs(lora: Path, target: Path) -> list[tuple[Path, Path]]:
    """PEFT's configuration goes with its LoRA, whose scale it holds. Raises `ArrangeError`."""
    config = companion(lora)
    if config is None:
        return []
    others = [path for path in target.parent.glob(f"*{_ENDING}") if path != lora]
    if target.stem != "adapter_model" and others:
        raise ArrangeError(
            f"{printable(lora.name)}: beside other LoRAs its {CONFIG_NAME} would not count; "
            "give it a folder of its own."
        )
    return [] if target.parent == lora.parent else [(config, target.with_name(CONFIG_NAME))]


def set_aside(lora: Path) -> Moved:
    """Take a LoRA and what lies beside it out of the library. Raises `ArrangeError`."""
    aside = lora.parent / ASIDE
    config = companion(lora)
    found = [*companions(lora), *([config] if config is not None else []), lora]
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
    problems = []
    for aside in asides:
        folders = sorted(aside.iterdir()) if aside.is_dir() else []
        for folder in (one for one in folders if _may_empty(one, owned)):
            for path in sorted(folder.iterdir()):
                try:
                    to_trash(path)
                except EngineError as error:
                    problems.append(f"{printable(path)}: stays set aside. {error}")
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
    if len({new for _, new in pairs}) < len(pairs):
        raise ArrangeError(
            f"{printable(pairs[-1][0])}: two of the files beside it would get one name; rename "
            "one of them first."
        )
    for old, new in pairs:
        if os.path.lexists(new) and not _is_same(old, new):
            raise ArrangeError(f"{printable(new)}: there is a file of this name already.")
    done: list[tuple[Path, Path]] = []
    try:
        for old, new in pairs:
            move(old, new, dict(pairs))
            done.append((old, new))
    except OSError as error:
        try:
            back = {new: old for old, new in pairs}
            for old, new in reversed(done):
                move(new, old, back)
        except OSError as second:
            raise ArrangeError(
                f"{printable(new)}: was moved, and cannot be moved back, {in_words(second)}."
            ) from error
        raise _refused(pairs[len(done)][0], error) from error
    return Moved(tuple(done))


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
