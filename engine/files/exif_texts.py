"""The texts in a picture's EXIF, in which programs put what made it, and how it is turned."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from typing import Literal

_NAMES = {
    0x010E: "ImageDescription", 0x010F: "Make", 0x0110: "Model", 0x0131: "Software",
    0x9286: "UserComment",
}  # fmt: skip
_INNER = 0x8769
_ORIENTATION = 0x0112
_ASCII, _BYTES, _UNDEFINED = 2, 1, 7
_MOST_ENTRIES = 1000
BYTE_ORDER_MARK = "\ufeff"
_ENCODINGS = (b"ASCII\0\0\0", b"JIS\0\0\0\0\0", bytes(8))


def exif_texts(data: bytes) -> tuple[dict[str, str], bool]:
    """The texts by the names of their tags, and whether something in it is broken.

    Format: TIFF 6.0, two lists of entries of 12 bytes each; of a tag that both have, that of the
    inner list (EXIF's own) counts.
    """
    data = data.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None or len(data) < 8:
        return {}, True
    found: dict[str, str] = {}
    try:
        (first,) = struct.unpack_from(f"{order}I", data, 4)
        outer = dict(_entries(data, order, first))
        inner = outer.get(_INNER)
        own = dict(_entries(data, order, int.from_bytes(inner[:4], _word(order)))) if inner else {}
    except struct.error:
        return {}, True
    for tag, name in _NAMES.items():
        value = own.get(tag) or outer.get(tag)
        if value:
            text = decode_comment(value) if tag == 0x9286 else guessed_text(value)
            found[name] = text.rstrip("\0")
    return found, False


def orientation(data: bytes) -> int:
    """How the camera was held, from 1 (upright) to 8; 0 where that is not said, or broken."""
    data = data.removeprefix(b"Exif\0\0")
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        return 0
    try:
        (start,) = struct.unpack_from(f"{order}I", data, 4)
        (count,) = struct.unpack_from(f"{order}H", data, start)
        for number in range(min(count, _MOST_ENTRIES)):
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", data, start + 2 + 12 * number)
            if tag == _ORIENTATION:
                return int(value)
    except struct.error:
        pass
    return 0


def decode_comment(comment: bytes) -> str:
    """Decode a UserComment: eight bytes name the encoding; UNICODE is UTF-16.

    A1111's is big-endian whatever the order of the rest; a little-endian one shows by its zeros.
    What has no zeros is UTF-8, whatever it says: settings have letters that have them in UTF-16.
    """
    name, body = comment[:8], comment[8:]
    if name == b"UNICODE\0" and 0 in body:
        little = body[1::2].count(0) > body[0::2].count(0)
        text = body.decode("utf-16-le" if little else "utf-16-be", "replace")
        return text.removeprefix(BYTE_ORDER_MARK)
    return guessed_text(body if name in (*_ENCODINGS, b"UNICODE\0") else comment)


def guessed_text(data: bytes) -> str:
    """Text of an encoding that nobody tells, or that is told wrongly: UTF-8 if it can be that."""
    try:
        return data.decode().removeprefix(BYTE_ORDER_MARK)
    except UnicodeDecodeError:
        return data.decode("latin-1")


def _entries(data: bytes, order: str, start: int) -> Iterator[tuple[int, bytes]]:
    (count,) = struct.unpack_from(f"{order}H", data, start)
    for number in range(min(count, _MOST_ENTRIES)):
        place = start + 2 + 12 * number
        tag, kind, length = struct.unpack_from(f"{order}HHI", data, place)
        if tag == _INNER:
            yield tag, data[place + 8 : place + 12]
        elif tag in _NAMES and kind in (_ASCII, _BYTES, _UNDEFINED):
            (offset,) = struct.unpack_from(f"{order}I", data, place + 8)
            begin = place + 8 if length <= 4 else offset
            yield tag, data[begin : begin + length]


def _word(order: str) -> Literal["little", "big"]:
    return "little" if order == "<" else "big"
