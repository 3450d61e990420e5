"""Pictures of strangers: four kinds are decoded, within bounds of their sides, pixels and bytes."""

from __future__ import annotations

import io
import os
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from engine.errors import FileFormatError
from engine.files.picture_file import MAX_BYTES, MAX_SCANS, picture_of
from tests.support.bounds import bounded


def chunk(kind: bytes, data: bytes) -> bytes:
    checksum = struct.pack(">I", zlib.crc32(kind + data))
    return struct.pack(">I", len(data)) + kind + data + checksum


def png(width: int, height: int, *extra: bytes, data: bytes = b"\0") -> bytes:
    start = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (chunk(b"IHDR", start), *extra, chunk(b"IDAT", data), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def saved(kind: str, size: tuple[int, int] = (8, 6), **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (200, 20, 120)).save(file, kind, **options)
    return file.getvalue()


def decoded(source: Path | bytes) -> tuple[tuple[int, int], tuple[int, ...]]:
    def look(image: Image.Image) -> tuple[tuple[int, int], tuple[int, ...]]:
        rgb = image.convert("RGB")
        pixel = rgb.getpixel((0, 0))
        assert isinstance(pixel, tuple)
        return rgb.size, pixel

    return picture_of(source, look)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "GIF"])
def test_four_kinds_are_decoded_whatever_the_file_is_called(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.preview.png"
    path.write_bytes(saved(kind))
    for source in (path, path.read_bytes()):
        size, pixel = decoded(source)
        assert size == (8, 6)
        assert all(abs(a - b) < 12 for a, b in zip(pixel, (200, 20, 120), strict=True))


@pytest.mark.parametrize("kind", ["TIFF", "BMP", "ICO", "PPM", "TGA", "ICNS", "DDS", "PDF", "EPS"])
def test_other_kinds_are_not(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(saved(kind, (16, 16)))
    with pytest.raises(FileFormatError, match=r"x\.png: this is no PNG, JPEG, WebP or GIF"):
        decoded(path)


def test_nothing_is_given_to_ghostscript(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    called = tmp_path / "called"
    fake = tmp_path / "bin" / "gs"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\ntouch {called}\nexit 1\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{fake.parent}:{os.environ['PATH']}")
    start = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 100 100\n%%EndComments\n"
    with pytest.raises(FileFormatError):
        decoded(start + b"{} loop\n%%EOF\n")
    assert not called.exists()


def gif(canvas: tuple[int, int], frame: tuple[int, int]) -> bytes:
    start = b"GIF89a" + struct.pack("<HHBBB", *canvas, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return start + b"\x2c" + struct.pack("<HHHHB", 0, 0, *frame, 0) + b"\2\2\x4c\1\0"


def repeated_frames(count: int) -> bytes:
    content = saved("GIF")
    frame = content.index(b"\x2c")
    return content[:frame] + content[frame:-1] * count + content[-1:]


def webp(width: int, height: int) -> bytes:
    """An animated WebP of one small frame on a canvas of this size."""
    picture = saved("WEBP", (1, 1), lossless=True)[12:]
    frame = bytes(12) + b"\x64\0\0\0" + picture
    body = b"WEBPVP8X" + struct.pack("<I", 10) + b"\2\0\0\0"
    body += (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
    body += b"ANIM" + struct.pack("<I", 6) + bytes(6)
    body += b"ANMF" + struct.pack("<I", len(frame)) + frame + bytes(len(frame) % 2)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def progressive(scans: int) -> bytes:
    """A JPEG whose last pass comes again and again."""
    content = saved("JPEG", (800, 800), progressive=True)
    last = content.rindex(b"\xff\xda")
    return content[:last] + content[last:-2] * scans + content[-2:]


PACKED = zlib.compress(bytes(1_000_000), 9)
ROWS = zlib.compress(bytes(6 * (1 + 3 * 8)))
"""Six rows of eight black pixels, each behind the number of its filter."""


@pytest.mark.parametrize("lossless", [True, False])
def test_a_webp_is_read_whatever_its_kind(lossless: bool) -> None:
    size, _ = decoded(saved("WEBP", (37, 1001), lossless=lossless))
    assert size == (37, 1001)


def large_webp(lossless: bool) -> bytes:
    small = bytearray(saved("WEBP", (8, 5), lossless=lossless))
    if lossless:
        small[21:25] = (7999 | 5000 << 14).to_bytes(4, "little")
    else:
        small[26:30] = struct.pack("<HH", 8000, 5001)
    return bytes(small)


@pytest.mark.parametrize("content", [webp(8000, 5001), large_webp(True), large_webp(False)])
def test_a_large_webp_is_refused_before_pillow_has_memory_for_it(
    content: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Image, "open", None)
    with pytest.raises(FileFormatError, match="8000 × 5001 pixels"):
        decoded(content)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: png(20_000, 20_000), "pixels"),
        (lambda: png(1, 64_000_000, data=zlib.compress(bytes(4_000_000))), "too large a picture"),
        (lambda: png(2**31 - 1, 2**31 - 1), "pixels"),
        (lambda: png(9_000, 9_000), "too large a picture"),
        (lambda: gif((65_535, 65_535), (1, 1)), "pixels"),
        (lambda: gif((1, 1), (12_000, 12_000)), "too large a picture"),
        (lambda: webp(16_384, 16_384), "pixels"),
        (lambda: webp(12_000, 12_000), "too large a picture"),
        (lambda: progressive(MAX_SCANS + 1), "scans"),
        (lambda: saved("JPEG", (200, 200))[:600], "cannot be read as a picture"),
        (lambda: png(8, 8, data=zlib.compress(b"\0")), "cannot be read as a picture"),
        (lambda: png(8, 8, *[chunk(b"IDAT", b"")] * 2_000_000), "cannot be read as a picture"),
        (lambda: b"", "no PNG"),
    ],
)
def test_bombs_and_broken_pictures_are_refused_at_once(
    make: Callable[[], bytes], words: str
) -> None:
    content = make()
    with bounded(1.0, 100), pytest.raises(FileFormatError, match=words):
        decoded(content)


@pytest.mark.parametrize(
    "make",
    [
        lambda: png(8, 6, *[chunk(b"iCCP", b"x\0\0" + PACKED)] * 5000, data=ROWS),
        lambda: png(8, 6, *[chunk(b"zTXt", b"x\0\0" + PACKED)] * 5000, data=ROWS),
        lambda: png(8, 6, chunk(b"tEXt", b"x\0" + bytes(20_000_000)), data=ROWS),
        lambda: repeated_frames(300_000),
        lambda: saved("JPEG", icc_profile=b"garbage" * 9000),
        lambda: saved("PNG", icc_profile=b"garbage"),
    ],
    ids=["profiles", "packed texts", "a long text", "frames", "a wrong profile", "another"],
)
def test_what_is_beside_the_pixels_is_not_looked_at(make: Callable[[], bytes]) -> None:
    content = make()
    with bounded(1.0, 150):
        assert decoded(content)[0] == (8, 6)


def test_a_file_of_any_size_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.webp"
    path.write_bytes(b"RIFF\xff\xff\xff\x7fWEBP")
    os.truncate(path, MAX_BYTES + 1)
    with bounded(1.0, 50), pytest.raises(FileFormatError, match=r"x\.webp: too large"):
        decoded(path)


@pytest.mark.parametrize("error", [MemoryError(), KeyError("x"), struct.error("y")])
def test_whatever_goes_wrong_in_decoding_is_said_as_the_files_fault(error: Exception) -> None:
    def fail(image: Image.Image) -> None:
        raise error

    with pytest.raises(FileFormatError, match="cannot be read as a picture"):
        picture_of(saved("PNG"), fail)


def test_texts_beside_the_pixels_are_left_out(tmp_path: Path) -> None:
    path = tmp_path / "x.png"
    path.write_bytes(png(1, 1, chunk(b"tEXt", b"parameters\0a fox"), data=zlib.compress(bytes(4))))
    assert picture_of(path, lambda image: image.info) == {}
