"""What the engine reports, in words for a log."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["info", "done", "work", "warning", "failure"]


@dataclass(frozen=True)
class LogLine:
    """One thing that happened; `text` may come from strangers and is plain."""

    kind: Kind
    text: str
    time: float = 0.0
    """Seconds since 1970."""
