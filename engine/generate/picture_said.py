"""All that a picture's file says of how it was made, whichever program wrote it; needs no torch."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.files.picture_texts import INFOTEXT, MAKING, PictureTexts, read_picture_texts
from engine.generate.infotext import Infotext, parse_infotext
from engine.generate.infotext.comfyui import read_graph
from engine.generate.infotext.comfyui_workflow import graph_of
from engine.generate.infotext.dialects import program_of, read_dream
from engine.generate.infotext.json_values import json_object
from engine.protocol.making import Making, decode_making

_IN_EXIF = (("prompt:", "prompt"), ("workflow:", "workflow"))
"""How ComfyUI begins its texts in the EXIF of WebP and JPEG."""


@dataclass(frozen=True)
class PictureSaid:
    """What is known of a picture; all empty for one that says nothing."""

    width: int
    height: int
    program: str = ""
    """That wrote it, such as `A1111`; empty where none is told."""
    making: Making | None = None
    """Exactly what made it, where it was drawn here."""
    info: Infotext | None = None
    infotext: str = ""
    """As it stands in the file; what was made of a graph or of JSON has none."""
    notes: tuple[str, ...] = ()
    """What could not be read, as the ends of sentences."""


def read_picture(path: Path) -> PictureSaid:
    """Read a PNG, JPEG or WebP. Raises `FileFormatError` for all else."""
    return said_by(read_picture_texts(path))


def said_by(found: PictureTexts) -> PictureSaid:
    """What the texts in a picture's file come to; nothing in them is an error."""
    texts = {**found.texts, **_of_exif(found.texts)}
    notes = list(found.notes)
    making = None
    if MAKING in texts:
        try:
            making = decode_making(texts[MAKING])
        except ValueError as error:
            notes.append(f"what loraswitch wrote of it cannot be read ({str(error)[:200]})")
    comment = texts.get("comment", "")
    text = texts.get(INFOTEXT) or texts.get("UserComment") or ""
    if not text and _has_settings(parse_infotext(comment)):
        # A JPEG's; those of cameras and editors are no prompts.
        text = comment
    info, program = _info(texts, text)
    if making is not None:
        program = "loraswitch"
    is_plain = bool(text) and json_object(text) is None
    return PictureSaid(
        found.width, found.height, program, making, info, text if is_plain else "", tuple(notes)
    )


def _info(texts: Mapping[str, str], text: str) -> tuple[Infotext | None, str]:
    """The settings and the program's name; the first text that has settings counts."""
    table = json_object(text)
    if text and (table is None or not _is_graph(table)):
        info = parse_infotext(text)
        if _has_settings(info):
            return info, _program(texts, table, info)
    for key in ("invokeai_metadata", "sd-metadata", "fooocus", "generation_data", "Comment"):
        if (settings := json_object(texts.get(key, "").rstrip("\0"))) is not None:
            return parse_infotext(json.dumps(settings)), _program_of_key(key, texts, settings)
    if program_of(texts) == "Easy Diffusion":
        return parse_infotext(json.dumps(dict(texts))), "Easy Diffusion"
    if dream := read_dream(texts.get("Dream", "")):
        return parse_infotext(json.dumps(dream)), "InvokeAI"
    for key in ("prompt", "workflow"):
        graph = json_object(texts.get(key))
        if graph is not None:
            drawn = read_graph(graph_of(graph) if key == "workflow" else graph)
            if drawn is not None:
                return drawn, "ComfyUI"
    if "prompt" in texts or "workflow" in texts:
        return None, "ComfyUI"
    return (parse_infotext(text), "") if text and table is None else (None, "")


def _has_settings(info: Infotext) -> bool:
    return info.steps is not None or info.seed is not None or info.sampler is not None


def _program_of_key(key: str, texts: Mapping[str, str], settings: Mapping[str, object]) -> str:
    if key == "Comment":
        return "NovelAI" if texts.get("Software") == "NovelAI" else "Fooocus"
    usual = {"fooocus": "Fooocus", "generation_data": "Tensor.Art"}
    return usual.get(key) or program_of(settings) or "InvokeAI"


def _is_graph(table: Mapping[str, object]) -> bool:
    return any(isinstance(node, dict) and "class_type" in node for node in table.values())


_BY_VERSION = (
    (re.compile(r"loraswitch"), "loraswitch"),
    (re.compile(r"f[0-9]+\.[0-9]|forge|neo", re.I), "Forge"),
    (re.compile(r"v?[0-9]+\.[0-9]+\.[0-9]+"), "A1111"),
    (re.compile(r"fooocus", re.I), "Fooocus"),
    (re.compile(r"comfyui", re.I), "ComfyUI"),
    (re.compile(r"stable-diffusion\.cpp"), "stable-diffusion.cpp"),
)


def _program(texts: Mapping[str, str], table: Mapping[str, object] | None, info: Infotext) -> str:
    if table is not None and (program := program_of(table)):
        return program
    if "fooocus_scheme" in texts or "Fooocus" in (info.version or ""):
        return "Fooocus"
    for key, name in (("app", "SD.Next"), ("backend", "SD.Next")):
        if key in {field.lower() for field, _ in info.extra}:
            return name
    for pattern, name in _BY_VERSION:
        if info.version and pattern.match(info.version):
            return name
    return "A1111" if table is None else ""


def _of_exif(texts: Mapping[str, str]) -> dict[str, str]:
    """ComfyUI's graphs where a format has no keys of its own."""
    found = {}
    for tag in ("Make", "Model", "ImageDescription"):
        text = texts.get(tag, "")
        for start, key in _IN_EXIF:
            if text[: len(start)].lower() == start:
                found[key] = text[len(start) :]
    return found
