"""The log file: what would otherwise be printed across the screen."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from logging.handlers import RotatingFileHandler
from pathlib import Path

from engine.saving import in_words
from tui_loraswitch.commands.outcome import say

_MAX_BYTES = 1_000_000
_FORMAT = "%(asctime)s %(process)d %(threadName)s %(levelname)s %(name)s: %(message)s"


@contextmanager
def log_to_file(path: Path) -> Iterator[None]:
    """Send the log and Python's warnings to a file of bounded size, and never to the terminal."""
    root = logging.getLogger()
    level_before, raise_before = root.level, logging.raiseExceptions
    handler = _open(path)
    handler.setFormatter(logging.Formatter(_FORMAT))
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    # A disk that is full must not print tracebacks over the app.
    logging.raiseExceptions = False
    logging.captureWarnings(True)
    try:
        yield
    finally:
        logging.captureWarnings(False)
        logging.raiseExceptions = raise_before
        root.setLevel(level_before)
        root.removeHandler(handler)
        handler.close()


def _open(path: Path) -> logging.Handler:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return RotatingFileHandler(path, maxBytes=_MAX_BYTES, backupCount=1, encoding="utf-8")
    except OSError as error:
        say(f"No log is kept in {path}: {in_words(error)}.")
        return logging.NullHandler()
