"""Numbers and sizes out of strangers' values: what is none gives None, never an error."""

from __future__ import annotations

import math
import re

_WHOLE = re.compile(r"[+-]?[0-9]{1,20}(?:\.0{1,6})?")
_REAL = re.compile(
    r"[+-]?(?:[0-9]{1,20}(?:\.[0-9]{0,40})?|\.[0-9]{1,40})(?:e[+-]?[0-9]{1,3})?", re.I
)
_SIZE = re.compile(r"[(\[]?\s{0,9}([0-9]{1,6})\s{0,9}[x×*,]\s{0,9}([0-9]{1,6})\s{0,9}[)\]]?")


def whole(value: object) -> int | None:
    """A whole number: `20`, `20.0`, or a text of one."""
    text = _text(value)
    return int(text.partition(".")[0]) if text and _WHOLE.fullmatch(text) else None


def real(value: object) -> float | None:
    """A finite number, or a text of one."""
    text = _text(value)
    number = float(text) if text and _REAL.fullmatch(text) else math.nan
    return number if math.isfinite(number) else None


def size(value: object) -> tuple[int, int] | None:
    """Width and height: `832x1216`, Fooocus' `(832, 1216)`, or a list of the two."""
    if isinstance(value, list) and len(value) == 2:
        width, height = map(whole, value)
        return (width, height) if width is not None and height is not None else None
    text = _text(value)
    match = _SIZE.fullmatch(text) if text else None
    return (int(match[1]), int(match[2])) if match else None


def _text(value: object) -> str | None:
    if isinstance(value, str):
        return value.strip()
    # A huge whole number cannot even be written out.
    if isinstance(value, float) or (type(value) is int and value.bit_length() <= 64):
        return str(value)
    return None
