"""LoRA files kept in host memory, bounded in bytes, least recently used out first."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from engine.errors import LoraRefusedError
from engine.files.header import TensorInfo
from engine.host_memory import HostMemory, is_out_of_memory
from engine.lora.file import (
    FileStamp,
    LoraFile,
    read_lora_header,
    read_values,
    refuse_non_finite,
)
from engine.monitor.ram import free_ram

DEFAULT_BYTES = 2 << 30

_USABLE = 0.9
"""Of free memory: what is left is for the merge, and for others."""


class LoraCache:
    """Reads LoRA files and keeps the last ones; a file replaced on disk is read again.

    `pinned` memory is for a model on a GPU, to which it is copied faster. May be shared by several
    switchers and used from several threads. Nobody waits for another's reading; what two threads
    read at the same time is kept once.
    """

    def __init__(self, limit: int = DEFAULT_BYTES, *, pinned: bool = False) -> None:
        self.limit = limit
        self._memory = HostMemory(pinned=pinned)
        self._files: OrderedDict[FileStamp, LoraFile] = OrderedDict()
        # Held for a look at the table alone, never while a file is read or a caller is asked.
        self._lock = threading.Lock()

    @property
    def bytes(self) -> int:
        """Bytes held."""
        with self._lock:
            return self._bytes()

    def open(self, path: Path) -> LoraFile:
        """Open a file by its header, or with the values that are held already."""
        held = self._held(FileStamp.of(path))
        return held if held is not None else read_lora_header(path)

    def read(
        self,
        opened: LoraFile,
        tensors: frozenset[TensorInfo],
        cancelled: Callable[[], bool] = lambda: False,
        check: Callable[[LoraFile], None] = refuse_non_finite,
    ) -> LoraFile:
        """Give an opened file with the values of these tensors, reading them unless held.

        What is held was checked: `check` raises where values are not finite. Raises as `read_lora`
        does, and `LoraRefusedError` when they do not fit into free memory.
        """
        held = self._held(opened.stamp)
        # Mostly they are the very set; to compare it would take longer than the rest.
        if held is None or not (tensors is held.read or tensors <= held.read):
            # For another model other tensors of the file may have been read.
            wanted = tensors | held.read if held else tensors
            self._make_room(opened, wanted)
            try:
                held = read_values(opened, self._memory, cancelled, wanted)
                check(held)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
                raise _no_room(opened, opened.used_bytes(wanted)) from error
        return self._keep(held)

    def _held(self, stamp: FileStamp) -> LoraFile | None:
        with self._lock:
            return self._files.get(stamp)

    def _bytes(self) -> int:
        return sum(file.bytes for file in self._files.values())

    def _keep(self, file: LoraFile) -> LoraFile:
        """Hold a file as the last used one, or give the one of the same values that is held."""
        with self._lock:
            other = self._files.pop(file.stamp, file)
            kept = other if other is file or other.read >= file.read else file
            self._files[kept.stamp] = kept
            while self._bytes() > self.limit and len(self._files) > 1:
                self._files.popitem(last=False)
            return kept

    def _make_room(self, opened: LoraFile, tensors: frozenset[TensorInfo]) -> None:
        """Drop files while memory is short; raises `LoraRefusedError` where that is no help."""
        require_room(opened, tensors, beside=self.bytes)
        needed = opened.used_bytes(tensors)
        while needed > _USABLE * free_ram():
            with self._lock:
                if not self._files:
                    raise _no_room(opened, needed)
                self._files.popitem(last=False)


def require_room(file: LoraFile, tensors: frozenset[TensorInfo], beside: int = 0) -> None:
    """Raise `LoraRefusedError` when tensors of a file do not fit into free memory.

    `beside` are bytes that can be given up for them.
    """
    needed = file.used_bytes(tensors)
    if needed > _USABLE * (free_ram() + beside):
        raise _no_room(file, needed)


def _no_room(file: LoraFile, needed: int) -> LoraRefusedError:
    return LoraRefusedError(
        f"{file.path.name}: what the model uses of it needs {needed / 2**30:.1f} GiB of main "
        f"memory, and {free_ram() / 2**30:.1f} GiB are free."
    )
