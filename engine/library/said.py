"""A table of JSON that another program wrote: each value is checked, and what is odd is said."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.library.metadata import json_or_none
from engine.words.clean import MAX_TEXT, clean_line

MAX_STRENGTH = 20.0
"""A preferred strength beyond this is a mistake."""
_MOST_NAMED = 5


class Said:
    """Values by their names; one that is missing or null is empty, and so is one of another kind.

    The names of the latter are kept, for `problems`.
    """

    def __init__(self, value: Any, odd: list[str] | None = None, name: str = "") -> None:
        self._odd = [] if odd is None else odd
        self._name = name
        self._values: Mapping[str, Any] = value if isinstance(value, dict) else {}
        if value is not None and not isinstance(value, dict):
            self._odd.append(name)

    def problems(self, path: Path) -> tuple[str, ...]:
        """What of it makes no sense, in a sentence."""
        if not self._odd:
            return ()
        named = [f"“{clean_line(name, 80)}”" for name in self._odd if name]
        more = " and more" if len(named) > _MOST_NAMED else ""
        what = f"{', '.join(named[:_MOST_NAMED])}{more}" if named else "all of it"
        return (clean_line(f"{path}: {what} is not as it should be there, and is left out."),)

    def text(self, name: str) -> str:
        """A text, of sensible length."""
        value = self._get(name)
        if value is None or isinstance(value, str):
            return (value or "")[: 4 * MAX_TEXT]
        self._note(name)
        return ""

    def texts(self, name: str) -> list[str]:
        """A list of texts."""
        value = self._get(name)
        if value is not None and not isinstance(value, list):
            self._note(name)
            return []
        items = [item for item in value or () if item is not None]
        found = [item for item in items if isinstance(item, str)]
        if len(found) < len(items):
            self._note(name)
        return found

    def all_texts(self) -> dict[str, str]:
        """All values that are texts."""
        return {name: value for name, value in self._values.items() if isinstance(value, str)}

    def table(self, name: str) -> Said:
        """A table in it."""
        return Said(self._get(name), self._odd, self._path(name))

    def table_in_text(self, name: str) -> Said:
        """A table that is written as JSON in a text."""
        text = self.text(name)
        table = json_or_none(text)
        if text and table is None:
            self._note(name)
        return Said(table, self._odd, self._path(name))

    def is_true(self, name: str) -> bool:
        """A flag."""
        value = self._get(name)
        if value is not None and not isinstance(value, bool):
            self._note(name)
        return value is True

    def strength(self, name: str) -> float | None:
        """A strength: a number, or a number in a string (both are seen)."""
        value = self._get(name)
        if value is None or value == "":
            return None
        try:
            number = math.nan if isinstance(value, bool) else float(value)
        except (ValueError, OverflowError, TypeError):
            number = math.nan
        if math.isfinite(number) and abs(number) <= MAX_STRENGTH:
            return number
        self._note(name)
        return None

    def _get(self, name: str) -> Any:
        return self._values.get(name)

    def _path(self, name: str) -> str:
        return f"{self._name}.{name}" if self._name else name

    def _note(self, name: str) -> None:
        if (path := self._path(name)) not in self._odd:
            self._odd.append(path)
