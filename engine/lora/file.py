"""One LoRA file in memory: its modules and their tensors, read once and checked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from engine.errors import FileFormatError, LoraRefusedError
from engine.lora.header import Header, TensorInfo, read_header
from engine.lora.key_names import Module, group_modules

_DTYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
    "F8_E4M3FNUZ": torch.float8_e4m3fnuz, "F8_E5M2FNUZ": torch.float8_e5m2fnuz,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_SLICE = 1 << 24


@dataclass(frozen=True)
class FileStamp:
    """Which version of a file was read: it changes when the file is replaced or rewritten."""

    path: Path
    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> FileStamp:
        """Stamp the file as it is now. Raises `FileFormatError` when it cannot be found."""
        try:
            stat = path.stat()
        except OSError as error:
            raise FileFormatError(f"{path}: cannot be read ({error.strerror}).") from error
        return cls(path, stat.st_size, stat.st_mtime_ns, stat.st_ino)


@dataclass(frozen=True)
class LoraFile:
    """A LoRA's modules by the names the file gives them; each maps roles to tensors.

    After `read_lora_header` tensors are on the meta device (shapes only); after `read_lora` they
    share one buffer of the file's bytes, in the file's dtypes.
    """

    stamp: FileStamp
    header: Header
    groups: Mapping[str, Module]
    modules: Mapping[str, Mapping[str, torch.Tensor]]
    bytes: int

    @property
    def path(self) -> Path:
        """The file."""
        return self.stamp.path


def read_lora_header(path: Path) -> LoraFile:
    """Open a LoRA by its header alone.

    Raises `FileFormatError` for a broken file and `LoraRefusedError` for one that is no LoRA.
    """
    stamp = FileStamp.of(path)
    header = read_header(path)
    groups = group_modules(header.tensors)
    if not groups:
        raise LoraRefusedError(f"{path.name}: this file is no LoRA (no adapter tensors in it).")
    modules = {
        name: {role: _meta(path, info) for role, info in group.tensors.items()}
        for name, group in groups.items()
    }
    return LoraFile(stamp, header, groups, modules, 0)


def read_lora(opened: LoraFile) -> LoraFile:
    """Read the values of a LoRA opened by its header.

    The file is read, not mapped: one that shrinks meanwhile gives an error, not a crash.
    Raises `FileFormatError` when the file changed or ended early, `LoraRefusedError` for values
    that are not finite.
    """
    path, start = opened.path, opened.header.data_start
    buffer = bytearray(opened.header.file_size - start)
    try:
        with path.open("rb", buffering=0) as file:
            file.seek(start)
            view, done = memoryview(buffer), 0
            while done < len(buffer):
                count = file.readinto(view[done : done + _SLICE])
                if not count:
                    raise FileFormatError(f"{path.name}: the file ended while it was read.")
                done += count
    except OSError as error:
        raise FileFormatError(f"{path}: cannot be read ({error.strerror}).") from error
    if FileStamp.of(path) != opened.stamp:
        raise FileFormatError(f"{path.name}: the file changed while it was read; try again.")
    modules = {
        name: {role: _tensor(buffer, start, info) for role, info in group.tensors.items()}
        for name, group in opened.groups.items()
    }
    _refuse_non_finite(path.name, modules)
    return LoraFile(opened.stamp, opened.header, opened.groups, modules, len(buffer))


def _dtype(path: Path, info: TensorInfo) -> torch.dtype:
    try:
        return _DTYPES[info.dtype]
    except KeyError as error:
        raise FileFormatError(
            f"{path.name}: holds tensors of type {info.dtype}, which no LoRA format uses."
        ) from error


def _meta(path: Path, info: TensorInfo) -> torch.Tensor:
    return torch.empty(info.shape, dtype=_dtype(path, info), device="meta")


def _tensor(buffer: bytearray, start: int, info: TensorInfo) -> torch.Tensor:
    count = torch.Size(info.shape).numel()
    if count == 0:
        return torch.empty(info.shape, dtype=_DTYPES[info.dtype])
    flat = torch.frombuffer(
        buffer, dtype=_DTYPES[info.dtype], count=count, offset=info.start - start
    )
    return flat.reshape(info.shape)


def _refuse_non_finite(name: str, modules: Mapping[str, Mapping[str, torch.Tensor]]) -> None:
    for module, tensors in modules.items():
        for tensor in tensors.values():
            if not tensor.is_floating_point():
                continue
            wide = tensor if tensor.itemsize > 1 else tensor.to(torch.float16)
            if not bool(torch.isfinite(wide).all()):
                raise LoraRefusedError(
                    f"{name}: {module} holds values that are not finite (NaN or infinity); "
                    "the file is damaged or its training failed."
                )
