"""The user's own words about one LoRA, as a value: kept by `engine.store.loras`."""

from __future__ import annotations

from msgspec import Struct


class LoraWords(Struct, frozen=True):
    """What the user says of one LoRA, and what was counted; what is not said is empty."""

    favourite: bool = False
    tags: tuple[str, ...] = ()
    notes: str = ""
    base_model: str = ""
    """In place of what the file says: `SDXL Pony`."""
    strength: float | None = None
    lowest: float | None = None
    highest: float | None = None
    """The range in which it is good, as a note: the strength keys go further."""
    triggers: tuple[str, ...] = ()
    """Groups of trigger words, each one text."""
    uses: int = 0
    """Pictures and switches that were asked for with it."""
    last_use: float = 0.0
    """Seconds since 1970; 0: never."""


NO_WORDS = LoraWords()
