"""The mark inside a cell's picture: the digest of what it was drawn from, in a text of the PNG.

A chunk is its length, its kind, its data and a checksum (https://www.w3.org/TR/png-3/).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from engine.errors import FileFormatError
from engine.files.picture_texts import MAKING
from engine.proof.digest import joined_key
from engine.protocol.making import Making, decode_making, encode_making

_START = b"\x89PNG\r\n\x1a\n"
_KEYWORD = b"loraswitch cell\0"
_MAKING = MAKING.encode("ascii") + bytes(5)
"""The key of the text, and what stands before it: not compressed, of no language."""


def marked(png: bytes, key: str, output: Path | None = None) -> bytes:
    """A PNG with a mark, in place of one that it has.

    With `output`, what made the picture says that it lies there: where it was drawn to is a place
    of a moment. Everything else stays as it is. Raises `FileFormatError` for what is no whole PNG.
    """
    parts = [_START]
    for kind, chunk in _chunks(png):
        if kind == b"IEND":
            parts.append(_chunk(b"tEXt", _KEYWORD + key.encode("ascii")))
        if output is not None and kind == b"iTXt" and chunk.startswith(_MAKING, 8):
            chunk = _placed(chunk, output)
        if not _is_mark(kind, chunk):
            parts.append(chunk)
    return b"".join(parts)


def mark_of(png: bytes) -> str | None:
    """The mark of a whole PNG; None where it has none. Raises `FileFormatError` as `marked`."""
    mark = None
    for kind, chunk in _chunks(png):
        if _is_mark(kind, chunk):
            mark = chunk[8 + len(_KEYWORD) : -4].decode("ascii", "replace")
    return mark


def drawn_key(png: bytes) -> str | None:
    """The digest of what a picture was drawn from, by its certificate; None where it has none.

    Raises `FileFormatError` as `marked`.
    """
    making = making_of(png)
    if making is None or making.certificate is None:
        return None
    certificate = making.certificate
    return joined_key(certificate.weights, certificate.request, certificate.loop)


def making_of(png: bytes) -> Making | None:
    """What made a picture; None where that is not said. Raises `FileFormatError` as `marked`."""
    for kind, chunk in _chunks(png):
        if kind == b"iTXt" and chunk.startswith(_MAKING, 8):
            with suppress(ValueError):
                return _making(chunk)
    return None


def size_of(png: bytes) -> tuple[int, int]:
    """Width and height of a whole PNG, by its first chunk."""
    width, height = struct.unpack_from(">II", png, len(_START) + 8)
    return width, height


def _is_mark(kind: bytes, chunk: bytes) -> bool:
    return kind == b"tEXt" and chunk.startswith(_KEYWORD, 8)


def _placed(chunk: bytes, output: Path) -> bytes:
    """The chunk of what made a picture, with its request for another folder."""
    try:
        making = _making(chunk)
    except ValueError:  # Of another version: it stays as it is.
        return chunk
    request = replace(making.request, output=output)
    text = encode_making(replace(making, request=request))
    return _chunk(b"iTXt", _MAKING + text.encode("utf-8"))


def _making(chunk: bytes) -> Making:
    return decode_making(chunk[8 + len(_MAKING) : -4].decode("utf-8"))


def _chunk(kind: bytes, data: bytes) -> bytes:
    body = kind + data
    return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and bytes of each chunk, to the last one; raises `FileFormatError`."""
    if not png.startswith(_START):
        raise FileFormatError("This is no PNG.")
    start = len(_START)
    while start + 12 <= len(png):
        (length,) = struct.unpack_from(">I", png, start)
        end = start + 12 + length
        chunk = png[start:end]
        if len(chunk) < 12 + length or zlib.crc32(chunk[4:-4]) != int.from_bytes(chunk[-4:]):
            break
        yield chunk[4:8], chunk
        if chunk[4:8] == b"IEND":
            return
        start = end
    raise FileFormatError("This PNG is not whole.")
