"""What the engine reports, in words for a log."""

from __future__ import annotations

from typing import Literal

from msgspec import Struct

Kind = Literal["info", "done", "work", "warning", "failure"]


class LogLine(Struct, frozen=True):
    """One thing that happened; `text` may come from strangers and is plain."""

    kind: Kind
    text: str
    time: float = 0.0
    """Seconds since 1970."""
