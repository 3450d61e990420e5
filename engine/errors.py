"""Errors a user can act on; their text is a whole sentence fit for a screen."""

from __future__ import annotations

import unicodedata
from pathlib import Path

JOINERS = "\u200c\u200d"
"""Zero-width (non-)joiners: emoji and several scripts need them, and they move no other text."""


def is_harmless(char: str) -> bool:
    """Whether a terminal only shows a character: wide spaces and joiners stand in many names."""
    return char.isprintable() or char in JOINERS or unicodedata.category(char) == "Zs"


def marked(text: str, kept: str = "") -> str:
    """The same text with `?` for all that could act on a terminal, or is no character."""
    if text.isprintable():
        return text
    return "".join(char if is_harmless(char) or char in kept else "?" for char in text)


class EngineError(Exception):
    """Something the user asked for cannot be done; the message says what, and what to do."""

    path: Path | None = None
    """The one file at fault among those that were asked for, where that is known."""

    def __str__(self) -> str:
        """The sentence. Names in it may be strangers': nothing in it acts on a terminal."""
        return marked(super().__str__(), kept="\n")


class FileFormatError(EngineError):
    """A file is not what it should be (truncated, not safetensors, an unsafe header)."""


class LoraRefusedError(EngineError):
    """A LoRA does not fit the loaded model; nothing was touched."""


class CheckpointError(EngineError):
    """A model file or folder cannot be opened as SDXL."""


class SwitchError(EngineError):
    """A switch failed part-way; the model was brought back to the base first."""


class StoreError(EngineError):
    """The store cannot be opened, read or written; the message says why and what to do."""


class CancelledError(EngineError):
    """The user cancelled the work."""
