"""The orders in which the library can be shown."""

from __future__ import annotations

from typing import Literal, get_args

SortOrder = Literal[
    "folders", "name", "added", "date", "size", "rank", "base", "uses", "last use", "random"
]
ORDERS: tuple[SortOrder, ...] = get_args(SortOrder)
ORDER_WORDS: dict[SortOrder, tuple[str, str]] = {
    "folders": ("", "folders reversed"),
    "name": ("by name", "by name, reversed"),
    "added": ("last added first", "first added first"),
    "date": ("newest first", "oldest first"),
    "size": ("largest first", "smallest first"),
    "rank": ("highest rank first", "lowest rank first"),
    "base": ("by base model", "by base model, reversed"),
    "uses": ("most used first", "least used first"),
    "last use": ("last used first", "longest unused first"),
    "random": ("in random order", "in random order"),
}
"""What the screen says of each, as it is and reversed."""
