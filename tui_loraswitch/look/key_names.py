"""Keys as the config file writes them, and as the screen shows them."""

from __future__ import annotations

from textual.keys import _character_to_key as key_of_character
from textual.keys import format_key


def as_bound(keys: str) -> str:
    """Keys as Textual binds them: `/, g g` becomes `slash,g g`."""
    return ",".join(
        " ".join(map(_one, sequence.split())) for sequence in keys.split(",") if sequence.strip()
    )


def in_short(key: str) -> str:
    """A key or a sequence as it is shown: `gg`, `^x ^c`, `^s`."""
    parts = [_shown(part) for part in key.split(" ")]
    return ("" if all(len(part) == 1 for part in parts) else " ").join(parts)


def _one(key: str) -> str:
    *modifiers, last = key.split("+") if len(key) > 1 else [key]
    return "+".join((*modifiers, key_of_character(last) if len(last) == 1 else last))


def _shown(key: str) -> str:
    *modifiers, last = key.split("+")
    shown = format_key(last)
    for modifier in reversed(modifiers):
        shown = f"^{shown}" if modifier == "ctrl" else f"{modifier}+{shown}"
    return shown
