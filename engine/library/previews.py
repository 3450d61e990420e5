"""The picture of a LoRA: beside its file, or inside its header."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from engine.files.header import Header
from engine.library.metadata import MAX_JSON, json_or_none

PREVIEW_ENDINGS = (
    ".webp", ".preview.webp", ".preview.png", ".preview.jpeg", ".preview.jpg",
    ".png", ".jpeg", ".jpg", ".gif", ".thumb.jpg",
)  # fmt: skip
"""What follows the LoRA's name in a preview's, in order of preference."""

_PICTURE_STARTS = (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")
_MAX_EMBEDDED = 8
"""Embedded pictures that are tried."""


def embedded_previews(header: Header) -> Iterator[bytes]:
    """The pictures inside a header, as the bytes of PNG, JPEG, WebP or GIF files.

    `ssmd_cover_images` is a JSON list of base64 texts, `modelspec.thumbnail` a data URL. The bytes
    come from a stranger: open them with a decoder that bounds the size of the picture.
    """
    covers = json_or_none(header.metadata.get("ssmd_cover_images", ""))
    texts = covers[:_MAX_EMBEDDED] if isinstance(covers, list) else []
    for text in (*texts, header.metadata.get("modelspec.thumbnail", "")):
        if isinstance(text, str) and (picture := _decode_picture(text)):
            yield picture


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
