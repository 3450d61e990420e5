"""The files beside `X.safetensors` that other programs write about it.

`X.json` (A1111), `X.metadata.json` (LoRA Manager), `X.civitai.info`, `X.cm-info.json` (Stability
Matrix), `X.swarm.json` (SwarmUI), `X.txt`, `X.description.txt`.
They are only read here, and every value in them is checked: they come from strangers too.
"""

from __future__ import annotations

import codecs
import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from engine.errors import FileFormatError
from engine.files.json_text import parse_json
from engine.files.regular_file import read_regular
from engine.library.description import MAX_TAGS, Description, trigger_words
from engine.library.html_text import plain_description
from engine.library.metadata import MAX_JSON, describe_metadata, json_or_none
from engine.words.clean import MAX_TEXT, clean_line, clean_text

MAX_STRENGTH = 20.0
"""A preferred strength beyond this is a mistake."""


def read_sidecars(files: Iterable[tuple[str, Path]]) -> list[Description]:
    """Read sidecar files, given as their ending in `SIDECAR_ENDINGS` with their path.

    The user's own words come first in the result. Of a file that cannot be read only its problem
    is said: a sidecar is an extra, and the LoRA works without it.
    """
    found = {ending: _read(ending, path) for ending, path in files}
    return [found[ending] for ending in SIDECAR_ENDINGS if ending in found]


def _read(ending: str, path: Path) -> Description:
    try:
        text = _decoded(read_regular(path, MAX_JSON))
        if ending in _TEXT_ENDINGS:
            return Description(description=plain_description(text), source="text file")
        table = parse_json(text) if text else {}
    except FileFormatError as error:
        return Description(problems=(clean_line(str(error)),))
    except ValueError as error:
        return Description(problems=(clean_line(f"{path}: this is no sensible JSON ({error})."),))
    return replace(_JSON_READERS[ending](_table(table)), source=_NAMES[ending])


def _decoded(raw: bytes) -> str:
    """The text of a file: UTF-8, or UTF-16 with the mark that Windows' programs write before it."""
    is_utf16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return raw.decode("utf-16" if is_utf16 else "utf-8-sig", errors="replace")


def _a1111(data: Mapping[str, Any]) -> Description:
    return Description(
        description=plain_description(_text(data, "description")),
        trigger_words=trigger_words("A1111", [_text(data, "activation text")]),
        # 0 is this format's "unset".
        preferred_strength=_strength(data.get("preferred weight")) or None,
        negative_text=clean_text(_text(data, "negative text")),
        notes=plain_description(_text(data, "notes")),
        base_model=clean_line(_text(data, "sd version")),
    )


def _lora_manager(data: Mapping[str, Any]) -> Description:
    civitai = _table(data.get("civitai"))
    tips = _table(json_or_none(_text(data, "usage_tips")))
    return Description(
        title=clean_line(_text(data, "model_name")),
        description=plain_description(_text(data, "modelDescription")),
        author=clean_line(_text(_table(civitai.get("creator")), "username")),
        trigger_words=trigger_words("LoRA Manager", _texts(civitai.get("trainedWords"))),
        tags=_tags(data.get("tags")),
        favourite=data.get("favorite") is True,
        preferred_strength=_strength(tips.get("strength")),
        notes=plain_description(_text(data, "notes")),
        base_model=clean_line(_text(data, "base_model")),
    )


def _civitai(data: Mapping[str, Any]) -> Description:
    model = _table(data.get("model"))
    return Description(
        title=clean_line(_text(model, "name")),
        description=plain_description(_text(model, "description") or _text(data, "description")),
        author=clean_line(_text(_table(data.get("creator")), "username")),
        trigger_words=trigger_words("Civitai", _texts(data.get("trainedWords"))),
        tags=_tags(model.get("tags")),
        base_model=clean_line(_text(data, "baseModel")),
    )


def _stability_matrix(data: Mapping[str, Any]) -> Description:
    return Description(
        title=clean_line(_text(data, "UserTitle") or _text(data, "ModelName")),
        description=plain_description(_text(data, "ModelDescription")),
        trigger_words=trigger_words("Stability Matrix", _texts(data.get("TrainedWords"))),
        tags=_tags(data.get("Tags")),
        base_model=clean_line(_text(data, "BaseModel")),
    )


def _swarm(data: Mapping[str, Any]) -> Description:
    """SwarmUI writes what stands in a header: `modelspec.` keys, with or without that word."""
    table = _table(data.get("__metadata__")) or data
    texts = {key: value for key, value in table.items() if isinstance(value, str)}
    spec = {key if "." in key else f"modelspec.{key}": value for key, value in texts.items()}
    said = describe_metadata(spec)
    words = tuple(replace(group, source="SwarmUI") for group in said.trigger_words)
    return replace(said, trigger_words=words)


_JSON_READERS: Mapping[str, Callable[[Mapping[str, Any]], Description]] = {
    ".json": _a1111,
    ".metadata.json": _lora_manager,
    ".civitai.info": _civitai,
    ".cm-info.json": _stability_matrix,
    ".swarm.json": _swarm,
}
_NAMES = {
    ".json": "A1111",
    ".metadata.json": "LoRA Manager",
    ".civitai.info": "Civitai",
    ".cm-info.json": "Stability Matrix",
    ".swarm.json": "SwarmUI",
}
_TEXT_ENDINGS = (".description.txt", ".txt")
SIDECAR_ENDINGS = (*_JSON_READERS, *_TEXT_ENDINGS)
"""What follows the LoRA's name in a sidecar's, the user's own words first."""


def _table(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value[: 4 * MAX_TEXT] if isinstance(value, str) else ""


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _tags(value: Any) -> tuple[tuple[str, int], ...]:
    cleaned = (clean_line(tag) for tag in _texts(value)[:MAX_TAGS])
    return tuple((tag, 0) for tag in dict.fromkeys(cleaned) if tag)


def _strength(value: Any) -> float | None:
    """A number, or a number in a string (both are seen)."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) and abs(number) <= MAX_STRENGTH else None
