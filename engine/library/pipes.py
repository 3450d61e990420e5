"""Messages through pipes between processes: the length of each, then its bytes."""

from __future__ import annotations

import subprocess
import sys
from typing import IO

from engine.child_environment import child_environment

_LENGTH = 4
"""Bytes before each message, which say how long it is."""


def start_process(module: str) -> subprocess.Popen[bytes]:
    """A Python process that is asked and answers through pipes; raises `OSError`."""
    return subprocess.Popen(
        [sys.executable, "-m", module],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        # Ctrl-C is this process's; not the user's folder, whose disk could not be unmounted.
        start_new_session=True,
        cwd="/",
        env=child_environment(),
    )


def pipes_of(process: subprocess.Popen[bytes]) -> tuple[IO[bytes], IO[bytes]]:
    """Where such a process is asked, and where it answers."""
    assert process.stdin is not None, "it is a pipe"
    assert process.stdout is not None, "it is a pipe"
    return process.stdin, process.stdout


def send(stream: IO[bytes], message: bytes) -> None:
    """Send one message."""
    stream.write(len(message).to_bytes(_LENGTH, "little") + message)
    stream.flush()


def received(stream: IO[bytes]) -> bytes:
    """The next message; raises `EOFError` at the end of the stream."""
    length = int.from_bytes(_exactly(stream, _LENGTH), "little")
    return _exactly(stream, length)


def _exactly(stream: IO[bytes], length: int) -> bytes:
    message = stream.read(length)
    if len(message) < length:
        raise EOFError("it has ended")
    return message
