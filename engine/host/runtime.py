"""Where hosts are found: a folder of sockets and locks that belongs to one user alone."""

from __future__ import annotations

import fcntl
import os
import re
import stat
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from msgspec import Struct

from engine.errors import EngineError
from engine.files.saving import in_words

FOLDER_VARIABLE = "LORASWITCH_RUNTIME_DIR"
DEFAULT_NAME = "default"
LONGEST_SOCKET_PATH = 103
"""Bytes without the closing zero; macOS takes 104 with it, Linux 108."""


class HostError(EngineError):
    """A host cannot be reached or started; the text says why, and what to do."""


class NoAnswerError(HostError):
    """Nobody answers where a host should be: it is just starting or ending, or it hangs."""


class OlderHostError(HostError):
    """The host that runs is of an older version: it tells how it is, and ends when asked to."""


class HostPlace(Struct, frozen=True):
    """The files of one host, by its name."""

    name: str
    socket: Path
    lock: Path

    def is_alive(self) -> bool:
        """Whether a host holds the lock: that says that it lives, not that its socket is there."""
        try:
            descriptor = os.open(self.lock, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except FileNotFoundError:
            return False
        try:
            return not _lock(descriptor)
        finally:
            os.close(descriptor)

    @contextmanager
    def held(self) -> Iterator[bool]:
        """Hold the lock for the block; False when another host has it."""
        flags = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
        descriptor = os.open(self.lock, flags, 0o600)
        try:
            yield _lock(descriptor)
        finally:
            os.close(descriptor)


def runtime_folder() -> Path:
    """The folder, made when it is missing.

    Not below `XDG_RUNTIME_DIR`: the system removes that at the user's last logout, and a host
    outlives it. Raises `HostError` for a folder that others can write to or that is not the user's.
    """
    given = os.environ.get(FOLDER_VARIABLE)
    base = Path(tempfile.gettempdir() if os.name != "posix" else "/tmp")
    folder = Path(given).absolute() if given else base / f"loraswitch-{os.getuid()}"
    try:
        folder.mkdir(mode=0o700, parents=bool(given), exist_ok=True)
        found = folder.lstat()
    except OSError as error:
        raise HostError(
            f"{folder}, for the host's socket, cannot be made: {in_words(error)}. Name another "
            f"folder in {FOLDER_VARIABLE}."
        ) from error
    _require_private(folder, found)
    return folder


def _require_private(folder: Path, found: os.stat_result) -> None:
    problem = None
    if stat.S_ISLNK(found.st_mode):
        problem = "is a link"
    elif not stat.S_ISDIR(found.st_mode):
        problem = "is no folder"
    elif found.st_uid != os.getuid():
        problem = "belongs to another user"
    elif found.st_mode & 0o077:
        problem = "is open to other users (chmod 700 closes it)"
    if problem:
        raise HostError(
            f"{folder}, for the host's socket, {problem}. Mend that, or name another folder in "
            f"{FOLDER_VARIABLE}."
        )


def place_of(name: str = DEFAULT_NAME) -> HostPlace:
    """The files of the host of a name; raises `HostError` where they cannot be used."""
    folder = runtime_folder()
    plain = re.sub(r"[^A-Za-z0-9_.-]", "-", name) or DEFAULT_NAME
    place = HostPlace(plain, folder / f"{plain}.sock", folder / f"{plain}.lock")
    length = len(os.fsencode(place.socket))
    if length > LONGEST_SOCKET_PATH:
        raise HostError(
            f"The path {place.socket} is too long for a socket ({length} bytes of at most "
            f"{LONGEST_SOCKET_PATH}). Name a shorter folder in {FOLDER_VARIABLE}."
        )
    return place


def living_hosts() -> list[HostPlace]:
    """The hosts that live, by name."""
    names = sorted(path.stem for path in runtime_folder().glob("*.lock"))
    return [place for place in map(place_of, names) if place.is_alive()]


def _lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
