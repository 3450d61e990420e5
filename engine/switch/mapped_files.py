"""Files that weights are mapped from, whoever loaded them: what Linux says of this process."""

from __future__ import annotations

import os
import weakref
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import torch

from engine.errors import CheckpointError, FileFormatError
from engine.files.file_version import FileVersion
from engine.files.regular_file import regular_descriptor
from engine.switch.plan import WeightName

_MAPS = Path("/proc/self/maps")


class _Area(NamedTuple):
    """Addresses that a part of a file is mapped to."""

    start: int
    end: int
    offset: int
    """In the file."""
    inode: int
    path: Path


class MappedFiles:
    """The weights that are pages of files, and these files, which are held open.

    For a model whose file is not given (safetensors and diffusers map files too). Finds none where
    the system does not say what is mapped, and does not know what the files were at the loading.
    """

    def __init__(self, weights: Mapping[WeightName, torch.Tensor]) -> None:
        areas = sorted(_areas())
        starts = [area.start for area in areas]
        self._mapped: set[tuple[str, str]] = set()
        self._files: dict[Path, _MappedFile] = {}
        for name, weight in weights.items():
            if weight.device.type != "cpu":
                continue
            place = bisect_right(starts, weight.data_ptr()) - 1
            area = areas[place] if place >= 0 else None
            if area is None or weight.data_ptr() >= area.end:
                continue
            file = self._files.get(area.path) or _MappedFile.of(area)
            if file is None:
                continue
            self._files[area.path] = file
            file.end = max(file.end, area.offset + weight.data_ptr() - area.start + weight.nbytes)
            self._mapped.add((name.part, name.parameter))

    def is_mapped(self, part: str, name: str) -> bool:
        """Whether the parameter is a view of a mapped file."""
        return (part, name) in self._mapped

    def version(self) -> object:
        """Another one when one of the files is written to."""
        return tuple(file.version() for file in self._files.values())

    def require_whole(self) -> None:
        """Raise `CheckpointError` when a file ends before the last of the weights."""
        for file in self._files.values():
            if file.version().size < file.end:
                raise CheckpointError(
                    f"{file.path}: the file has become shorter since the model was loaded from it; "
                    "load the model anew."
                )

    def require_as_loaded(self) -> None:
        """Nothing can be said of what was before."""


class _MappedFile:
    """An open file, and where the last of the weights in it ends."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self.end = 0
        self._descriptor = descriptor
        weakref.finalize(self, os.close, descriptor)

    @classmethod
    def of(cls, area: _Area) -> _MappedFile | None:
        """Open the file of an area; None where another has its name, and nobody writes to it."""
        try:
            file = cls(area.path, regular_descriptor(area.path))
        except FileFormatError:
            return None
        return file if file.version().inode == area.inode else None

    def version(self) -> FileVersion:
        """Raises `CheckpointError` when the system does not tell any more."""
        try:
            return FileVersion.of(self._descriptor)
        except OSError as error:
            raise CheckpointError(
                f"{self.path}: the model's file cannot be looked at ({error.strerror}); load the "
                "model anew."
            ) from error


def _areas() -> Iterator[_Area]:
    """The areas of memory that files are mapped to; none where the system does not list them."""
    try:
        lines = os.fsdecode(_MAPS.read_bytes()).splitlines()
    except OSError:
        return
    for line in lines:
        addresses, rights, offset, _, inode, *path = line.split(maxsplit=5)
        # Those that are copied when they are written to.
        if path and inode != "0" and rights.endswith("p"):
            start, _, end = addresses.partition("-")
            yield _Area(int(start, 16), int(end, 16), int(offset, 16), int(inode), Path(path[0]))
