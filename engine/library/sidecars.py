"""The files beside `X.safetensors` that other programs write about it.

`X.json` (A1111), `X.metadata.json` (LoRA Manager), `X.civitai.info`, `X.cm-info.json` (Stability
Matrix), `X.swarm.json` (SwarmUI), `X.txt`, `X.description.txt`.
They are only read here, and every value in them is checked: they come from strangers too.
"""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from msgspec import structs

from engine.errors import FileFormatError
from engine.files.json_text import parse_json
from engine.files.regular_file import read_regular
from engine.library.description import MAX_TAGS, Description, trigger_words
from engine.library.html_text import plain_description
from engine.library.metadata import MAX_JSON, describe_metadata
from engine.library.said import Said
from engine.words.clean import clean_line, clean_text


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
        table = parse_json(text) if text.strip() else {}
    except FileFormatError as error:
        return Description(problems=(clean_line(str(error)),))
    except ValueError as error:
        return Description(problems=(clean_line(f"{path}: this is no sensible JSON ({error})."),))
    said = Said(table)
    found = _JSON_READERS[ending](said)
    return replace(found, source=_NAMES[ending], problems=said.problems(path))


def _decoded(raw: bytes) -> str:
    """The text of a file: UTF-8, or UTF-16 with the mark that Windows' programs write before it."""
    is_utf16 = raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
    return raw.decode("utf-16" if is_utf16 else "utf-8-sig", errors="replace")


def _a1111(data: Said) -> Description:
    return Description(
        description=plain_description(data.text("description")),
        trigger_words=trigger_words("A1111", [data.text("activation text")]),
        # 0 is this format's "unset".
        preferred_strength=data.strength("preferred weight") or None,
        negative_text=clean_text(data.text("negative text")),
        notes=plain_description(data.text("notes")),
        base_model=clean_line(data.text("sd version")),
    )


def _lora_manager(data: Said) -> Description:
    civitai = data.table("civitai")
    tips = data.table_in_text("usage_tips")
    return Description(
        title=clean_line(data.text("model_name")),
        description=plain_description(data.text("modelDescription")),
        author=clean_line(civitai.table("creator").text("username")),
        trigger_words=trigger_words("LoRA Manager", civitai.texts("trainedWords")),
        tags=_tags(data.texts("tags")),
        favourite=data.is_true("favorite"),
        preferred_strength=tips.strength("strength"),
        notes=plain_description(data.text("notes")),
        base_model=clean_line(data.text("base_model")),
    )


def _civitai(data: Said) -> Description:
    model = data.table("model")
    return Description(
        title=clean_line(model.text("name")),
        description=plain_description(model.text("description") or data.text("description")),
        author=clean_line(data.table("creator").text("username")),
        trigger_words=trigger_words("Civitai", data.texts("trainedWords")),
        tags=_tags(model.texts("tags")),
        base_model=clean_line(data.text("baseModel")),
    )


def _stability_matrix(data: Said) -> Description:
    return Description(
        title=clean_line(data.text("UserTitle") or data.text("ModelName")),
        description=plain_description(data.text("ModelDescription")),
        trigger_words=trigger_words("Stability Matrix", data.texts("TrainedWords")),
        tags=_tags(data.texts("Tags")),
        base_model=clean_line(data.text("BaseModel")),
    )


def _swarm(data: Said) -> Description:
    """SwarmUI writes what stands in a header: `modelspec.` keys, with or without that word."""
    texts = data.table("__metadata__").all_texts() or data.all_texts()
    spec = {key if "." in key else f"modelspec.{key}": value for key, value in texts.items()}
    said = describe_metadata(spec)
    words = tuple(structs.replace(group, source="SwarmUI") for group in said.trigger_words)
    return replace(said, trigger_words=words)


_JSON_READERS: Mapping[str, Callable[[Said], Description]] = {
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


def _tags(texts: list[str]) -> tuple[tuple[str, int], ...]:
    cleaned = (clean_line(tag) for tag in texts[:MAX_TAGS])
    return tuple((tag, 0) for tag in dict.fromkeys(cleaned) if tag)
