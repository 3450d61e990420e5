"""The mark inside a cell's picture: the digest of what it was drawn from, in a text of the PNG.

A chunk is its length, its kind, its data and a checksum (https://www.w3.org/TR/png-3/).
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator

from engine.errors import FileFormatError

_START = b"\x89PNG\r\n\x1a\n"
_KEYWORD = b"loraswitch cell\0"


def marked(png: bytes, key: str) -> bytes:
    """A PNG with a mark, in place of one that it has; everything else stays as it is.

    Raises `FileFormatError` for what is no whole PNG.
    """
    parts = [_START]
    for kind, chunk in _chunks(png):
        if kind == b"IEND":
            parts.append(_chunk(b"tEXt", _KEYWORD + key.encode("ascii")))
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


def _is_mark(kind: bytes, chunk: bytes) -> bool:
    return kind == b"tEXt" and chunk.startswith(_KEYWORD, 8)


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
