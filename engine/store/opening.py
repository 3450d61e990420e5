"""Opening a database beside other processes: waiting, taking turns, setting aside what is none."""

from __future__ import annotations

import contextlib
import fcntl
import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeVar

BUSY_SECONDS = 10.0
"""How long another process may write before it counts as stuck."""

_PAUSE = 0.02

_T = TypeVar("_T")


def patiently(action: Callable[[], _T]) -> _T:
    """Do what fails at once, whatever the timeout, while another process changes the journal."""
    last = time.monotonic() + BUSY_SECONDS
    while True:
        try:
            return action()
        except sqlite3.OperationalError as error:
            if "locked" not in str(error) or time.monotonic() > last:
                raise
        time.sleep(_PAUSE)


@contextlib.contextmanager
def opening_alone(path: Path) -> Iterator[None]:
    """Hold a lock beside the file, which ends with the process.

    One that cannot be had in time, or at all on some network mounts, is done without: what follows
    is a transaction all the same.
    """
    number = os.open(f"{path}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    try:
        last = time.monotonic() + BUSY_SECONDS
        while time.monotonic() < last:
            try:
                fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_PAUSE)
            except OSError:
                break
            else:
                break
        yield
    finally:
        os.close(number)


def set_aside(path: Path) -> Path:
    """Rename a file that is no database, with what belongs to it; the name is a new one."""
    number, kept = 0, path.with_name(f"{path.name}.damaged")
    while kept.exists():
        number += 1
        kept = path.with_name(f"{path.name}.damaged-{number}")
    path.replace(kept)
    for ending in ("-wal", "-shm", "-journal"):
        with contextlib.suppress(FileNotFoundError):
            Path(f"{path}{ending}").replace(f"{kept}{ending}")
    return kept
