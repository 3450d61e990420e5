"""The header of a safetensors file, read without trusting it.

Format: u64 little-endian length N, N bytes of JSON, then the tensors' bytes
(https://github.com/huggingface/safetensors#format).
"""

from __future__ import annotations

import math
import os
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from engine.errors import FileFormatError
from engine.files.json_text import parse_json, require_single_names
from engine.files.regular_file import open_regular, printable, unreadable

MAX_HEADER_BYTES = 100_000_000
"""The bound the format's own library sets; a larger one is an attack or garbage."""

MAX_TENSORS = 20_000
"""Twice what a LoRA of all of SDXL's modules in the family with the most tensors can have."""

MAX_NAME = 500
"""Characters of a tensor's name, some three times the longest that any trainer writes."""

_FIRST_READ = 1 << 16
"""Bytes of the first read: most headers of small files are in it."""

MAX_DIMENSIONS = 64
"""Above what any tensor library takes; a bound, since multiplying endless shapes takes for ever."""

DTYPE_BITS = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8,
    "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32,
    "I64": 64, "U64": 64, "F64": 64, "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip


@dataclass(frozen=True)
class TensorInfo:
    """Where one tensor lies: dtype name as in the file, shape, byte range within the file."""

    dtype: str
    shape: tuple[int, ...]
    start: int
    end: int

    @property
    def nbytes(self) -> int:
        """Bytes it takes in the file."""
        return self.end - self.start


@dataclass(frozen=True)
class Header:
    """A checked header: every tensor lies inside the file and is as long as its shape says."""

    tensors: Mapping[str, TensorInfo]
    metadata: Mapping[str, str]
    data_start: int
    """Offset of the first tensor byte."""
    file_size: int
    left_out: str = ""
    """What of the metadata makes no sense, in words; empty where all does."""


class RawHeader(NamedTuple):
    """A header as it stands in the file, not parsed yet."""

    name: str
    """The file's, for sentences about it."""
    text: bytes
    """JSON."""
    data_start: int
    file_size: int


def read_header(path: Path) -> Header:
    """Read and check the header of a safetensors file.

    Raises `FileFormatError` with a sentence naming the file when it is missing, a pickle, another
    kind of file, truncated, or its header contradicts its size.
    """
    try:
        with open_regular(path) as file:
            return parse_header(raw_header(path, file.fileno()))
    except OSError as error:
        raise unreadable(path, error) from error


def raw_header(path: Path, descriptor: int) -> RawHeader:
    """Read the header of an open file; nothing in it is looked at yet but its length.

    Raises `FileFormatError` where there can be none, and OSError.
    """
    name = printable(path.name)
    file_size = os.fstat(descriptor).st_size
    # No byte beyond that is asked for: a file of /proc is empty and never ends.
    first = os.pread(descriptor, min(_FIRST_READ, file_size), 0)
    if len(first) < 9:
        raise FileFormatError(
            f"{name}: truncated, the file has only {file_size} bytes; download it again."
        )
    (length,) = struct.unpack_from("<Q", first)
    if length > MAX_HEADER_BYTES or first[8:9] != b"{":
        raise _not_safetensors(name, first[:_TELLING])
    if length > file_size - 8:
        raise FileFormatError(
            f"{name}: truncated, the header alone needs {length + 8:,} bytes and the "
            f"file has {file_size:,}; download it again."
        )
    text = first[8 : 8 + length]
    while len(text) < length:
        more = os.pread(descriptor, length - len(text), 8 + len(text))
        if not more:
            raise FileFormatError(f"{name}: it became shorter while it was read.")
        text += more
    return RawHeader(name, text, 8 + length, file_size)


_TELLING = 300
"""Bytes at a file's start that tell what else it is."""

_OTHER_KINDS = {
    b"<": "web page, perhaps a failed download",
    b"{": "text file (JSON), perhaps a failed download",
    b"version ": "Git LFS pointer; the real file has to be fetched (git lfs pull)",
    b"\x89PNG": "PNG picture",
    b"GIF8": "GIF picture",
    b"\xff\xd8\xff": "JPEG picture",
    b"RIFF": "WebP picture, or a sound or film",
    b"Rar!": "RAR archive; unpack it",
    b"7z\xbc\xaf\x27\x1c": "7z archive; unpack it",
    b"\x1f\x8b": "gzip archive; unpack it",
    b"\x89HDF": "Keras (HDF5) model",
    b"GGUF": "GGUF model",
    b"\0" * 8: "block of zeros, perhaps an unfinished download",
}


def _not_safetensors(name: str, first: bytes) -> FileFormatError:
    """Say what a file is whose start cannot be a header's.

    Only then: the low bytes of a sound length may look like any other kind's first bytes.
    """
    # A zip archive begins with the name of the first file in it, 30 bytes behind.
    inside = first[30 : 30 + int.from_bytes(first[26:28], "little")]
    if first[:2] == b"PK" and inside.lower().endswith(b".safetensors"):
        return FileFormatError(
            f"{name}: not a safetensors file but a zip archive with one in it; unpack it."
        )
    if first[:2] == b"PK" or first[0] == 0x80:
        return FileFormatError(
            f"{name}: this is a pickle (PyTorch) file, which can run code when opened; "
            "only safetensors files are read. Convert it with a tool you trust."
        )
    # Web pages may begin with empty lines.
    begun = first.lstrip(b"\r\n\t \xef\xbb\xbf") or first
    for start, kind in _OTHER_KINDS.items():
        if first.startswith(start) or begun.startswith(start):
            return FileFormatError(f"{name}: not a safetensors file but a {kind}.")
    if first.isascii() and first.decode().replace("\n", "").replace("\r", "").isprintable():
        return FileFormatError(
            f"{name}: not a safetensors file but a text, perhaps a failed download."
        )
    return FileFormatError(f"{name}: not a safetensors file (it has no header).")


