"""Which version of a file is on the disk, told so that no change to it goes unnoticed."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple

_TICK = 20_000_000
"""Nanoseconds: file systems take the time from the system's tick, of up to 10 ms."""

_COARSE_TICK = 2_000_000_000
"""Of file systems that count whole seconds, or two."""

_TRIES = 3
"""A file that is written to all the time is no more waited for."""


class FileVersion(NamedTuple):
    """Equal for two looks at a file only if nobody wrote to it, or replaced it, in between.

    The time of change counts beside that of modification, which anybody can set back. It also
    changes with the file's name, links and rights, so another version need not be other content.
    """

    device: int
    inode: int
    size: int
    mtime_ns: int
    ctime_ns: int

    @classmethod
    def of(cls, file: Path | int) -> FileVersion:
        """The version of a path's file, or of an open descriptor's. Raises `OSError`.

        Two changes in one tick of the clock have one time: a file that was changed just now is
        looked at again when that tick is over, from when on no change can hide behind the last.
        """
        status = _status(file)
        for _ in range(_TRIES):
            whole_seconds = status.st_ctime_ns % 1_000_000_000 == 0
            tick = _COARSE_TICK if whole_seconds else _TICK
            age = time.time_ns() - status.st_ctime_ns
            # A file of the future is a matter of two clocks, and no waiting helps.
            if not 0 <= age < tick:
                break
            time.sleep((tick - age) / 1e9)
            status = _status(file)
        return cls(
            status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns
        )

    def has_content_of(self, other: FileVersion) -> bool:
        """Whether at most the name, links or rights have changed, by the time of modification."""
        return self[:4] == other[:4]


def _status(file: Path | int) -> os.stat_result:
    return os.fstat(file) if isinstance(file, int) else file.stat()
