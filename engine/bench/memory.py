"""The most memory that some work took, beyond what was held before it."""

from __future__ import annotations

import threading
from types import TracebackType
from typing import Self

import psutil
import torch

_INTERVAL = 0.002
"""Seconds between two looks at the process's resident size; a large copy takes longer."""


class PeakMemory:
    """Watches while it is entered; `device_bytes` and `host_bytes` are the peaks afterwards.

    On CUDA the allocator keeps the peak itself. Main memory is sampled from another thread, which
    runs since torch's kernels give up the interpreter's lock.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._process = psutil.Process()
        self._done = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="peak memory", daemon=True)
        self._before = (0, 0)
        self._highest = 0
        self.device_bytes = 0
        self.host_bytes = 0

    def __enter__(self) -> Self:
        if self._device.type == "cuda":
            torch.cuda.synchronize(self._device)
            torch.cuda.reset_peak_memory_stats(self._device)
        self._highest = self._resident()
        self._before = (self._on_device(), self._highest)
        self._watcher.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._done.set()
        self._watcher.join()
        self._highest = max(self._highest, self._resident())
        device_before, host_before = self._before
        self.device_bytes = self._on_device() - device_before
        self.host_bytes = self._highest - host_before

    def _watch(self) -> None:
        while not self._done.wait(_INTERVAL):
            self._highest = max(self._highest, self._resident())

    def _resident(self) -> int:
        resident: int = self._process.memory_info().rss
        return resident

    def _on_device(self) -> int:
        if self._device.type != "cuda":
            return 0
        return torch.cuda.max_memory_allocated(self._device)
