"""What Civitai knows of a file, by its hash. Asked only where the user has switched that on."""

from __future__ import annotations

import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from engine.errors import EngineError
from engine.files.json_text import parse_json
from engine.files.regular_file import printable
from engine.files.saving import in_words, replace_file

SITE = "https://civitai.com"
_SECONDS = 20.0
_MAX_BYTES = 8_000_000
_ENDING = ".safetensors"


def by_hash_address(sha256: str, site: str = SITE) -> str:
    """Where Civitai answers for the file with this hash."""
    return f"{site}/api/v1/model-versions/by-hash/{sha256}"


def ask(sha256: str, site: str = SITE) -> Mapping[str, Any]:
    """What Civitai says of a file; an empty table where it does not know it.

    Raises `EngineError` where no answer comes, or one that makes no sense.
    """
    request = urllib.request.Request(
        by_hash_address(sha256, site),
        headers={"Accept": "application/json", "User-Agent": "loraswitch"},
    )
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:
            raw = answer.read(_MAX_BYTES + 1)
    except urllib.error.HTTPError as error:
        if error.code == 404:
            return {}
        raise EngineError(f"Civitai does not answer ({error.code} {error.reason}).") from error
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", error)
        raise EngineError(f"Civitai cannot be reached ({reason}).") from error
    try:
        table = parse_json(raw) if len(raw) <= _MAX_BYTES else None
    except ValueError as error:
        raise EngineError(f"Civitai's answer makes no sense ({error}).") from error
    if not isinstance(table, dict):
        raise EngineError("Civitai's answer makes no sense.")
    return table


def keep_answer(lora: Path, table: Mapping[str, Any]) -> Path:
    """Write an answer as `X.civitai.info`, where other programs read it too; `{}` for unknown.

    One that is there stays as it is: it may hold what Civitai no longer knows. Raises `EngineError`
    where it cannot be written.
    """
    path = lora.with_name(lora.name[: -len(_ENDING)] + ".civitai.info")
    if path.exists():
        return path
    try:
        replace_file(path, (json.dumps(table, indent=4, ensure_ascii=False) + "\n").encode())
    except OSError as error:
        raise EngineError(f"{printable(path)}: {in_words(error)}.") from error
    return path
