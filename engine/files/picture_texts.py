"""The texts beside a picture's pixels, of PNG, JPEG and WebP, read within bounds and no pixel.

Only headers are read, and what lies between is passed over, so that ten thousand pictures can be
looked through. PNG: https://www.w3.org/TR/png-3/, JPEG: ITU T.81 B.1, WebP: RFC 9649.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from html import escape, unescape
from io import BufferedReader
from pathlib import Path

from engine.errors import FileFormatError
from engine.files.exif_texts import exif_texts, guessed_text
from engine.files.regular_file import open_regular, printable, unreadable

INFOTEXT = "parameters"
"""A1111's key."""
MAKING = "loraswitch"
"""That of our own text."""
MOST_TEXT = 16_000_000
"""Bytes of all texts of a picture, unpacked; the largest workflows have one or two million."""
MOST_PARTS = 20_000
"""Chunks or segments of one file: a PNG of 40 million pixels has some thousands."""

_PROPERTY = re.compile(rb"<loraswitch:made>([^<]*+)</loraswitch:made>")
_XMP_IN_PNG = "XML:com.adobe.xmp"
_EXIF_IN_PNG = ("Raw profile type exif", "Raw profile type APP1")
"""Where ImageMagick puts the EXIF of a picture that it makes a PNG of, in hexadecimal digits."""
_XMP_COMMENT = re.compile(rb"<exif:UserComment>\s*+(?:<[^<>]*+>\s*+)*+([^<]++)")
"""Where Draw Things writes; the text is in a list of one for each language."""


@dataclass(frozen=True)
class PictureTexts:
    """What a picture's file says beside its pixels."""

    kind: str
    """`png`, `jpeg` or `webp`."""
    width: int
    height: int
    texts: Mapping[str, str] = field(default_factory=dict)
    """By their names: a PNG's keys, and of EXIF `UserComment`, `ImageDescription`, `Make`…"""
    notes: tuple[str, ...] = ()
    """What was passed over, as the ends of sentences."""


def read_picture_texts(path: Path) -> PictureTexts:
    """Read them. Raises `FileFormatError` for a file that is no PNG, JPEG or WebP, or broken."""
    name = printable(path.name)
    try:
        with open_regular(path) as file:
            start = file.read(12)
            file.seek(0)
            if start.startswith(b"\x89PNG\r\n\x1a\n"):
                return _Found("png").png(file)
            if start.startswith(b"\xff\xd8"):
                return _Found("jpeg").jpeg(file)
            if start[:4] == b"RIFF" and start[8:] == b"WEBP":
                return _Found("webp").webp(file)
    except OSError as error:
        raise unreadable(path, error) from error
    except (struct.error, ValueError, IndexError) as error:
        raise FileFormatError(f"{name}: cannot be read as a picture ({error}).") from error
    raise FileFormatError(f"{name}: this is no PNG, JPEG or WebP picture.")


def write_xmp(making: str) -> bytes:
    """Our text as the XMP of a JPEG or WebP."""
    return (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:loraswitch="urn:loraswitch:picture">'
        f"<loraswitch:made>{escape(making, quote=False)}</loraswitch:made>"
        "</rdf:Description></rdf:RDF></x:xmpmeta>"
    ).encode()


