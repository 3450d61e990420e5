"""The one door to files that others wrote: regular ones alone, nothing waited for, a bound on size.

A pipe would keep its reader waiting for ever, opening a device may set it to work, and a file
without end fills the memory. Whatever was not written by this program is opened here.
"""

from __future__ import annotations

import os
import stat
from io import BufferedReader
from pathlib import Path

from engine.errors import FileFormatError, marked


def open_regular(path: Path) -> BufferedReader:
    """Open a regular file for reading, where `path` or the links behind it lead to one.

    Raises `FileFormatError` with a sentence that names the file when there is none, when it is a
    folder, a pipe, a socket or a device, or when it cannot be opened.
    """
    return os.fdopen(regular_descriptor(path), "rb")


def read_regular(path: Path, limit: int) -> bytes:
    """Read a whole regular file of at most `limit` bytes.

    Raises `FileFormatError` as `open_regular` does, and for a file that is larger.
    """
    descriptor = regular_descriptor(path)
    try:
        size = os.fstat(descriptor).st_size
        if size > limit:
            raise FileFormatError(
                f"{printable(path)}: too large, {size:,} bytes where {limit:,} are sensible."
            )
        # Not to its end: a file of /proc says that it is empty, and may give bytes for ever.
        text = os.read(descriptor, size) if size else b""
        while len(text) < size and (more := os.read(descriptor, size - len(text))):
            text += more
        return text
    except OSError as error:
        raise unreadable(path, error) from error
    finally:
        os.close(descriptor)


def regular_descriptor(path: Path) -> int:
    """Open a regular file for reading as a descriptor; raises what `open_regular` does."""
    try:
        # Asked before it is opened, since that alone may act on a device.
        _require_regular(path, path.stat().st_mode)
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        try:
            # And again, since another file may have taken its name in between.
            _require_regular(path, os.fstat(descriptor).st_mode)
        except BaseException:
            os.close(descriptor)
            raise
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:  # a NUL character in the path
        raise FileFormatError(f"{printable(path)}: cannot be opened ({error}).") from error
    return descriptor


def keeps_waiting(path: Path) -> bool:
    """Whether it is a pipe or a socket: whoever opens one may wait for ever for the other end."""
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):
        return False
    return stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)


def unreadable(path: Path, error: OSError) -> FileFormatError:
    """The sentence for what the system says when a file is opened or read."""
    if isinstance(error, FileNotFoundError):
        return FileFormatError(f"{printable(path)}: there is no such file.")
    reason = error.strerror or type(error).__name__
    return FileFormatError(f"{printable(path)}: cannot be read ({reason}).")


def printable(name: str | Path) -> str:
    """A file's name without the characters that could act on a terminal, or are none."""
    return marked(str(name))


def _require_regular(path: Path, mode: int) -> None:
    if not stat.S_ISREG(mode):
        kind = "folder" if stat.S_ISDIR(mode) else "pipe, a socket or a device"
        raise FileFormatError(f"{printable(path)}: this is not a file but a {kind}.")
