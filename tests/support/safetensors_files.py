"""Small safetensors files, written by hand."""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping, Sequence
from pathlib import Path


def write_safetensors(
    path: Path,
    *,
    name: str = "lora_a",
    dtype: str = "F16",
    shape: Sequence[int] = (1, 2),
    data: bytes = b"\0\0\0\0",
    metadata: Mapping[str, str] | None = None,
) -> Path:
    """Write a file of one tensor."""
    entry = {"dtype": dtype, "shape": list(shape), "data_offsets": [0, len(data)]}
    header = json.dumps({name: entry, "__metadata__": dict(metadata or {})}).encode()
    path.write_bytes(struct.pack("<Q", len(header)) + header + data)
    return path
