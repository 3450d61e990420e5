"""The tensors of a safetensors file, read into memory by a header that was checked before."""

from __future__ import annotations

import math
import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from pathlib import Path

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
_CACHED = 1 << 17
"""Values of half precision that are looked at together."""
ALIGNMENT = 16
"""Of what is read, in bytes."""
_PIECES = 512
"""Of memory that are filled in one go; systems take 1,024."""


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


def read_tensors(
    path: Path,
    infos: Iterable[TensorInfo],
    memory: HostMemory,
    cancelled: Callable[[], bool] = lambda: False,
) -> tuple[dict[TensorInfo, torch.Tensor], int]:
    """Read tensors into one buffer of `memory`, and no other byte; gives its size too.

    Each begins on a multiple of 16 bytes there, wherever it does in the file, with zeros between: a
    GPU that gets the buffer reads them as they lie. The file is read, not mapped: one that shrinks
    meanwhile gives an error, not a crash. Raises `FileFormatError` when it ends early or cannot be
    read, and `CancelledError` when it is `cancelled` meanwhile, which is asked for every few
    megabytes.
    """
    wanted = sorted(set(infos), key=lambda info: (info.start, info.end))
    places, size = list[int](), 0
    for info in wanted:
        places.append(size)
        size += -(-info.nbytes // ALIGNMENT) * ALIGNMENT
    buffer = memory.buffer(size)
    whole = buffer.numpy().data
    for place, info in zip(places, wanted, strict=True):
        if gap := -info.nbytes % ALIGNMENT:
            whole[place + info.nbytes : place + info.nbytes + gap] = bytes(gap)
    try:
        with open_regular(path) as file:
            for run in _runs(wanted):
                views = deque(
                    whole[places[i] : places[i] + wanted[i].nbytes] for i in run if wanted[i].nbytes
                )
                _read(file.fileno(), path, wanted[run[0]].start, views, cancelled)
    except OSError as error:
        raise unreadable(path, error) from error
    found = {
        info: buffer[place : place + info.nbytes].view(_DTYPES[info.dtype]).reshape(info.shape)
        for info, place in zip(wanted, places, strict=True)
    }
    return found, size


def _runs(infos: Sequence[TensorInfo]) -> Iterator[range]:
    """The places of tensors that lie one behind the other in the file; no two overlap."""
    first = 0
    for number in range(1, len(infos) + 1):
        if number == len(infos) or infos[number].start != infos[number - 1].end:
            yield range(first, number)
            first = number


def _read(
    descriptor: int,
    path: Path,
    start: int,
    views: deque[memoryview],
    cancelled: Callable[[], bool],
) -> None:
    """Fill pieces of memory one after another with what the file has from `start` on."""
    while views:
        if cancelled():
            raise CancelledError(f"The reading of {path.name} was cancelled.")
        count = os.preadv(descriptor, _next(views), start)
        if not count:
            raise FileFormatError(f"{path.name}: the file ended while it was read.")
        start += count
        while count:
            view = views.popleft()
            if count < len(view):
                views.appendleft(view[count:])
            count = max(0, count - len(view))


def _next(views: Iterable[memoryview]) -> list[memoryview]:
    """As many pieces as are read in one go, the last of them perhaps in part."""
    taken, room = list[memoryview](), _SLICE
    for view in islice(views, _PIECES):
        taken.append(view[:room])
        room -= len(taken[-1])
        if not room:
            break
    return taken


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
        if not _is_finite(values):
            count += int((~values.isfinite()).sum())
    return count


def _is_finite(values: torch.Tensor) -> bool:
    """Whether all values are, in one quick pass."""
    if values.dtype == torch.float16:
        # As whole numbers, ten times as quick: all bits of the exponent are set in no finite one.
        bits = values.flatten().view(torch.int16).numpy()
        blocks = (bits[i : i + _CACHED] for i in range(0, len(bits), _CACHED))
        return all((block & 0x7FFF).max() < 0x7C00 for block in blocks)
    # The smallest and the largest tell: NaN is taken for both.
    low, high = torch.aminmax(values)
    return math.isfinite(low) and math.isfinite(high)
