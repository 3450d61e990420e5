"""Where each weight of a loaded model lies in its files, and reading it again from there.

The files of a model are a backup of its base weights that needs no memory, as long as nobody
changes them: every reading checks that.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch

from engine.errors import CheckpointError
from engine.files.file_version import FileVersion
from engine.files.header import Header, TensorInfo, read_header
from engine.files.regular_file import regular_descriptor
from engine.host_memory import HostMemory
from engine.sdxl.layout import Part

DTYPES: Mapping[str, torch.dtype] = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "F8_E4M3": torch.float8_e4m3fn, "F8_E5M2": torch.float8_e5m2,
}  # fmt: skip
"""The dtypes weights may be stored in, by their names in safetensors files."""

_PASSING = HostMemory()
"""For what is read, used and dropped."""


class _Descriptor:
    """An open file: it stays readable when it is deleted, or another takes its name."""

    def __init__(self, path: Path) -> None:
        self.number = regular_descriptor(path)

    def __del__(self) -> None:
        if hasattr(self, "number"):
            os.close(self.number)


@dataclass(frozen=True)
class WeightFile:
    """A safetensors file as it was when it was opened; it is held open."""

    path: Path
    header: Header
    stamp: tuple[int, int, int, int]
    """Device, inode, size and time of change: another version of the file has another."""
    descriptor: _Descriptor

    @classmethod
    def open(cls, path: Path) -> WeightFile:
        """Read the header; raises `FileFormatError` for what is no sound safetensors file."""
        descriptor = _Descriptor(path)
        return cls(path, read_header(path), _stamp(os.fstat(descriptor.number)), descriptor)

    def read_into(self, buffer: torch.Tensor, start: int) -> None:
        """Fill a tensor on the CPU, which has no gaps, with the file's bytes from `start` on.

        Raises `CheckpointError` when the file has become too short, or cannot be read.
        """
        view, number = buffer.view(-1).view(torch.uint8).numpy().data, self.descriptor.number
        end = start + len(view)
        try:
            while view and (count := os.preadv(number, [view], end - len(view))):
                view = view[count:]
        except OSError as error:
            raise self._unreadable(error) from error
        if view:
            raise self._changed()

    def version(self) -> FileVersion:
        """Another one when the open file is written to, whatever its name leads to.

        Raises `CheckpointError` when it can no longer be asked.
        """
        try:
            return FileVersion.of(self.descriptor.number)
        except OSError as error:
            raise self._unreadable(error) from error

    def require_whole(self) -> None:
        """Raise `CheckpointError` when the open file has become shorter."""
        if self.version().size < self.header.file_size:
            raise CheckpointError(
                f"{self.path}: the file has become shorter since the model was loaded from it; "
                "load the model anew."
            )

    def require_as_opened(self) -> None:
        """Raise `CheckpointError` when the open file was written to since."""
        if self.version()[: len(self.stamp)] != self.stamp:
            raise self._changed()

    def require_unchanged(self) -> None:
        """Raise `CheckpointError` unless the path still leads to the file opened, as it was."""
        try:
            same = _stamp(self.path.stat()) == self.stamp
        except OSError:
            same = False
        if not same:
            raise self._changed()

    def _unreadable(self, error: OSError) -> CheckpointError:
        return CheckpointError(
            f"{self.path}: the model's weights cannot be read again ({error.strerror}); load the "
            "model anew."
        )

    def _changed(self) -> CheckpointError:
        return CheckpointError(
            f"{self.path}: the file has changed since the model was loaded from it; load the model "
            "anew."
        )


@dataclass(frozen=True)
class Place:
    """Where one parameter lies in a file, and how it is made from what lies there."""

    file: WeightFile
    key: str
    shape: torch.Size
    """The parameter's; the stored tensor may have ones at its end that the parameter has not."""
    dtype: torch.dtype
    """The one it is loaded as."""
    third: int | None = None
    """0, 1 or 2: the q, k or v rows of a fused tensor."""
    transposed: bool = False
    scale: float = 1.0
    """What values stored in float8 are to be multiplied with."""

    @property
    def stored(self) -> TensorInfo:
        """The header's entry of the whole stored tensor."""
        return self.file.header.tensors[self.key]

    @property
    def range(self) -> tuple[int, int]:
        """First and last byte (exclusive) of this parameter's values within the file."""
        start, end = self.stored.start, self.stored.end
        if self.third is None:
            return start, end
        size = (end - start) // 3
        return start + self.third * size, start + (self.third + 1) * size

    @property
    def nbytes(self) -> int:
        """Bytes of its values in the file."""
        start, end = self.range
        return end - start

    @property
    def is_plain(self) -> bool:
        """Whether the stored bytes are the parameter's own, so that the mapped file can be it."""
        return (
            not self.transposed
            and self.scale == 1.0
            and DTYPES[self.stored.dtype] == self.dtype
            # A header of any length may precede them, and processors want numbers aligned.
            and self.range[0] % self.dtype.itemsize == 0
        )

    def read(self, memory: HostMemory | None = None) -> torch.Tensor:
        """Read the parameter, converted; reads no byte it does not need.

        What is to stay goes into `memory`; without any, it is to be used and dropped.
        Raises `CheckpointError` when the file has changed since it was opened.
        """
        raw = (memory if self.is_plain and memory else _PASSING).buffer(self.nbytes)
        self.file.read_into(raw, self.range[0])
        tensor = raw.view(DTYPES[self.stored.dtype])
        tensor = tensor.reshape(self.shape[::-1] if self.transposed else self.shape)
        if self.is_plain:
            return tensor
        if self.scale != 1.0:
            tensor = tensor.float() * self.scale
        if self.transposed:
            tensor = tensor.T.contiguous()
        return memory.copy(tensor, self.dtype) if memory else tensor.to(self.dtype)

    def read_into(self, target: torch.Tensor) -> None:
        """Read the parameter into a tensor of its shape and dtype, on any device.

        Raises `CheckpointError` as `read` does; what is in the tensor then is not to be used.
        """
        if self.is_plain and target.device.type == "cpu" and target.is_contiguous():
            self.file.read_into(target, self.range[0])
        else:
            target.copy_(self.read())


