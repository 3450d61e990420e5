"""What a path that somebody named leads to, whatever the path is."""

from __future__ import annotations

import stat
from pathlib import Path


def is_file(path: Path) -> bool:
    """True for a file; False for all else, also for what this user may not look at."""
    return stat.S_ISREG(_mode(path))


def is_folder(path: Path) -> bool:
    """True for a folder; False for all else, also for what this user may not look at."""
    return stat.S_ISDIR(_mode(path))


def why_no_file(path: Path) -> str:
    """What is said of a path that leads to no file."""
    return "this is not a file" if _mode(path) else "there is no such file"


def _mode(path: Path) -> int:
    # Not `Path.is_file`: before Python 3.14 it raises for names too long and for closed folders.
    try:
        return path.stat().st_mode
    except (OSError, ValueError):
        return 0
