"""Numbers as they are typed into a form: with commas between, and A1111's ranges."""

from __future__ import annotations

import re

from engine.errors import EngineError
from engine.words.plain_number import plain_number

MOST = 1000
"""Numbers of one range: what was meant by more is a slip of the finger."""
_NUMBER = r"[+-]?(?:\d+\.?\d*|\.\d+)"
_RANGE = re.compile(rf"({_NUMBER})\s*-\s*({_NUMBER})\s*(?:\(\s*({_NUMBER})\s*\)|\[\s*(\d+)\s*\])?")


def typed_numbers(text: str, name: str, *, whole: bool) -> list[float]:
    """The numbers of `0.4, 0.8`, `0.4-1.2 [3]` (so many) and `1-4`, `1-9 (+2)` (by steps).

    Raises `EngineError` for anything else; `name` is what the field is called.
    """
    numbers: list[float] = []
    for part in filter(None, map(str.strip, text.split(","))):
        if re.fullmatch(_NUMBER, part):
            numbers.append(float(part))
        elif (found := re.fullmatch(_RANGE, part)) is not None:
            numbers += _range(found, name)
        else:
            such = "1, 2 or 1-4" if whole else "0.4, 0.8 or 0.4-1.2 [3]"
            raise EngineError(f"{name}: “{part}” is no number; write them as {such}.")
    if whole and any(number != int(number) for number in numbers):
        raise EngineError(f"{name}: only whole numbers.")
    return numbers


def as_list(numbers: list[float]) -> str:
    """The numbers as a plan has them."""
    return ", ".join(
        str(int(number)) if number == int(number) else plain_number(number) for number in numbers
    )


def _range(found: re.Match[str], name: str) -> list[float]:
    first, last = float(found[1]), float(found[2])
    if found[4]:
        count = int(found[4])
        step = (last - first) / max(1, count - 1)
    else:
        step = float(found[3] or 1) or 1.0
        if (last - first) * step < 0:
            raise EngineError(f"{name}: {found[0]} leads nowhere.")
        count = int((last - first) / step + 1e-9) + 1
    if count > MOST:
        raise EngineError(f"{name}: {found[0]} are {count:,} numbers; at most {MOST:,}.")
    return [round(first + number * step, 6) for number in range(count)]
