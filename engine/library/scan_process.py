"""Looking through library folders in a process beside this one, which takes down what it finds.

To walk through a hundred thousand files and to compare them takes seconds of Python and tens of
MiB; in the process of a screen both would be its own.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.library.index import LibraryIndex
from engine.library.niceness import lower_priority
from engine.library.pipes import pipes_of, received, send, start_process
from engine.library.scan import Look, ScanProgress, refresh, refresh_folders

log = logging.getLogger(__name__)

_NICENESS = 5


class _Asked(NamedTuple):
    """Paths as bytes, which need not be text."""

    path: bytes
    roots: list[bytes]
    """Library folders; none where `looks` says what to look at."""
    looks: list[tuple[bytes, bytes, bool]]


class _Said(NamedTuple):
    """How far it is; `is_over` when all is looked at and taken down."""

    progress: ScanProgress
    is_over: bool = False


_ENCODER = msgspec.msgpack.Encoder()
_QUESTION = msgspec.msgpack.Decoder(_Asked)
_SAID = msgspec.msgpack.Decoder(_Said)


def refresh_beside(
    roots: Iterable[Path],
    index: LibraryIndex,
    on_progress: Callable[[ScanProgress], None],
    should_stop: Callable[[], bool],
) -> None:
    """What `refresh` does, by another process; by this one where that fails."""
    roots = tuple(roots)
    asked = _Asked(os.fsencode(index.path), list(map(os.fsencode, roots)), [])
    if not _is_done_beside(asked, on_progress, should_stop) and not should_stop():
        # What the other took down is known: only the rest is read.
        refresh(roots, index, on_progress, should_stop)


def refresh_folders_beside(
    looks: Iterable[Look],
    index: LibraryIndex,
    on_progress: Callable[[ScanProgress], None],
    should_stop: Callable[[], bool],
) -> None:
    """What `refresh_folders` does, likewise."""
    looks = tuple(looks)
    raw = [(os.fsencode(root), os.fsencode(folder), below) for root, folder, below in looks]
    asked = _Asked(os.fsencode(index.path), [], raw)
    if not _is_done_beside(asked, on_progress, should_stop) and not should_stop():
        refresh_folders(looks, index, on_progress, should_stop)


def _is_done_beside(
    asked: _Asked,
    on_progress: Callable[[ScanProgress], None],
    should_stop: Callable[[], bool],
) -> bool:
    try:
        process = start_process(__name__)
    except OSError as error:
        log.warning("no process to look through the library beside this one: %s", error)
        return False
    try:
        stdin, stdout = pipes_of(process)
        send(stdin, _ENCODER.encode(asked))
        # It reports every few hundred files, and has ended when this process has.
        while not should_stop():
            said = _SAID.decode(received(stdout))
            on_progress(said.progress)
            if said.is_over:
                return True
    # It was killed, or the index cannot be kept by two.
    except (OSError, EOFError, msgspec.MsgspecError) as error:
        log.warning("a process that looks through the library has ended: %s", error)
    finally:
        process.kill()
        process.communicate()
    return False


def main() -> None:
    """Look through the folders that are named, and end."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lower_priority(_NICENESS)
    asked = _QUESTION.decode(received(sys.stdin.buffer))
    last = ScanProgress(0, 0)

    def report(progress: ScanProgress) -> None:
        nonlocal last
        last = ScanProgress(progress.done, progress.total)
        send(sys.stdout.buffer, _ENCODER.encode(_Said(progress)))

    with LibraryIndex(_path(asked.path)) as index:
        # An index that is kept in memory, or begun anew, would be this process's alone.
        if not index.warning:
            refresh(map(_path, asked.roots), index, report)
            looks = (Look(_path(root), _path(folder), below) for root, folder, below in asked.looks)
            refresh_folders(looks, index, report)
        if not index.warning:
            send(sys.stdout.buffer, _ENCODER.encode(_Said(last, is_over=True)))


def _path(raw: bytes) -> Path:
    return Path(os.fsdecode(raw))


if __name__ == "__main__":
    main()
