"""Write numbers in texts that are read again."""

from __future__ import annotations


def plain_number(value: float) -> str:
    """The shortest usual text of a number that reads back as the same one: `0.8`, `1`."""
    text = f"{value:.6g}"
    return text if float(text) == value else repr(float(value))
