"""The picture of a LoRA: beside its file, or inside its header."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from pathlib import Path

from engine.library.metadata import MAX_JSON, parse_json
from engine.lora.header import Header

PREVIEW_ENDINGS = (
    ".webp", ".preview.webp", ".preview.png", ".preview.jpeg", ".preview.jpg",
    ".png", ".jpeg", ".jpg", ".gif", ".thumb.jpg",
)  # fmt: skip
"""What follows the LoRA's name in a preview's, in order of preference."""

_PICTURE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")


def find_preview(lora: Path) -> Path | None:
    """The preview picture beside a LoRA file, whatever the case of its name; None without one.

    None as well when the folder cannot be read.
    """
    try:
        names = [path.name for path in lora.parent.iterdir()]
    except OSError:
        return None
    name = pick_beside(lora.stem, PREVIEW_ENDINGS, by_folded_name(names))
    return lora.with_name(name) if name else None


def by_folded_name(names: list[str]) -> dict[str, list[str]]:
    """A folder's file names by their case-folded form, for `pick_beside`."""
    folded: dict[str, list[str]] = {}
    for name in names:
        folded.setdefault(name.casefold(), []).append(name)
    return folded


def pick_beside(stem: str, endings: tuple[str, ...], folded: Mapping[str, list[str]]) -> str | None:
    """The first name that is `stem` plus one of `endings`; its exact writing before other cases."""
    for ending in endings:
        candidates = folded.get((stem + ending).casefold())
        if candidates:
            return stem + ending if stem + ending in candidates else min(candidates)
    return None


def embedded_preview(header: Header) -> bytes | None:
    """The picture inside a header, as the bytes of a PNG, JPEG, WebP or GIF file; None without one.

    `ssmd_cover_images` is a JSON list of base64 texts, `modelspec.thumbnail` a data URL. The bytes
    come from a stranger: open them with a decoder that bounds the size of the picture.
    """
    covers = parse_json(header.metadata.get("ssmd_cover_images", ""))
    texts = (
        [cover for cover in covers if isinstance(cover, str)] if isinstance(covers, list) else []
    )
    texts.append(header.metadata.get("modelspec.thumbnail", ""))
    return next((picture for text in texts if (picture := _decode_picture(text))), None)


def _decode_picture(text: str) -> bytes | None:
    if len(text) > MAX_JSON:
        return None
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        picture = base64.b64decode(text)
    except (binascii.Error, ValueError):
        return None
    is_webp = picture[:4] == b"RIFF" and picture[8:12] == b"WEBP"
    return picture if is_webp or picture.startswith(_PICTURE_STARTS) else None
