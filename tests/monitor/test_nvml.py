"""Every way in which NVML fails to answer leaves the other readings alone."""

import sys
from types import SimpleNamespace
from typing import Any

import pytest
from msgspec import structs

from engine.monitor.nvml import UNIFIED_MEMORY, Nvml
from engine.monitor.reading import GpuReading

from . import fake_nvml as fake
from .fake_nvml import FULL_GPU, GIB, FakeNvml

OTHER_GPU = {**FULL_GPU, "uuid": "GPU-22222222-bbbb", "bus": "00000001:41:00.0", "name": "A6000"}
ALL_READINGS = ("name", "memory_v2", "memory_v1", "rates", "temperature", "power", "power_limit")


def test_full_reading() -> None:
    nvml = Nvml(module=FakeNvml(FULL_GPU))
    assert nvml.read() == GpuReading(
        name="RTX 4090",
        memory_used=3 * GIB,
        memory_total=24 * GIB,
        utilisation=97,
        temperature=61,
        power=350.0,
        power_limit=450.0,
    )
    assert nvml.note == ""


@pytest.mark.parametrize(
    ("error", "note"),
    [
        (fake.NVMLError_LibraryNotFound(), "no NVIDIA driver"),
        (fake.NVMLError_DriverNotLoaded(), "the NVIDIA driver is not loaded"),
        (fake.NVMLError_LibRmVersionMismatch(), "the NVIDIA driver was updated: restart"),
        (fake.NVMLError("strange"), "NVML: strange"),
    ],
)
def test_without_a_driver_the_note_says_so(error: fake.NVMLError, note: str) -> None:
    module = FakeNvml(init=error)
    nvml = Nvml(module=module)
    assert nvml.read() is None
    assert nvml.read() is None
    assert nvml.note.startswith(note)
    assert module.opened == 1, "a missing driver is not looked for at every reading"
    nvml.close()
    assert module.closed == 0


def test_without_the_wrapper_the_note_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    nvml = Nvml()
    assert nvml.read() is None
    assert nvml.note == "nvidia-ml-py is not installed"


@pytest.mark.parametrize(
    ("missing", "fields"),
    [
        ("rates", ["utilisation"]),
        ("temperature", ["temperature"]),
        ("power", ["power"]),
        ("power_limit", ["power_limit"]),
    ],
)
def test_one_reading_may_be_missing(missing: str, fields: list[str]) -> None:
    full = Nvml(module=FakeNvml(FULL_GPU)).read()
    gpu = {**FULL_GPU, missing: fake.NVMLError_NotSupported()}
    reading = Nvml(module=FakeNvml(gpu)).read()
    assert full is not None
    assert reading is not None
    values = structs.asdict(full).items()
    differing = [name for name, value in values if value != getattr(reading, name)]
    assert differing == fields
    assert getattr(reading, fields[0]) is None


def test_old_drivers_know_only_the_first_memory_call() -> None:
    gpu = {**FULL_GPU, "memory_v2": fake.NVMLError_FunctionNotFound()}
    reading = Nvml(module=FakeNvml(gpu)).read()
    assert reading is not None
    assert reading.memory_used == 4 * GIB


@pytest.mark.parametrize(
    "memory", [fake.NVMLError_NotSupported(), SimpleNamespace(used=0, total=0)]
)
def test_unified_memory(memory: Any) -> None:
    nvml = Nvml(module=FakeNvml({**FULL_GPU, "memory_v2": memory}))
    for _ in range(2):
        reading = nvml.read()
        assert reading is not None
        assert (reading.memory_used, reading.memory_total) == (None, None)
        assert reading.utilisation == 97
        assert nvml.note == UNIFIED_MEMORY


def test_memory_that_cannot_be_told_is_not_called_unified() -> None:
    unknown = {"memory_v2": fake.NVMLError("unknown"), "memory_v1": fake.NVMLError("unknown")}
    nvml = Nvml(module=FakeNvml({**FULL_GPU, **unknown}))
    reading = nvml.read()
    assert reading is not None
    assert reading.memory_total is None
    assert nvml.note == ""


@pytest.mark.parametrize(
    "wanted",
    ["GPU-22222222-bbbb", "22222222-bbbb", "GPU-22222222-BBBB", "2222", "00000001:41:00.0",
     "0001:41:00.0"],
)  # fmt: skip
def test_gpu_is_found_by_name_and_not_by_place(wanted: str) -> None:
    for gpus in ([FULL_GPU, OTHER_GPU], [OTHER_GPU, FULL_GPU]):
        reading = Nvml(wanted, FakeNvml(*gpus)).read()
        assert reading is not None
        assert reading.name == "A6000"


@pytest.mark.parametrize("wanted", ["GPU-3333", "0000:99:00.0"])
def test_unknown_gpu_is_not_replaced_by_another(wanted: str) -> None:
    nvml = Nvml(wanted, FakeNvml(FULL_GPU))
    assert nvml.read() is None
    assert nvml.note == "NVML does not list the GPU in use"


def test_prefix_of_two_gpus_names_neither() -> None:
    twin = {**FULL_GPU, "uuid": "GPU-11111111-cccc"}
    assert Nvml("11111111", FakeNvml(FULL_GPU, twin)).read() is None


def test_slice_of_a_gpu() -> None:
    module = FakeNvml(FULL_GPU)
    module.mig["MIG-5555"] = {**FULL_GPU, "name": "slice", "rates": fake.NVMLError_NotSupported()}
    reading = Nvml("MIG-5555", module).read()
    assert reading is not None
    assert reading.name == "slice"


def test_without_a_name_only_a_single_gpu_is_read() -> None:
    several = Nvml(module=FakeNvml(FULL_GPU, OTHER_GPU))
    assert several.read() is None
    assert several.note == "2 GPUs, none in use yet"
    none = Nvml(module=FakeNvml())
    assert none.read() is None
    assert none.note == "no NVIDIA GPU"
    allowed = Nvml(module=FakeNvml(fake.NVMLError_NoPermission(), OTHER_GPU)).read()
    assert allowed is not None
    assert allowed.name == "A6000"


def test_lost_gpu_is_looked_for_again() -> None:
    gpu = dict(FULL_GPU)
    module = FakeNvml(gpu)
    nvml = Nvml(module=module)
    assert nvml.read() is not None
    gpu.update({key: fake.NVMLError_GpuIsLost() for key in ALL_READINGS})
    assert nvml.read() is None
    assert nvml.note == "the GPU does not answer"
    module.gpus[0] = FULL_GPU
    assert nvml.read() is not None
    assert nvml.note == ""


def test_names_in_bytes_and_closing() -> None:
    module = FakeNvml({**FULL_GPU, "name": b"Tesla \xff", "uuid": b"GPU-77", "bus": b"x"})
    nvml = Nvml("77", module)
    reading = nvml.read()
    assert reading is not None
    assert reading.name == "Tesla \ufffd"
    nvml.close()
    nvml.close()
    assert module.closed == 1
    assert nvml.read() is not None
    assert module.opened == 2
