"""JSON that others wrote, parsed within a bound."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable
from typing import Any

MAX_VALUES = 1_000_000
"""Values in one text, many times what any file has. A hundred megabytes of empty lists would take
half a minute and gigabytes."""
_MOST_DIGITS = 400


def parse_json(text: str | bytes) -> Any:
    """The value of a JSON text. Raises `ValueError`, with a reason in words, when there is none."""
    if isinstance(text, bytes):
        # Not left to json, which takes UTF-16 and UTF-32 for granted where zeros are.
        try:
            text = text.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise ValueError("it is no UTF-8 text") from error
    # One of these stands before each value or its key; strings may hold some more.
    if sum(map(text.count, ",[{")) > MAX_VALUES:
        raise ValueError(f"it has more than {MAX_VALUES:,} values")
    try:
        return _parsed(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def require_single_names(text: bytes) -> None:
    """Raise `ValueError` where a table of a sound JSON text has one name twice.

    Readers differ in which of the two counts. Takes several times as long as to parse it.
    """

    def pairs(items: Iterable[tuple[str, Any]]) -> None:
        seen = set[str]()
        for name, _ in items:
            if name in seen:
                raise ValueError(f"it names {name[:80]!r} twice")
            seen.add(name)

    json.loads(text.decode("utf-8-sig"), object_pairs_hook=pairs, parse_int=whole_number)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except ValueError:
        # Python reads no number of thousands of digits; the rest of the text is as good without.
        return json.loads(text, parse_int=whole_number)


def whole_number(digits: str) -> int | float:
    """A whole number; one of more digits than anything is counted with is out of every bound."""
    return int(digits) if len(digits) <= _MOST_DIGITS else math.inf
