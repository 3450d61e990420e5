"""What becomes of a file of our own that cannot be read: the next save must not replace it."""

from __future__ import annotations

import logging
import os
from contextlib import suppress
from pathlib import Path

log = logging.getLogger(__name__)


def set_aside(path: Path, error: Exception) -> None:
    """Keep such a file under a new name, and say so with the `error` that reading it gave.

    What is no regular file stays, since `replace_file` puts nothing in its place. Where nothing
    is, nothing is said.
    """
    becomes = "left out"
    with suppress(OSError):
        if not path.exists():
            return
        if path.is_file():
            aside = _new_name(path)
            path.replace(aside)
            becomes = f"kept as {aside.name}"
    log.warning("%s cannot be read and is %s: %s", path, becomes, error)


def _new_name(path: Path) -> Path:
    number, aside = 1, path.with_suffix(f".unreadable{path.suffix}")
    while os.path.lexists(aside):
        number += 1
        aside = path.with_suffix(f".unreadable-{number}{path.suffix}")
    return aside
