"""What `loraswitch doctor` finds: a subject, how it is, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Grade = Literal["good", "hint", "bad"]


@dataclass(frozen=True)
class Finding:
    """`hint`: it works, and could be better; `bad`: something will not work."""

    subject: str
    grade: Grade
    words: str
    advice: str = ""
