"""Pictures that others made, decoded within bounds of their kind, their bytes and their pixels."""

from __future__ import annotations

import hashlib
import io
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from engine.errors import FileFormatError
from engine.files.regular_file import printable, read_regular

if TYPE_CHECKING:
    from PIL.Image import Image

FORMATS = ("PNG", "JPEG", "WEBP", "GIF")
"""Pillow would give PostScript to Ghostscript, and TIFF to a library that prints on the screen."""
MAX_BYTES = 64_000_000
MAX_SIDE = 16_384
MAX_PIXELS = 40_000_000
"""More than 8K; decoding takes seconds and some hundred megabytes at this size."""
MAX_SCANS = 100
"""Passes through a progressive JPEG, several times what encoders make. Each may be a few bytes
long, and takes as much time as the whole picture."""

_PNG = b"\x89PNG\r\n\x1a\n"
_MOST_CHUNKS = 100_000
"""Of pixels, ten times what encoders make of the largest picture; each takes some time."""
_PNG_CHUNKS = (b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND")
_WEBP_START = 30
"""Bytes, with the size in each of its three ways."""
_WEBP_SIDE = 2**14 - 1
_T = TypeVar("_T")


def picture_of(source: Path | bytes, use: Callable[[Image], _T]) -> _T:
    """Give the pixels of a picture's file, or of its bytes, to `use`, and return what that makes.

    The picture is not decoded yet, and has nothing but its pixels: of several frames the first.
    Raises `FileFormatError` when it is no picture, too large, or broken.
    """
    name, content = _content(source)
    if content.startswith(_PNG):
        content = b"".join((_PNG, *_critical_chunks(content)))
    elif (size := _webp_size(content)) is not None and not _is_small(*size):
        raise _too_large(name, *size)
    elif content.startswith(b"\xff\xd8") and content.count(b"\xff\xda") > MAX_SCANS:
        raise FileFormatError(f"{name}: this JPEG has more than {MAX_SCANS} scans.")
    return _decoded(name, content, use)


def picture_hash(path: Path) -> str:
    """The first 12 digits of the SHA-256 of a picture's file; raises as `picture_of` does."""
    return hashlib.sha256(read_regular(path, MAX_BYTES)).hexdigest()[:12]


def _content(source: Path | bytes) -> tuple[str, bytes]:
    if isinstance(source, bytes):
        return "the picture", source
    return printable(source.name), read_regular(source, MAX_BYTES)


def _decoded(name: str, content: bytes, use: Callable[[Image], _T]) -> _T:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if _is_small(*image.size):
                return use(image)
            size = image.size
    except UnidentifiedImageError as error:
        raise FileFormatError(f"{name}: this is no PNG, JPEG, WebP or GIF picture.") from error
    # Pillow's decoders raise whatever a broken file leads them to, and it has no class for all.
    except Exception as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise FileFormatError(f"{name}: cannot be read as a picture ({reason}).") from error
    raise _too_large(name, *size)


def _is_small(width: int, height: int) -> bool:
    return max(width, height) <= MAX_SIDE and width * height <= MAX_PIXELS


def _too_large(name: str, width: int, height: int) -> FileFormatError:
    return FileFormatError(f"{name}: too large a picture, {width} × {height} pixels.")


def _webp_size(content: bytes) -> tuple[int, int] | None:
    """The size that a WebP says it has; None for what is none.

    Pillow takes eight bytes for each of its pixels before it tells
    (https://developers.google.com/speed/webp/docs/riff_container).
    """
    if content[:4] != b"RIFF" or content[8:12] != b"WEBP" or len(content) < _WEBP_START:
        return None
    match content[12:16]:
        case b"VP8X":
            width, height = content[24:27], content[27:30]
            return 1 + int.from_bytes(width, "little"), 1 + int.from_bytes(height, "little")
        case b"VP8L":
            bits = int.from_bytes(content[21:25], "little")
            return 1 + (bits & _WEBP_SIDE), 1 + (bits >> 14 & _WEBP_SIDE)
        case b"VP8 ":
            # The two bits above each side say how it is to be scaled.
            width, height = struct.unpack("<HH", content[26:30])
            return width & _WEBP_SIDE, height & _WEBP_SIDE
    return None


def _critical_chunks(png: bytes) -> Iterator[bytes]:
    """The chunks of a PNG that its pixels need; others may be thousands of packed megabytes.

    A chunk is its length, its kind, its data and a checksum (https://www.w3.org/TR/png-3/).
    """
    start = len(_PNG)
    for _ in range(_MOST_CHUNKS):
        if start + 12 > len(png):
            break
        (length,) = struct.unpack_from(">I", png, start)
        if png[start + 4 : start + 8] in _PNG_CHUNKS:
            yield png[start : start + 12 + length]
        start += 12 + length
