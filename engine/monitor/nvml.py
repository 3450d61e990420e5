"""One GPU through NVML, NVIDIA's management library; whatever it cannot tell is None."""

from __future__ import annotations

import re
from importlib import import_module
from typing import Any

from engine.monitor.reading import GpuReading

UNIFIED_MEMORY = "unified memory"
"""The note for a GPU that shares the host's memory: show the host's figures."""

_PCI_BUS_ID = re.compile(r"(?:([0-9a-f]{1,8}):)?([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])", re.I)


class Nvml:
    """NVML, opened at the first reading; `note` says in a word what is missing, if anything is.

    `module` is pynvml, or what stands in for it; it is imported only when it is needed. The GPU is
    named by its UUID (as torch or NVML writes it) or PCI bus id, since CUDA and NVML number GPUs
    differently; without a name the machine's only GPU is read.
    """

    def __init__(self, gpu: str | None = None, module: Any | None = None) -> None:
        self.note = ""
        self._wanted = gpu or ""
        self._module = module
        self._is_open = False
        self._failure = ""
        self._handle: Any | None = None

    def read(self) -> GpuReading | None:
        """The GPU now; None with a `note` when there is none to read."""
        self.note = self._open()
        if self.note:
            return None
        if self._handle is None:
            self._handle, self.note = self._find()
            if self._handle is None:
                return None
        return self._read(self._handle)

    def close(self) -> None:
        """Let go of the library; a later reading opens it again."""
        if self._is_open:
            self._is_open = False
            self._handle = None
            self._ask("nvmlShutdown")

    def _open(self) -> str:
        """Empty when NVML is open, else why it is not; a failure is final, drivers do not come."""
        if self._is_open or self._failure:
            return self._failure
        if self._module is None:
            try:
                self._module = import_module("pynvml")
            except ImportError:
                self._failure = "nvidia-ml-py is not installed"
                return self._failure
        try:
            self._module.nvmlInit()
        except self._module.NVMLError as error:
            self._failure = _why_not_open(self._module, error)
        else:
            self._is_open = True
        return self._failure

    def _ask(self, function: str, *arguments: Any, **options: Any) -> Any | None:
        """NVML's answer; None when it cannot tell."""
        module: Any = self._module
        try:
            return getattr(module, function)(*arguments, **options)
        except module.NVMLError:
            return None

    def _read(self, handle: Any) -> GpuReading | None:
        name = _text(self._ask("nvmlDeviceGetName", handle))
        used, total = self._memory(handle)
        rates = self._ask("nvmlDeviceGetUtilizationRates", handle)
        if not name and total is None and rates is None:
            # Fallen off the bus, or the driver was reloaded: look for it anew next time.
            self._handle = None
            self.note = "the GPU does not answer"
            return None
        module: Any = self._module
        return GpuReading(
            name=name or "NVIDIA GPU",
            memory_used=used,
            memory_total=total,
            utilisation=None if rates is None else int(rates.gpu),
            temperature=self._ask("nvmlDeviceGetTemperature", handle, module.NVML_TEMPERATURE_GPU),
            power=_watts(self._ask("nvmlDeviceGetPowerUsage", handle)),
            power_limit=_watts(self._ask("nvmlDeviceGetEnforcedPowerLimit", handle)),
        )

    def _memory(self, handle: Any) -> tuple[int | None, int | None]:
        """Used and total bytes; version 2 counts the driver's own share apart, old ones lack it."""
        module: Any = self._module
        for options in ({"version": module.nvmlMemory_v2}, {}):
            try:
                memory = module.nvmlDeviceGetMemoryInfo(handle, **options)
            except module.NVMLError_NotSupported:
                break
            except module.NVMLError:
                continue
            if memory.total:
                return int(memory.used), int(memory.total)
            break
        else:
            return None, None
        self.note = UNIFIED_MEMORY
        return None, None

    def _find(self) -> tuple[Any | None, str]:
        """The handle of the wanted GPU, or else why there is none."""
        count = self._ask("nvmlDeviceGetCount") or 0
        listed = (self._ask("nvmlDeviceGetHandleByIndex", index) for index in range(count))
        # Containers may count GPUs that they give no right to.
        handles = [handle for handle in listed if handle is not None]
        if self._wanted:
            found = [handle for handle in handles if self._is_wanted(handle)]
            if len(found) != 1:
                # A slice of a GPU (MIG) is in no list, but can be asked for.
                slice_name = f"MIG-{_plain_uuid(self._wanted)}"
                found = [self._ask("nvmlDeviceGetHandleByUUID", slice_name)]
            return found[0], "" if found[0] is not None else "NVML does not list the GPU in use"
        if len(handles) == 1:
            return handles[0], ""
        return None, f"{len(handles)} GPUs, none in use yet" if handles else "no NVIDIA GPU"

    def _is_wanted(self, handle: Any) -> bool:
        if bus := _pci_bus_id(self._wanted):
            info = self._ask("nvmlDeviceGetPciInfo", handle)
            return info is not None and _pci_bus_id(_text(info.busId)) == bus
        uuid = _plain_uuid(_text(self._ask("nvmlDeviceGetUUID", handle)))
        return uuid.startswith(_plain_uuid(self._wanted))


def _why_not_open(module: Any, error: Exception) -> str:
    if isinstance(error, module.NVMLError_LibraryNotFound):
        return "no NVIDIA driver"
    if isinstance(error, module.NVMLError_DriverNotLoaded):
        return "the NVIDIA driver is not loaded"
    if isinstance(error, module.NVMLError_LibRmVersionMismatch):
        return "the NVIDIA driver was updated: restart the machine"
    return f"NVML: {error}"


def _text(value: Any) -> str:
    """NVML's texts are bytes in older versions of its wrapper."""
    return value.decode(errors="replace") if isinstance(value, bytes) else value or ""


def _plain_uuid(text: str) -> str:
    """Torch writes a UUID bare, NVML with GPU- or MIG- before it."""
    return text.lower().removeprefix("gpu-").removeprefix("mig-")


def _pci_bus_id(text: str) -> tuple[int, ...]:
    """Domain, bus, device and function; NVML writes the domain with 8 digits, others with 4."""
    match = _PCI_BUS_ID.fullmatch(text)
    return tuple(int(part or "0", 16) for part in match.groups()) if match else ()


def _watts(milliwatts: int | None) -> float | None:
    return None if milliwatts is None else milliwatts / 1000
