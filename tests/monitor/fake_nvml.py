"""A stand-in for pynvml: GPUs as dictionaries of answers, errors where an answer is an error."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any


class NVMLError(Exception):
    """The base of NVML's errors."""


class NVMLError_LibraryNotFound(NVMLError): ...  # noqa: N801, N818


class NVMLError_DriverNotLoaded(NVMLError): ...  # noqa: N801, N818


class NVMLError_LibRmVersionMismatch(NVMLError): ...  # noqa: N801, N818


class NVMLError_NotSupported(NVMLError): ...  # noqa: N801, N818


class NVMLError_FunctionNotFound(NVMLError): ...  # noqa: N801, N818


class NVMLError_NoPermission(NVMLError): ...  # noqa: N801, N818


class NVMLError_GpuIsLost(NVMLError): ...  # noqa: N801, N818


GIB = 2**30

FULL_GPU: dict[str, Any] = {
    "uuid": "GPU-11111111-aaaa",
    "bus": "00000000:01:00.0",
    "name": "RTX 4090",
    "memory_v2": SimpleNamespace(used=3 * GIB, total=24 * GIB),
    "memory_v1": SimpleNamespace(used=4 * GIB, total=24 * GIB),
    "rates": SimpleNamespace(gpu=97, memory=40),
    "temperature": 61,
    "power": 350_000,
    "power_limit": 450_000,
}


class FakeNvml:
    """The part of pynvml's module that is used here."""

    nvmlMemory_v2 = 2  # noqa: N815
    NVML_TEMPERATURE_GPU = 0
    NVMLError = NVMLError
    NVMLError_LibraryNotFound = NVMLError_LibraryNotFound
    NVMLError_DriverNotLoaded = NVMLError_DriverNotLoaded
    NVMLError_LibRmVersionMismatch = NVMLError_LibRmVersionMismatch
    NVMLError_NotSupported = NVMLError_NotSupported

    def __init__(self, *gpus: dict[str, Any] | NVMLError, init: NVMLError | None = None) -> None:
        self.gpus = list(gpus)
        self.init_error = init
        self.mig: dict[str, dict[str, Any]] = {}
        self.opened = 0
        self.closed = 0

    def nvmlInit(self) -> None:  # noqa: N802
        self.opened += 1
        if self.init_error:
            raise self.init_error

    def nvmlShutdown(self) -> None:  # noqa: N802
        self.closed += 1

    def nvmlDeviceGetCount(self) -> int:  # noqa: N802
        return len(self.gpus)

    def nvmlDeviceGetHandleByIndex(self, index: int) -> dict[str, Any]:  # noqa: N802
        return _answer(self.gpus[index])

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> dict[str, Any]:  # noqa: N802
        return _answer(self.mig.get(uuid, NVMLError("not found")))

    def nvmlDeviceGetMemoryInfo(self, gpu: dict[str, Any], version: int = 1) -> Any:  # noqa: N802
        return _answer(gpu[f"memory_v{version}"])

    def nvmlDeviceGetTemperature(self, gpu: dict[str, Any], sensor: int) -> Any:  # noqa: N802
        return _answer(gpu["temperature"])

    def nvmlDeviceGetPciInfo(self, gpu: dict[str, Any]) -> Any:  # noqa: N802
        return SimpleNamespace(busId=_answer(gpu["bus"]))

    def __getattr__(self, function: str) -> Any:
        keys = {
            "nvmlDeviceGetUUID": "uuid",
            "nvmlDeviceGetName": "name",
            "nvmlDeviceGetUtilizationRates": "rates",
            "nvmlDeviceGetPowerUsage": "power",
            "nvmlDeviceGetEnforcedPowerLimit": "power_limit",
        }
        key = keys[function]
        return lambda gpu: _answer(gpu[key])


def _answer(value: Any) -> Any:
    if isinstance(value, NVMLError):
        raise value
    return value