class WeightSource:
    """Reads the base weights of a loaded model again from its files.

    Names are diffusers' and transformers' (`down_blocks.1.attentions.0.proj_in.weight`), by part
    (`unet`, `text_encoder`, `text_encoder_2`, `vae`). `mapped` are parameters that `load_weights`
    made of the file's own pages.
    """

    def __init__(
        self, places: Mapping[Part, Mapping[str, Place]], mapped: Collection[tuple[str, str]] = ()
    ) -> None:
        self._places: dict[str, Mapping[str, Place]] = dict(places.items())
        self._mapped = frozenset(mapped)
        files = {p.file.path: p.file for part in places.values() for p in part.values()}
        self._files = tuple(files.values())

    def is_mapped(self, part: str, name: str) -> bool:
        """Whether the parameter was loaded as a view of the mapped file."""
        return (part, name) in self._mapped

    def read(self, part: str, name: str) -> torch.Tensor:
        """Read one parameter, bit for bit what was loaded, into fresh memory on the CPU.

        A file that was deleted or replaced by another is read as it was, since it is held open;
        for one that is written to, `version` changes, and what is read is to be checked.
        Raises `KeyError` for a parameter the model does not have, and `CheckpointError` when the
        file has become too short.
        """
        return self._places[part][name].read()

    def read_into(self, part: str, name: str, target: torch.Tensor) -> None:
        """Read one parameter into a tensor like it; raises what `read` does."""
        self._places[part][name].read_into(target)

    def version(self) -> object:
        """Another one when one of the files is written to."""
        return tuple(file.version() for file in self._files)

    def files(self) -> Iterator[WeightFile]:
        """The files that the weights lie in, each once."""
        yield from self._files

    def require_whole(self) -> None:
        """Raise `CheckpointError` when a file has become shorter, be it found again or not."""
        for file in self._files:
            file.require_whole()

    def require_as_loaded(self) -> None:
        """Raise `CheckpointError` when a file was written to since it was opened.

        Unlike `require_unchanged` it does not ask what its name leads to now.
        """
        for file in self._files:
            file.require_as_opened()

    def require_unchanged(self) -> None:
        """Raise `CheckpointError` when a file is gone or has changed since it was opened."""
        for file in self.files():
            file.require_unchanged()


def _stamp(status: os.stat_result) -> tuple[int, int, int, int]:
    return status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns
