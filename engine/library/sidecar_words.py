"""Writing the user's own words into the file beside a LoRA that A1111 and Forge read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from engine.errors import EngineError, FileFormatError
from engine.files.json_text import parse_json
from engine.files.regular_file import printable, read_regular
from engine.files.saving import in_words, replace_file
from engine.library.metadata import MAX_JSON
from engine.store.lora_words import LoraWords

_ENDING = ".safetensors"


def write_a1111(lora: Path, words: LoraWords) -> Path:
    """Write what is said into `X.json`; what is not said, and keys of others, stay as they are.

    The file is written whole or not at all. Raises `EngineError` where it cannot be written, or
    holds something that is not understood.
    """
    path = lora.with_name(lora.name[: -len(_ENDING)] + ".json")
    table = _table(path)
    said: dict[str, Any] = {
        "notes": words.notes,
        "preferred weight": words.strength,
        "activation text": ", ".join(words.triggers),
        "sd version": words.base_model,
    }
    changed = {**table, **{key: value for key, value in said.items() if value not in ("", None)}}
    if changed != table:
        text = json.dumps(changed, indent=4, ensure_ascii=False) + "\n"
        try:
            replace_file(path, text.encode("utf-8", "replace"))
        except OSError as error:
            raise EngineError(f"{printable(path)}: {in_words(error)}.") from error
    return path


def _table(path: Path) -> dict[str, Any]:
    if not path.exists():
        return {}
    try:
        table = parse_json(read_regular(path, MAX_JSON) or b"{}")
    except (FileFormatError, ValueError) as error:
        raise EngineError(
            f"{printable(path)}: not written, it cannot be read ({error})."
        ) from error
    if not isinstance(table, dict):
        raise EngineError(f"{printable(path)}: not written, it holds no table.")
    return table
