"""Write files whole or not at all: a kill, a full disk or a lost folder leaves no half of one.

A new file is written without a name and then linked to it, so that a kill leaves nothing (Linux:
`O_TMPFILE` and `linkat`). Where a file system has no such files, and where a file is replaced, it
is written under a hidden name beside its place.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from engine.files.hidden_files import hidden_file

_NOT_OFFERED = {
    errno.EOPNOTSUPP,
    errno.ENOTSUP,
    errno.ENOSYS,
    errno.EINVAL,
    errno.EISDIR,  # kernels that do not know O_TMPFILE
    errno.EPERM,  # FAT has no hard links
    errno.EACCES,
    errno.EMLINK,
    errno.EXDEV,
    errno.ENOENT,  # /proc is not mounted
}
"""What systems answer to a call that a file system does not offer."""


def write_new(folder: Path, name_of: Callable[[int], str], data: bytes) -> Path:
    """Write a file that was not there, and return its path; `folder` is made when missing.

    `name_of(n)` is the name to try after n names were taken by others. The file appears complete,
    is never put in place of another, and outlasts a loss of power. Raises OSError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _opened(folder) as directory:
        try:
            name = _write_unnamed(directory, name_of, data)
        except OSError as error:
            if error.errno not in _NOT_OFFERED:
                raise
            name = _write_hidden(directory, name_of, data)
        # The file is whole and has its name; some network file systems cannot do this to a folder.
        with suppress(OSError):
            os.fsync(directory)
    return folder / name


def replace_file(path: Path, data: bytes) -> None:
    """Put a file in place of the one at `path`, or where none is; its folder is made when missing.

    A link stays, and its target is replaced; the rights of the old file are kept. After a loss of
    power the old file or the new one is there, whole. Raises OSError.
    """
    # Dotfiles are often links into another folder.
    target = Path(os.path.realpath(path))
    target.parent.mkdir(parents=True, exist_ok=True)
    with _opened(target.parent) as directory, hidden_file(directory) as (number, hidden):
        _keep_rights(number, target)
        _fill(number, data)
        os.replace(hidden, target.name, src_dir_fd=directory, dst_dir_fd=directory)


def in_words(error: Exception) -> str:
    """Why something cannot be written, as the end of a sentence."""
    if not isinstance(error, OSError):
        return str(error)
    match error.errno:
        case errno.ENOSPC | errno.EDQUOT:
            return "no space is left there"
        case errno.EACCES | errno.EPERM | errno.EROFS:
            return "writing there is not permitted"
        case errno.ENOTDIR | errno.EEXIST:
            return "what is there is not a folder"
    return error.strerror or str(error)


@contextmanager
def _opened(folder: Path) -> Iterator[int]:
    """A folder as a descriptor: what follows happens in it, even if it is renamed meanwhile."""
    directory = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        yield directory
    finally:
        os.close(directory)


def _write_unnamed(directory: int, name_of: Callable[[int], str], data: bytes) -> str:
    unnamed = getattr(os, "O_TMPFILE", None)
    if unnamed is None:
        raise OSError(errno.ENOTSUP, os.strerror(errno.ENOTSUP))
    number = os.open(".", unnamed | os.O_RDWR | os.O_CLOEXEC, 0o666, dir_fd=directory)
    try:
        _fill(number, data)
        return _linked(f"/proc/self/fd/{number}", directory, name_of)
    finally:
        os.close(number)


def _write_hidden(directory: int, name_of: Callable[[int], str], data: bytes) -> str:
    with hidden_file(directory) as (number, hidden):
        _fill(number, data)
        try:
            return _linked(hidden, directory, name_of)
        except OSError as error:
            if error.errno not in _NOT_OFFERED:
                raise
        return _renamed(hidden, directory, name_of)


def _linked(source: str, directory: int, name_of: Callable[[int], str]) -> str:
    """Give a finished file the first name that is free; a link never replaces another file."""
    taken = 0
    while True:
        name = name_of(taken)
        try:
            # Only with a folder's descriptor does Python call `linkat`, which follows the link
            # that stands for an unnamed file.
            os.link(source, name, src_dir_fd=directory, dst_dir_fd=directory, follow_symlinks=True)
        except FileExistsError:
            taken += 1
        else:
            return name


def _renamed(hidden: str, directory: int, name_of: Callable[[int], str]) -> str:
    """The same where there are no hard links: the folder is locked against others of our kind."""
    with suppress(OSError):  # ends when the folder is closed
        fcntl.flock(directory, fcntl.LOCK_EX)
    taken = 0
    while _is_there(name := name_of(taken), directory):
        taken += 1
    os.rename(hidden, name, src_dir_fd=directory, dst_dir_fd=directory)
    return name


def _is_there(name: str, directory: int) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _keep_rights(number: int, target: Path) -> None:
    try:
        mode = target.stat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "something is there that is no file", str(target))
    if stat.S_IMODE(mode) != stat.S_IMODE(os.fstat(number).st_mode):
        os.fchmod(number, stat.S_IMODE(mode))


def _fill(number: int, data: bytes) -> None:
    """Write all of it to the disk: after a loss of power a name could otherwise have no content."""
    with os.fdopen(number, "wb", closefd=False) as file:
        file.write(data)
    os.fsync(number)
