"""Readings of memory and GPU at a steady pace, on a thread of their own."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextlib import suppress

import psutil

from engine.monitor.amd import read_amd_gpu
from engine.monitor.nvml import Nvml
from engine.monitor.ram import read_ram
from engine.monitor.reading import Reading


class Sampler:
    """Calls `on_reading` with a `Reading` every `interval` seconds, from its own thread.

    `gpu_uuid` names the GPU (its UUID or PCI bus id); None stands for the machine's only one.
    `start` and `stop` may be called once each; `watch` changes the GPU at any time, and returns at
    once: NVML, which may take its time to open, is only ever called by the thread that reads.
    """

    def __init__(
        self,
        interval: float,
        on_reading: Callable[[Reading], None],
        gpu_uuid: str | None = None,
        make_nvml: Callable[[str | None], Nvml] = Nvml,
    ) -> None:
        self.interval = interval
        self._on_reading = on_reading
        self._make_nvml = make_nvml
        self._wanted_gpu = self._watched_gpu = gpu_uuid
        self._nvml = make_nvml(gpu_uuid)
        self._process = psutil.Process()
        self._lock = threading.Lock()
        self._stopping = threading.Event()
        # A daemon: a driver that hangs must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="sampler", daemon=True)

    def start(self) -> None:
        """Begin; the first reading comes at once."""
        self._thread.start()

    def stop(self, timeout: float = 2.0) -> None:
        """End and wait for the thread; no reading comes afterwards unless the driver hangs."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join(timeout)

    def watch(self, gpu_uuid: str | None) -> None:
        """Read this GPU from the next reading on, as when a model was loaded onto it."""
        self._wanted_gpu = gpu_uuid

    def watch_process(self, pid: int) -> None:
        """Read the memory of this process, which holds the model, in place of the program's own."""
        with suppress(psutil.NoSuchProcess):
            self._process = psutil.Process(pid)

    def read_once(self) -> Reading:
        """One reading now, on the calling thread."""
        with self._lock:
            self._follow_wish()
            gpu = self._nvml.read()
            note = self._nvml.note
        if gpu is None and (gpu := read_amd_gpu()) is not None:
            note = ""
        used, total = read_ram()
        return Reading(
            monotonic=time.monotonic(),
            ram_used=used,
            ram_total=total,
            process_rss=self._process_rss(),
            gpu=gpu,
            gpu_note=note,
        )

    def _process_rss(self) -> int:
        try:
            return int(self._process.memory_info().rss)
        except psutil.Error:
            return 0  # it has ended

    def _follow_wish(self) -> None:
        """Go over to the GPU that `watch` named."""
        wanted = self._wanted_gpu
        if wanted != self._watched_gpu:
            self._nvml.close()
            self._nvml = self._make_nvml(wanted)
            self._watched_gpu = wanted

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._on_reading(self.read_once())
            self._stopping.wait(self.interval)
        with self._lock:
            self._nvml.close()
