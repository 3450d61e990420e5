"""A process that reads files for the index, asked and answering through pipes."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

import msgspec

from engine.library.indexed_file import IndexedFile, indexed
from engine.library.niceness import lower_priority
from engine.library.outlines import Outlines
from engine.library.pipes import pipes_of, received, send, start_process
from engine.library.read_entry import read_entry
from engine.library.walk import FoundFile

log = logging.getLogger(__name__)

_NICENESS = 5


class Unread(NamedTuple):
    """A file to be read, when the library saw it first, and whether it was in error then."""

    file: FoundFile
    added_ns: int
    was_in_error: bool


class _Asked(NamedTuple):
    """A file that is to be read; paths as bytes, which need not be text."""

    path: bytes
    root: bytes
    size: int
    mtime_ns: int
    inode: int
    sidecars: list[tuple[str, bytes]]
    previews: list[bytes]
    stamp: str
    added_ns: int


class _Answer(NamedTuple):
    files: list[IndexedFile]
    log: list[str]
    """What the log has to have of it."""


_ENCODER = msgspec.msgpack.Encoder()
_QUESTIONS = msgspec.msgpack.Decoder(list[_Asked])
_ANSWERS = msgspec.msgpack.Decoder(_Answer)


class ReaderProcess:
    """Such a process. Raises `OSError` where none can be started."""

    def __init__(self) -> None:
        self._process = start_process(__name__)

    def read(self, files: Iterable[Unread]) -> list[IndexedFile] | None:
        """What is read of files; None when it does not answer.

        It may have been killed, or have been ended by one of them.
        """
        stdin, stdout = pipes_of(self._process)
        try:
            send(stdin, _ENCODER.encode([_asked(one.file, one.added_ns) for one in files]))
            answer = _ANSWERS.decode(received(stdout))
        # Whatever it is: these files are read in another way, and the next ones here.
        except Exception:
            log.warning("a process that reads files gives no answer", exc_info=True)
            return None
        for line in answer.log:
            log.error(line)
        return answer.files

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.communicate()


def _asked(file: FoundFile, added_ns: int) -> _Asked:
    return _Asked(
        os.fsencode(file.path),
        os.fsencode(file.root),
        file.size,
        file.mtime_ns,
        file.inode,
        [(ending, os.fsencode(path)) for ending, path in file.sidecars],
        [os.fsencode(path) for path in file.previews],
        file.stamp,
        added_ns,
    )


def _found(asked: _Asked) -> FoundFile:
    return FoundFile(
        _path(asked.path),
        _path(asked.root),
        asked.size,
        asked.mtime_ns,
        asked.inode,
        tuple((ending, _path(path)) for ending, path in asked.sidecars),
        tuple(map(_path, asked.previews)),
    )


def _path(raw: bytes) -> Path:
    return Path(os.fsdecode(raw))


class _Lines(logging.Handler):
    """Keeps what is logged, for the process that asks."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(self.format(record))


def main() -> None:
    """Answer until nobody asks any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    lower_priority(_NICENESS)
    said = _Lines()
    logging.basicConfig(handlers=[said], format="%(message)s")
    outlines = Outlines()
    while True:
        try:
            asked = _QUESTIONS.decode(received(sys.stdin.buffer))
        except EOFError:
            return
        files = [
            indexed(one.stamp, read_entry(_found(one), outlines, one.added_ns)) for one in asked
        ]
        send(sys.stdout.buffer, _ENCODER.encode(_Answer(files, said.lines)))
        said.lines.clear()


if __name__ == "__main__":
    main()