class _Found:
    """Gathers what one file says."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        self._size = (0, 0)
        self._texts: dict[str, str] = {}
        self._notes: dict[str, None] = {}
        self._left = MOST_TEXT

    def png(self, file: BufferedReader) -> PictureTexts:
        file.seek(8)
        for number in range(MOST_PARTS):
            head = file.read(8)
            if len(head) < 8:
                break
            length, name = struct.unpack(">I4s", head)
            if number == 0 and name != b"IHDR":
                raise ValueError("it has no header")
            if name == b"IHDR":
                self._size = struct.unpack(">II", file.read(8))
                length -= 8
            elif name in (b"tEXt", b"zTXt", b"iTXt", b"eXIf"):
                if length <= self._left:
                    self._png_text(name, file.read(length))
                    length = 0
                else:
                    self._note("a text larger than any program writes was passed over")
            elif name == b"IEND":
                break
            file.seek(length + 4, 1)
        return self._result()

    def _png_text(self, name: bytes, data: bytes) -> None:
        if name == b"eXIf":
            self._exif(data)
            return
        key, _, rest = data.partition(b"\0")
        if name == b"tEXt":
            text = rest
        elif name == b"zTXt":
            text = self._unpacked(rest[1:])
        else:
            is_packed = rest[:1] == b"\1"
            _, _, rest = rest[2:].partition(b"\0")
            _, _, rest = rest.partition(b"\0")
            text = self._unpacked(rest) if is_packed else rest
        # Texts that are to be Latin-1 are often UTF-8.
        self._add(key.decode("latin-1"), text, is_utf8=name == b"iTXt")
        if key.decode("latin-1") == _XMP_IN_PNG:
            self._xmp(text)
        elif key.decode("latin-1") in _EXIF_IN_PNG:
            self._raw_profile(text)

    def _raw_profile(self, text: bytes) -> None:
        """A name, a number of bytes, and they, in lines."""
        digits = b"".join(text.split()[2:])
        try:
            self._exif(bytes.fromhex(digits.decode("ascii")))
        except ValueError:
            self._note("its EXIF is broken")

    def _unpacked(self, data: bytes) -> bytes:
        unpacker = zlib.decompressobj()
        try:
            text = unpacker.decompress(data, self._left + 1)
        except zlib.error:
            self._note("a packed text is broken")
            return b""
        if len(text) > self._left:
            self._note("a text larger than any program writes was passed over")
            return b""
        return text

    def jpeg(self, file: BufferedReader) -> PictureTexts:
        file.seek(2)
        for _ in range(MOST_PARTS):
            marker = file.read(2)
            while marker[1:] == b"\xff":
                marker = marker[1:] + file.read(1)
            if len(marker) < 2 or marker[0] != 0xFF or marker[1] in (0xDA, 0xD9):
                break
            (length,) = struct.unpack(">H", file.read(2))
            data = file.read(max(length - 2, 0))
            # All frame headers: baseline, progressive and so on, but tables and arithmetic ones.
            if 0xC0 <= marker[1] <= 0xCF and marker[1] not in (0xC4, 0xC8, 0xCC):
                height, width = struct.unpack_from(">HH", data, 1)
                self._size = (width, height)
            elif marker[1] == 0xE1 and data.startswith(b"Exif\0\0"):
                self._exif(data[6:])
            elif marker[1] == 0xE1 and data.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
                self._xmp(data)
            elif marker[1] == 0xFE:
                self._add("comment", data)
        return self._result()

    def webp(self, file: BufferedReader) -> PictureTexts:
        file.seek(12)
        for _ in range(MOST_PARTS):
            head = file.read(8)
            if len(head) < 8:
                break
            name, length = struct.unpack("<4sI", head)
            step = length + length % 2
            if name in (b"EXIF", b"XMP ") and length <= self._left:
                data = file.read(length)
                step -= len(data)
                self._exif(data) if name == b"EXIF" else self._xmp(data)
            elif name in (b"VP8X", b"VP8 ", b"VP8L"):
                data = file.read(min(length, 10))
                step -= len(data)
                self._size = _webp_size(name, data) if self._size == (0, 0) else self._size
            elif name in (b"EXIF", b"XMP "):
                self._note("a text larger than any program writes was passed over")
            file.seek(max(step, 0), 1)
        return self._result()

    def _exif(self, data: bytes) -> None:
        self._left -= len(data)
        if self._left < 0:
            self._note("a text larger than any program writes was passed over")
            return
        texts, broken = exif_texts(data)
        if broken:
            self._note("its EXIF is broken")
        for name, text in texts.items():
            self._texts.setdefault(name, text)

    def _xmp(self, data: bytes) -> None:
        for name, pattern in ((MAKING, _PROPERTY), ("UserComment", _XMP_COMMENT)):
            if (found := pattern.search(data)) is not None:
                text = unescape(found[1].decode("utf-8", "replace"))
                self._add(name, text.encode(), is_utf8=True)

    def _add(self, name: str, text: bytes, *, is_utf8: bool = False) -> None:
        self._left -= len(text)
        if self._left < 0:
            self._note("a text larger than any program writes was passed over")
        elif text:
            # Of two texts of one name the first counts.
            whole = text.decode("utf-8", "replace") if is_utf8 else guessed_text(text)
            self._texts.setdefault(name, whole)

    def _note(self, words: str) -> None:
        self._notes.setdefault(words)

    def _result(self) -> PictureTexts:
        width, height = self._size
        if not (width and height):
            raise ValueError("it does not say its size")
        return PictureTexts(self._kind, width, height, self._texts, tuple(self._notes))


def _webp_size(name: bytes, data: bytes) -> tuple[int, int]:
    if name == b"VP8X":
        return 1 + int.from_bytes(data[4:7], "little"), 1 + int.from_bytes(data[7:10], "little")
    if name == b"VP8L":
        bits = int.from_bytes(data[1:5], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    width, height = struct.unpack_from("<HH", data, 6)
    return width & 0x3FFF, height & 0x3FFF
