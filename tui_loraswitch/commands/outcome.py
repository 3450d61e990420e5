"""How a command ends: exit codes, sentences on stderr, and the hard end."""

from __future__ import annotations

import errno
import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from engine.words.clean import clean_line
from tui_loraswitch.commands.places import log_path

OK = 0
FAILED = 1
WRONG_USAGE = 2
NO_HOST = 3
CANCELLED = 130
"""What shells report for a program that Ctrl-C ended."""
PIPE_CLOSED = 141
"""The same for a program whose reader (`| head`) went away."""

EXIT_CODES = """\
exit codes:
  0    done
  1    the engine refused or failed; the reason is on stderr
  2    wrong usage: an option, a name, a path or the config file
  3    no host runs, and the command is about one
  130  cancelled with Ctrl-C
  128 + n  ended by the signal n, such as 143 by a plain kill
"""

CLEAR_LINE = "\r\x1b[K"

_MAX_MESSAGE = 2000

_CANNOT_BE_WRITTEN = (errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG)
"""What a full disk answers, and one that fails: behind `> FILE`, or under a file of ours."""

_SIGNALS = (signal.SIGHUP, signal.SIGTERM)


class UsageError(Exception):
    """What was asked for cannot be meant; the text is a sentence for the user."""


def say(message: str) -> None:
    """Write one line to stderr, whatever the message holds; a line of progress gives way."""
    if sys.stderr.isatty():
        sys.stderr.write(CLEAR_LINE)
    print(f"loraswitch: {clean_line(message, _MAX_MESSAGE)}", file=sys.stderr, flush=True)


def open_what_is_closed() -> None:
    """Let a stream that was closed at the start (`>&-`, some daemons) lead nowhere.

    Its number would go to the next file that is opened, and what is printed would go into that.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # which takes the lowest number that is free
            os.set_inheritable(number, True)  # a child is to have it as well
    sys.stdout = sys.stdout or os.fdopen(1, "w", encoding="utf-8", closefd=False)
    sys.stderr = sys.stderr or os.fdopen(2, "w", encoding="utf-8", closefd=False)


def refused(error: OSError) -> int:
    """Say what the system has refused, where nothing nearer to it did; the exit code."""
    if error.filename is None and error.errno in _CANNOT_BE_WRITTEN:
        drop_output()
        say(f"Nothing more can be written: {error.strerror or error}.")
        return FAILED
    name = error.filename
    # The number of a descriptor, which it can be too, says nothing to the user.
    where = f"{os.fsdecode(name)}: " if isinstance(name, str | bytes | os.PathLike) else ""
    say(f"The system refused what was asked for: {where}{error.strerror or error}.")
    return WRONG_USAGE


def drop_output() -> None:
    """Let what is still to be written go nowhere: Python would complain of it at its end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def unexpected(error: BaseException) -> str:
    """A fault of ours in a sentence; the log has to have the rest."""
    return f"Unexpected fault: {type(error).__name__}: {error} ({log_path()} has the details)."


@contextmanager
def leaving_on_signals() -> Iterator[None]:
    """Let a lost connection or a `kill` end the block as an exception would, which cleans up.

    What is ignored, as under nohup, stays ignored.
    """
    given = [number for number in _SIGNALS if signal.getsignal(number) is signal.SIG_DFL]
    if threading.current_thread() is not threading.main_thread():
        given = []  # signals are the main thread's
    for number in given:
        signal.signal(number, _leave)
    try:
        yield
    finally:
        for number in given:
            signal.signal(number, signal.SIG_DFL)


def _leave(number: int, frame: FrameType | None) -> None:
    # A terminal that closes can send more than one; the next must not end the cleaning up.
    for each in _SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise SystemExit(128 + number)


def end_process(code: int) -> None:
    """End at once although a thread still runs: an import of torch cannot be interrupted."""
    logging.shutdown()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
