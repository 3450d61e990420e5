"""An entry of the library as three texts for the index, and back."""

from __future__ import annotations

import json
from dataclasses import fields
from pathlib import Path
from typing import Any

import msgspec

from engine.library.entry import LibraryEntry, TriggerWords

_OWN_TEXTS = ("path", "root", "tags", "metadata", "trigger_words", "previews")
_NAMES = tuple(field.name for field in fields(LibraryEntry) if field.name not in _OWN_TEXTS)


def encode(entry: LibraryEntry) -> tuple[str, str, str]:
    """An entry as JSON, with defaults left out, and its two long tables.

    The tables are plain text, a line per item, which is read several times faster. Their items are
    single lines: that is how text is cleaned for an entry.
    """
    own = entry.__dict__
    # A number says something even where it is zero; False is the default of a flag.
    values = {n: value for n in _NAMES if (value := own[n]) or type(value) in (int, float)}
    values["trigger_words"] = [(group.source, group.words) for group in entry.trigger_words]
    if entry.previews:
        values["previews"] = [str(preview) for preview in entry.previews]
    tags = "\n".join(f"{tag}\n{count}" for tag, count in entry.tags)
    metadata = "\n".join(f"{key}\n{value}" for key, value in entry.metadata)
    return _encode_json(values), tags, metadata


def _encode_json(values: dict[str, Any]) -> str:
    try:
        return msgspec.json.encode(values).decode()
    except (UnicodeEncodeError, OverflowError):
        # The bytes of a path that are not UTF-8, numbers of more than 64 bits.
        return json.dumps(values, separators=(",", ":"))


def decode(path: Path, root: Path, text: str, tags: str, metadata: str) -> LibraryEntry | None:
    """The entry again; None when its texts make no sense, and its file is then read anew."""
    try:
        values: dict[str, Any] = json.loads(text)
        values["trigger_words"] = tuple(
            TriggerWords(source, tuple(words)) for source, words in values["trigger_words"]
        )
        values["parts"] = tuple(values.get("parts", ()))
        values["previews"] = tuple(map(Path, values.get("previews", ())))
        values["sources"] = tuple((name, who) for name, who in values.get("sources", ()))
        values["problems"] = tuple(values.get("problems", ()))
        names, counts = _alternating(tags)
        values["tags"] = tuple(zip(names, map(int, counts), strict=True))
        values["metadata"] = tuple(zip(*_alternating(metadata), strict=True))
        return LibraryEntry(path, root, **values)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _alternating(lines: str) -> tuple[list[str], list[str]]:
    items = lines.split("\n") if lines else []
    return items[::2], items[1::2]
