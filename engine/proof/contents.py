"""The contents of files for digests, each hashed once for its version."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from engine.embeddings.folders import named_files, names_in, second_file
from engine.errors import FileFormatError
from engine.files.file_version import FileVersion
from engine.files.hashes import FileHashes
from engine.files.regular_file import open_regular, printable, read_regular, unreadable
from engine.library.hash_table import HashTable
from engine.lora.peft_config import MAX_CONFIG_BYTES, companion
from engine.protocol.request import GenerateRequest


class FileContents:
    """The contents of files as they are on the disk now.

    Those of LoRAs are kept in the library's index, where there is one. Raises `FileFormatError`
    for files that cannot be read.
    """

    def __init__(self, index: Path | None = None) -> None:
        self._table = HashTable(index)
        self._loras: dict[Path, tuple[FileVersion, FileHashes]] = {}

    def hashes(self, path: Path) -> FileHashes:
        """All hashes of a safetensors file."""
        version = _version(path)
        known = self._loras.get(path)
        if known is not None and known[0] == version:
            return known[1]
        hashes = self._hashes(path, version)
        self._loras[path] = version, hashes
        return hashes

    def _hashes(self, path: Path, version: FileVersion) -> FileHashes:
        try:
            hashes = self._table.hashes(path, version)
        except OSError as error:
            raise unreadable(path, error) from error
        if hashes is None:
            raise FileFormatError(f"{printable(path)}: it was written to while it was read.")
        return hashes

    def lora(self, path: Path) -> str:
        """Of all in a LoRA's file that the weights depend on, and of PEFT's settings beside it."""
        return lora_content(path, self.hashes(path))

    def file(self, path: Path) -> str:
        """The SHA-256 of a file."""
        try:
            with open_regular(path) as file:
                return hashlib.file_digest(file, "sha256").hexdigest()
        except OSError as error:
            raise unreadable(path, error) from error

    def embeddings(self, request: GenerateRequest) -> Mapping[str, str]:
        """Of the textual inversions in the request's folders that its prompts name, by name."""
        if not request.embeddings:
            return {}
        files: dict[str, Path] = {}
        for name, path in named_files(request.embeddings, []):
            files.setdefault(name, path)
        named = {name for name, is_known in names_in(request.texts, files) if is_known}
        return {name: self._embedding(files[name]) for name in named}

    def _embedding(self, path: Path) -> str:
        second = second_file(path)
        return self.file(path) + (self.file(second) if second is not None else "")


def lora_content(path: Path, hashes: FileHashes) -> str:
    """What a LoRA file with these hashes means, with PEFT's settings where they stand beside it."""
    config = companion(path)
    if config is None:
        return hashes.content
    settings = read_regular(config, MAX_CONFIG_BYTES)
    return hashlib.sha256(hashes.content.encode() + settings).hexdigest()


def _version(path: Path) -> FileVersion:
    try:
        return FileVersion.of(path)
    except OSError as error:
        raise unreadable(path, error) from error
    except ValueError as error:
        raise FileFormatError(f"{path.name}: cannot be opened ({error}).") from error
