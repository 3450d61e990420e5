"""JSON as others write it: the first value of a name counts, and what is broken is none."""

from __future__ import annotations

import json
from typing import Any

from engine.files.json_text import whole_number


def read_json(text: object) -> object:
    """The value of a JSON text, or None."""
    if not isinstance(text, str):
        return None
    try:
        value: object = json.loads(
            text, object_pairs_hook=_first_wins, parse_int=whole_number, strict=False
        )
    except (ValueError, RecursionError):
        return None
    return value


def json_object(value: object) -> dict[str, Any] | None:
    """A JSON object, from its text or already read; None for all else."""
    if isinstance(value, str) and value.lstrip().startswith("{"):
        value = read_json(value)
    return value if isinstance(value, dict) else None


def json_list(value: object) -> list[Any]:
    """A JSON list, from its text or already read; empty for all else."""
    if isinstance(value, str) and value.lstrip().startswith("["):
        value = read_json(value)
    return value if isinstance(value, list) else []


def write_json(value: object) -> str:
    """A value as text: a string is itself."""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        found.setdefault(name, value)
    return found
