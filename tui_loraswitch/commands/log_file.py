"""The log file: what would otherwise be printed across the screen."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path

from engine.files.regular_file import keeps_waiting
from engine.files.saving import in_words
from engine.words.clean import escaped_line
from tui_loraswitch.commands.outcome import say

log = logging.getLogger(__name__)

_MAX_BYTES = 1_000_000
_MAX_LINES = 400
"""Of a traceback; the middle of a longer one is left out."""
_FORMAT = "%(asctime)s %(process)d %(threadName)s %(levelname)s %(name)s: %(message)s"


@contextmanager
def log_to_file(path: Path) -> Iterator[None]:
    """Send the log to a file of bounded size, and never to the terminal.

    The same goes for what Python itself would print: warnings, and the faults of threads and of
    objects that are thrown away.
    """
    root = logging.getLogger()
    level_before, raise_before = root.level, logging.raiseExceptions
    hooks_before = threading.excepthook, sys.unraisablehook
    handler = _open(path)
    handler.setFormatter(PlainFormatter(_FORMAT))
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    # A disk that is full must not print tracebacks over the app.
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    threading.excepthook = _log_fault_of_thread
    sys.unraisablehook = _log_fault_of_object
    try:
        yield
    finally:
        threading.excepthook, sys.unraisablehook = hooks_before
        logging.captureWarnings(False)
        logging.raiseExceptions = raise_before
        root.setLevel(level_before)
        root.removeHandler(handler)
        handler.close()


class PlainFormatter(logging.Formatter):
    """A record on one line, its traceback on indented ones, and no character that acts on anything.

    So a log is safe to read in a terminal (`tail -f`), and no text of a stranger, with whatever
    line ends, passes for a record of its own.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Build the whole text anew: what other formatters left in the record is not taken."""
        record.message = record.getMessage()
        record.asctime = self.formatTime(record)
        lines = [self.formatMessage(record)]
        if record.exc_info:
            lines += _traceback_lines(record.exc_info[1])
        if record.stack_info:
            lines += record.stack_info.splitlines()
        return "\n    ".join(map(escaped_line, lines))


def _traceback_lines(error: BaseException | None) -> list[str]:
    lines = "".join(traceback.format_exception(error)).split("\n") if error is not None else []
    if len(lines) <= _MAX_LINES:
        return lines[:-1]
    half = _MAX_LINES // 2
    return [*lines[:half], f"… {len(lines) - 2 * half} lines …", *lines[-half:-1]]


def _log_fault_of_thread(fault: threading.ExceptHookArgs) -> None:
    if fault.exc_type is not SystemExit:
        name = fault.thread.name if fault.thread is not None else "?"
        log.error("the thread %s failed", name, exc_info=fault.exc_value)


def _log_fault_of_object(fault: sys.UnraisableHookArgs) -> None:
    log.error("%s: %r", fault.err_msg or "ignored", fault.object, exc_info=fault.exc_value)


def _open(path: Path) -> logging.Handler:
    if keeps_waiting(path):
        say(f"No log is kept in {path}: this is not a file but a pipe or a socket.")
        return logging.NullHandler()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # File names may be bytes that are no text.
        return RotatingFileHandler(
            path, maxBytes=_MAX_BYTES, backupCount=1, encoding="utf-8", errors="backslashreplace"
        )
    except OSError as error:
        say(f"No log is kept in {path}: {in_words(error)}.")
        return logging.NullHandler()
