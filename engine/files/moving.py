"""Renaming files and links; a link still leads to what it led to."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Mapping
from pathlib import Path


def move(old: Path, new: Path, others: Mapping[Path, Path] | None = None) -> None:
    """Give a file or a link another name, on its own file system or another.

    `others` are files that get other names too: links to them lead to the new ones. A relative link
    is written anew for the folder it goes to. Raises `OSError`; then the old name is still there.
    """
    if old.is_symlink():
        # A link of its own: no rename across file systems, and none that changes where it leads.
        new.symlink_to(_text_there(old, new, others or {}))
        _unlink_or_take_back(old, new)
        return
    try:
        old.rename(new)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        _move_across(old, new)


def _text_there(link: Path, new: Path, others: Mapping[Path, Path]) -> str:
    """What a link has to say at another place to lead to where it leads."""
    text = os.readlink(link)  # noqa: PTH115 - as it is written
    aim = link.parent / text
    # Folders on the way may be links themselves: `..` behind one is not the folder before it.
    aim = Path(os.path.realpath(aim.parent), aim.name)
    here = Path(os.path.realpath(link.parent))
    there = Path(os.path.realpath(new.parent))
    moved = {Path(os.path.realpath(one.parent), one.name): other for one, other in others.items()}
    goal = moved.get(aim)
    if Path(text).is_absolute():
        return text if goal is None else str(goal)
    if goal is not None:
        aim = Path(os.path.realpath(goal.parent), goal.name)
    elif here == there:
        return text
    return os.path.relpath(aim, there)


def _move_across(old: Path, new: Path) -> None:
    """From one file system to another, whole or not at all; a kill leaves the old file."""
    part = new.with_name(f".{new.name}.part")
    try:
        shutil.copy2(old, part)
        with part.open("rb") as file:
            os.fsync(file.fileno())
        part.replace(new)
    finally:
        part.unlink(missing_ok=True)
    _unlink_or_take_back(old, new)


def _unlink_or_take_back(old: Path, new: Path) -> None:
    try:
        old.unlink()
    except OSError:
        new.unlink()
        raise
