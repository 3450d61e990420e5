"""What is in the files of a model, to tell whether two nodes have the same."""

from __future__ import annotations

import hashlib
from pathlib import Path

from engine.files.regular_file import read_regular
from engine.proof.contents import FileContents

_LARGEST_TEXT = 64 << 20
_TEXTS = (".json", ".txt", ".yaml", ".yml")


def model_digest(path: Path, contents: FileContents) -> str:
    """Of a file its SHA-256, which the index keeps; of a folder that of its weights and settings.

    Raises `FileFormatError` for what cannot be read.
    """
    if not path.is_dir():
        return contents.hashes(path).sha256
    whole = hashlib.sha256()
    for file in sorted(path.rglob("*")):
        name = file.relative_to(path).as_posix()
        if file.suffix == ".safetensors":
            whole.update(f"{name}\0{contents.hashes(file).sha256}\n".encode())
        elif file.suffix in _TEXTS and file.is_file():
            text = hashlib.sha256(read_regular(file, _LARGEST_TEXT)).hexdigest()
            whole.update(f"{name}\0{text}\n".encode())
    return whole.hexdigest()
