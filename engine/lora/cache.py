"""LoRA files kept in host memory, bounded in bytes, least recently used out first."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path

from engine.host_memory import HostMemory
from engine.lora.file import FileStamp, LoraFile, read_lora, read_lora_header

DEFAULT_BYTES = 2 << 30


class LoraCache:
    """Reads LoRA files and keeps the last ones; a file replaced on disk is read again.

    `pinned` memory is for a model on a GPU, to which it is copied faster.
    """

    def __init__(self, limit: int = DEFAULT_BYTES, *, pinned: bool = False) -> None:
        self.limit = limit
        self._memory = HostMemory(pinned=pinned)
        self._files: OrderedDict[FileStamp, LoraFile] = OrderedDict()

    @property
    def bytes(self) -> int:
        """Bytes held."""
        return sum(file.bytes for file in self._files.values())

    def open(self, path: Path) -> LoraFile:
        """Open a file by its header, or whole when it is held already."""
        held = self._files.get(FileStamp.of(path))
        return held if held is not None else read_lora_header(path)

    def read(self, opened: LoraFile, cancelled: Callable[[], bool] = lambda: False) -> LoraFile:
        """Give an opened file with its values, reading them unless held; raises as `read_lora`."""
        file = self._files.pop(opened.stamp, None)
        file = file or read_lora(opened, self._memory, cancelled)
        self._files[file.stamp] = file
        while self.bytes > self.limit and len(self._files) > 1:
            self._files.popitem(last=False)
        return file
