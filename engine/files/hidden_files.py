"""Files being written, under hidden names, and what dead processes left of them.

Their writer holds a lock (`flock`) on each, which the kernel takes back when the process dies:
`sweep` removes what nobody holds. Numbers of processes would not tell: they are given anew, and
containers that share a folder have numbers of their own.
"""

from __future__ import annotations

import fcntl
import os
import re
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_NAME = re.compile(r"\.loraswitch-[0-9a-f]{16}\.part")
_ABANDONED_AFTER = 24 * 3600.0
"""Seconds after which a file is taken for a dead process's where locks do not work."""


@contextmanager
def hidden_file(directory: int) -> Iterator[tuple[int, str]]:
    """A new, locked file in an open folder: its descriptor and its name.

    It is removed at the end unless it was renamed. Raises OSError.
    """
    number, name = _create(directory)
    try:
        yield number, name
    finally:
        # What cannot be removed now is swept at a later start.
        with suppress(OSError):
            os.unlink(name, dir_fd=directory)
        os.close(number)


def sweep(folder: Path) -> int:
    """Remove the hidden files that dead processes left in a folder; returns how many.

    What cannot be looked at stays: this is housekeeping, and nobody waits for it.
    """
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if _NAME.fullmatch(entry.name)]
    except OSError:
        return 0
    return sum(_removed_if_abandoned(folder / name) for name in names)


def hold(number: int) -> bool | None:
    """Lock an open file or folder until it is closed or the process dies.

    False when another holds it, None where locks do not work.
    """
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _create(directory: int) -> tuple[int, str]:
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    while True:
        name = f".loraswitch-{os.urandom(8).hex()}.part"
        number = os.open(name, flags, 0o666, dir_fd=directory)
        # A sweep that comes in the moment before the lock takes the file for an abandoned one.
        if hold(number) is not False and os.fstat(number).st_nlink:
            return number, name
        os.close(number)


def _removed_if_abandoned(path: Path) -> bool:
    try:
        number = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        status = os.fstat(number)
        abandoned = stat.S_ISREG(status.st_mode) and hold(number)
        if abandoned is None:
            abandoned = time.time() - status.st_mtime > _ABANDONED_AFTER
        if abandoned:
            path.unlink()
        return abandoned
    except OSError:
        return False
    finally:
        os.close(number)
