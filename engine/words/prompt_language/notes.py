"""What is said of words that are not understood."""

from __future__ import annotations

_MOST_QUOTED = 60


def quoted(text: str) -> str:
    """A text in quotation marks, on one line, with as much of it as a note has room for."""
    line = " ".join(text[: _MOST_QUOTED + 1].split())
    return f"“{line}”" if len(text) <= _MOST_QUOTED else f"“{line[:_MOST_QUOTED]}…”"