def parse_header(raw_header: RawHeader) -> Header:
    """Parse and check a header; raises `FileFormatError` as `read_header` does."""
    name, raw, data_start, file_size = raw_header
    # Counted before a million of them are parsed.
    _refuse_too_many(name, raw.count(b'"data_offsets"'))
    try:
        table = parse_json(raw)
    except ValueError as error:
        raise FileFormatError(
            f"{name}: not a safetensors file (its header is not sensible JSON)."
        ) from error
    if not isinstance(table, dict):
        raise FileFormatError(f"{name}: not a safetensors file (its header is not a table).")
    metadata, left_out = texts_of(table.pop("__metadata__", None))
    _refuse_names(name, table)
    _refuse_doubles(name, raw, len(table))
    tensors = {key: _tensor(name, key, entry, data_start) for key, entry in table.items()}
    need = max((info.end for info in tensors.values()), default=data_start)
    if need > file_size:
        raise FileFormatError(
            f"{name}: truncated, {file_size:,} of {need:,} bytes are here; download it again."
        )
    _refuse_overlaps(name, tensors, data_start, file_size)
    return Header(tensors, metadata, data_start, file_size, left_out)


def texts_of(metadata: object) -> tuple[dict[str, str], str]:
    """The texts of a header's metadata, and what is left out of it, in words."""
    if not isinstance(metadata, dict):
        return {}, "" if metadata is None else "its metadata is no table"
    texts = {key: value for key, value in metadata.items() if isinstance(value, str)}
    odd = len(metadata) - len(texts)
    return texts, f"of its metadata, {odd} of {len(metadata)} are no texts" if odd else ""


def _refuse_names(name: str, table: Mapping[str, Any]) -> None:
    """Bound what is worked through name by name from here on."""
    _refuse_too_many(name, len(table))
    longest = max(map(len, table), default=0)
    if longest > MAX_NAME:
        raise FileFormatError(
            f"{name}: its header has a tensor whose name is {longest:,} characters long; no real "
            f"one has more than {MAX_NAME}."
        )
    try:
        "".join(table).encode()
    except UnicodeEncodeError as error:
        # JSON can spell half characters, which no other reader of the format accepts.
        raise FileFormatError(f"{name}: the name of a tensor in its header is no text.") from error


def _refuse_doubles(name: str, raw: bytes, tensors: int) -> None:
    """Refuse a table with one name twice, which the format forbids."""
    keys = (b'"dtype"', b'"shape"', b'"data_offsets"')
    # Told by counting: to look at every name would take as long as all the rest of the header.
    if any(raw.count(key) != tensors for key in keys) or raw.count(b'"__metadata__"') > 1:
        try:
            require_single_names(raw)
        except ValueError as error:
            raise FileFormatError(f"{name}: its header makes no sense: {error}.") from error


def _refuse_too_many(name: str, tensors: int) -> None:
    if tensors > MAX_TENSORS:
        raise FileFormatError(
            f"{name}: its header names {tensors:,} tensors; no LoRA and no SDXL model has more "
            f"than {MAX_TENSORS:,}."
        )


def _tensor(name: str, key: str, entry: Any, data_start: int) -> TensorInfo:
    try:
        dtype, shape, offsets = entry["dtype"], entry["shape"], entry["data_offsets"]
        if not (isinstance(shape, list) and isinstance(offsets, list)):
            raise TypeError("not lists")
        if len(shape) > MAX_DIMENSIONS or len(offsets) != 2:
            raise ValueError("too many numbers")
        start, end = offsets
        # No tensor and no file is larger, and no database holds a larger number.
        if not all(type(number) is int and 0 <= number < 2**63 for number in (*shape, *offsets)):
            raise ValueError("negative, too large or not whole")
        bits = DTYPE_BITS[dtype] * math.prod(shape)
        if bits >= 2**64:
            raise ValueError("too large")
    except (KeyError, TypeError, ValueError) as error:
        raise FileFormatError(f"{name}: the header's entry {key[:80]!r} makes no sense.") from error
    if bits != 8 * (end - start):
        raise FileFormatError(
            f"{name}: the header says {end - start:,} bytes for {key[:80]!r}, its shape says "
            f"{bits // 8:,}."
        )
    return TensorInfo(dtype, tuple(shape), data_start + start, data_start + end)


def _refuse_overlaps(
    name: str, tensors: Mapping[str, TensorInfo], data_start: int, file_size: int
) -> None:
    reached = data_start
    for info in sorted(tensors.values(), key=lambda info: (info.start, info.end)):
        if info.start != reached:
            raise FileFormatError(f"{name}: the header's tensors overlap or leave gaps.")
        reached = info.end
    if reached != file_size:
        raise FileFormatError(f"{name}: {file_size - reached:,} stray bytes follow the tensors.")
