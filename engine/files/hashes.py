"""The hashes by which LoRA files are known on Civitai and in infotexts."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from engine.errors import CancelledError
from engine.files.header import Header, read_header
from engine.files.regular_file import open_regular, unreadable

CHUNK = 4 * 1024 * 1024
MEANT = ("lora_adapter_metadata", "ss_network_args")
"""Metadata without which the tensors of a LoRA say something else."""
_EMPTY_SHA256 = hashlib.sha256().hexdigest()
_LEGACY_START, _LEGACY_LENGTH = 0x100000, 0x10000


@dataclass(frozen=True)
class FileHashes:
    """The hashes of one file, in lower-case hex."""

    sha256: str
    """Of the whole file."""
    tensors_sha256: str
    """Of the bytes after the header: stays the same when metadata is edited."""
    legacy: str
    """AutoV1, 8 digits; not unique, kept for old infotexts. Empty for a file of up to 1 MiB."""
    content: str = ""
    """Of all that the values depend on: the tensors' bytes, names, types and shapes, and the
    metadata that says how they are meant. Other metadata may be edited."""

    @property
    def autov2(self) -> str:
        """10 digits, of the whole file."""
        return self.sha256[:10]

    @property
    def autov3(self) -> str:
        """12 digits, of the bytes after the header; kohya's `sshs_model_hash`, in `Lora hashes`."""
        return self.tensors_sha256[:12]


def hash_file(
    path: Path,
    on_progress: Callable[[int, int], None] | None = None,
    should_stop: Callable[[], bool] | None = None,
) -> FileHashes:
    """Compute all hashes of a safetensors file in one pass.

    `on_progress` gets the bytes done and in all. Raises `FileFormatError` for a file that is not
    sound and `CancelledError` when `should_stop` answers True.
    """
    header = read_header(path)
    whole, tensors = hashlib.sha256(), hashlib.sha256()
    try:
        with open_regular(path) as file:
            start = file.read(header.data_start)
            whole.update(start)
            done = len(start)
            while chunk := file.read(CHUNK):
                if should_stop is not None and should_stop():
                    raise CancelledError(f"{path.name}: hashing was cancelled.")
                whole.update(chunk)
                tensors.update(chunk)
                done += len(chunk)
                if on_progress is not None:
                    on_progress(done, header.file_size)
            file.seek(_LEGACY_START)
            legacy = file.read(_LEGACY_LENGTH)
    except OSError as error:
        raise unreadable(path, error) from error
    return FileHashes(
        whole.hexdigest(),
        tensors.hexdigest(),
        hashlib.sha256(legacy).hexdigest()[:8] if legacy else "",
        _content(header, tensors.hexdigest()),
    )


def _content(header: Header, tensors_sha256: str) -> str:
    table = sorted(
        (name, info.dtype, info.shape, info.start - header.data_start)
        for name, info in header.tensors.items()
    )
    meant = {key: header.metadata[key] for key in MEANT if key in header.metadata}
    text = json.dumps([table, meant, tensors_sha256], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def claimed_tensors_hash(metadata: Mapping[str, str]) -> str:
    """The hash of the bytes after the header as the header itself gives it, unverified.

    64 lower-case hex digits; empty when it is missing, malformed or the hash of nothing.
    """
    for key in ("sshs_model_hash", "modelspec.hash_sha256"):
        value = metadata.get(key, "").lower().removeprefix("0x")
        if re.fullmatch(r"[0-9a-f]{64}", value) and value != _EMPTY_SHA256:
            return value
    return ""
