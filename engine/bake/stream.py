"""Write a safetensors file tensor by tensor, whole or not at all, never in place of another."""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from engine.errors import EngineError
from engine.files.hidden_files import hidden_file
from engine.files.regular_file import printable
from engine.files.saving import in_words

_DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


@dataclass(frozen=True)
class Entry:
    """A tensor that is yet to be made: it is asked for when its turn has come."""

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    make: Callable[[], torch.Tensor]

    @property
    def bytes(self) -> int:
        """How many it takes."""
        return torch.Size(self.shape).numel() * self.dtype.itemsize


def require_free(path: Path) -> None:
    """Raise `EngineError` where a file could not be written without replacing another."""
    if os.path.lexists(path):
        raise EngineError(f"{printable(path)}: this file is there already; choose another name.")
    if not path.parent.is_dir():
        raise EngineError(f"{printable(path.parent)}: there is no such folder.")


def write_safetensors(
    path: Path,
    entries: Sequence[Entry],
    metadata: Mapping[str, str],
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> int:
    """Write them in order; returns the file's size in bytes.

    No more than one tensor is in memory beside what makes it. Raises `EngineError` where the file
    is there already, the disk is full or the folder cannot be written to.
    """
    require_free(path)
    header = _header(entries, metadata)
    total = len(header) + sum(entry.bytes for entry in entries)
    try:
        directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            with hidden_file(directory) as (number, hidden):
                with os.fdopen(number, "wb", closefd=False) as file:
                    done = file.write(header)
                    for entry in entries:
                        done += file.write(_bytes_of(entry))
                        on_progress(done, total)
                os.fsync(number)
                _give_name(directory, hidden, path)
        finally:
            os.close(directory)
    except FileExistsError as error:
        raise EngineError(
            f"{printable(path)}: another file has taken this name meanwhile; nothing was written."
        ) from error
    except OSError as error:
        raise EngineError(f"{printable(path)} cannot be written: {in_words(error)}.") from error
    return total


def _header(entries: Sequence[Entry], metadata: Mapping[str, str]) -> bytes:
    table: dict[str, object] = {"__metadata__": dict(metadata)}
    start = 0
    for entry in entries:
        table[entry.name] = {
            "dtype": _DTYPES[entry.dtype],
            "shape": list(entry.shape),
            "data_offsets": [start, start + entry.bytes],
        }
        start += entry.bytes
    text = json.dumps(table, separators=(",", ":")).encode()
    # Padded, so that the tensors begin where mapped memory can be read as numbers.
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text


def _bytes_of(entry: Entry) -> memoryview:
    tensor = entry.make().detach().to("cpu").contiguous()
    if tensor.dtype != entry.dtype or tuple(tensor.shape) != entry.shape:
        raise AssertionError(f"{entry.name} is not what was announced")
    return tensor.flatten().view(torch.uint8).numpy().data


def _give_name(directory: int, hidden: str, path: Path) -> None:
    try:
        os.link(hidden, path.name, src_dir_fd=directory, dst_dir_fd=directory)
    except FileExistsError:
        raise
    except OSError:
        # No hard links there: what may be lost is a file that appears in this very moment.
        require_free(path)
        os.rename(hidden, path.name, src_dir_fd=directory, dst_dir_fd=directory)
