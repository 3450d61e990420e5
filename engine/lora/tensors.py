"""The tensors of a safetensors file, read into memory by a header that was checked before."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import torch

from engine.errors import CancelledError, FileFormatError
from engine.host_memory import HostMemory
from engine.lora.header import Header, TensorInfo
from engine.regular_file import open_regular, unreadable

_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz, "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_SLICE = 1 << 24


def meta_tensor(path: Path, info: TensorInfo) -> torch.Tensor:
    """A tensor without values, on the meta device.

    Raises `FileFormatError` for a type that no LoRA format uses.
    """
    if info.dtype not in _DTYPES:
        raise FileFormatError(
            f"{path.name}: holds tensors of type {info.dtype}, which no LoRA format uses."
        )
    return torch.empty(info.shape, dtype=_DTYPES[info.dtype], device="meta")


def read_data(
    path: Path,
    header: Header,
    memory: HostMemory,
    cancelled: Callable[[], bool] = lambda: False,
) -> torch.Tensor:
    """Read all bytes after the header into a buffer of `memory`, uint8.

    The file is read, not mapped: one that shrinks meanwhile gives an error, not a crash.
    Raises `FileFormatError` when it ends early or cannot be read, and `CancelledError` when it
    is `cancelled` meanwhile, which is asked for every few megabytes.
    """
    buffer = memory.buffer(header.file_size - header.data_start)
    view, done = buffer.numpy().data, 0
    try:
        with open_regular(path) as file:
            file.seek(header.data_start)
            while done < len(view):
                if cancelled():
                    raise CancelledError(f"The reading of {path.name} was cancelled.")
                count = file.readinto(view[done : done + _SLICE])
                if not count:
                    raise FileFormatError(f"{path.name}: the file ended while it was read.")
                done += count
    except OSError as error:
        raise unreadable(path, error) from error
    return buffer


def tensor_in(buffer: torch.Tensor, header: Header, info: TensorInfo) -> torch.Tensor:
    """A tensor whose values are those in the buffer, without a copy where they are aligned."""
    raw = buffer[info.start - header.data_start : info.end - header.data_start]
    dtype = _DTYPES[info.dtype]
    if raw.storage_offset() % dtype.itemsize:
        raw = raw.clone()
    return raw.view(dtype).reshape(info.shape)


def count_non_finite(tensors: Mapping[str, torch.Tensor]) -> int:
    """How many values are NaN or infinite."""
    return sum(map(_non_finite, tensors.values()))


def _non_finite(tensor: torch.Tensor) -> int:
    if not tensor.is_floating_point():
        return 0
    # float8 knows no `isfinite`.
    finite = torch.isfinite(tensor if tensor.itemsize > 1 else tensor.to(torch.float16))
    return 0 if bool(finite.all()) else int((~finite).sum())
