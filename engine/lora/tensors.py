"""The tensors of a safetensors file, read into memory by a header that was checked before."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from engine.errors import CancelledError, FileFormatError
from engine.files.header import TensorInfo
from engine.files.regular_file import open_regular, unreadable
from engine.host_memory import HostMemory

_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz, "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_SLICE = 1 << 24
_ALIGNMENT = 16


def meta_tensor(path: Path, info: TensorInfo) -> torch.Tensor:
    """A tensor without values, on the meta device.

    Raises `FileFormatError` for a type that no LoRA format uses, or a shape that no tensor has.
    """
    if info.dtype not in _DTYPES:
        raise FileFormatError(
            f"{path.name}: holds tensors of type {info.dtype}, which no LoRA format uses."
        )
    try:
        return torch.empty(info.shape, dtype=_DTYPES[info.dtype], device="meta")
    except (OverflowError, RuntimeError, TypeError) as error:
        # Nothing of anything: a side of any length beside one of 0.
        raise FileFormatError(f"{path.name}: holds a tensor of a shape without sense.") from error


class _Stretch(NamedTuple):
    """Bytes of the file that are read in one go, and where they come to lie in the buffer."""

    start: int
    end: int
    place: int


def read_tensors(
    path: Path,
    infos: Iterable[TensorInfo],
    memory: HostMemory,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[dict[TensorInfo, torch.Tensor], int]:
    """Read tensors into one buffer of `memory`, and no other byte; gives its size too.

    The file is read, not mapped: one that shrinks meanwhile gives an error, not a crash.
    Raises `FileFormatError` when it ends early or cannot be read, and `CancelledError` when it
    is `cancelled` meanwhile, which is asked for every few megabytes.
    """
    wanted = sorted(set(infos), key=lambda info: (info.start, info.end))
    stretches = _stretches(wanted)
    size = stretches[-1].place + stretches[-1].end - stretches[-1].start if stretches else 0
    buffer = memory.buffer(size)
    try:
        with open_regular(path) as file:
            for stretch in stretches:
                _read_stretch(file.fileno(), path, stretch, buffer, cancelled)
    except OSError as error:
        raise unreadable(path, error) from error
    return dict(_cut(buffer, wanted, stretches)), size


def _stretches(infos: Collection[TensorInfo]) -> list[_Stretch]:
    """Join tensors that lie one behind the other, in the order of the file."""
    found: list[_Stretch] = []
    for info in infos:
        last = found[-1] if found else None
        if last and info.start <= last.end:
            found[-1] = last._replace(end=max(last.end, info.end))
        else:
            taken = last.place + last.end - last.start if last else 0
            found.append(_Stretch(info.start, info.end, -(-taken // _ALIGNMENT) * _ALIGNMENT))
    return found


def _read_stretch(
    descriptor: int,
    path: Path,
    stretch: _Stretch,
    buffer: torch.Tensor,
    cancelled: Callable[[], bool],
) -> None:
    length = stretch.end - stretch.start
    view, done = buffer.numpy().data[stretch.place : stretch.place + length], 0
    while done < length:
        if cancelled():
            raise CancelledError(f"The reading of {path.name} was cancelled.")
        part = view[done : done + _SLICE]
        count = os.preadv(descriptor, [part], stretch.start + done)
        if not count:
            raise FileFormatError(f"{path.name}: the file ended while it was read.")
        done += count


def _cut(
    buffer: torch.Tensor, infos: Iterable[TensorInfo], stretches: Iterable[_Stretch]
) -> Iterable[tuple[TensorInfo, torch.Tensor]]:
    """The tensors in the buffer, without a copy where they are aligned; all in the file's order."""
    following = iter(stretches)
    stretch = next(following, None)
    for info in infos:
        while stretch and info.end > stretch.end:
            stretch = next(following)
        assert stretch is not None, "every tensor lies in a stretch"
        start = stretch.place + info.start - stretch.start
        raw = buffer[start : start + info.nbytes]
        dtype = _DTYPES[info.dtype]
        if raw.storage_offset() % dtype.itemsize:
            raw = raw.clone()
        yield info, raw.view(dtype).reshape(info.shape)


def count_non_finite(tensors: Mapping[str, torch.Tensor]) -> int:
    """How many values are NaN or infinite, of those that were read."""
    return sum(map(_non_finite, tensors.values()))


def _non_finite(tensor: torch.Tensor) -> int:
    if tensor.is_meta or not tensor.is_floating_point() or not tensor.numel():
        return 0
    parts = (tensor,) if tensor.numel() <= _SLICE else torch.split(tensor.flatten(), _SLICE)
    count = 0
    for part in parts:
        # float8 knows neither of what follows.
        values = part if part.itemsize > 1 else part.to(torch.float16)
        # The smallest and the largest tell in one quick pass: NaN is taken for both.
        low, high = torch.aminmax(values)
        if not (math.isfinite(low) and math.isfinite(high)):
            count += int((~values.isfinite()).sum())
    return count
