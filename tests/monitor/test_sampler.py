"""The sampler reads at once, at its pace, and not after it was stopped."""

import queue
import subprocess
import sys
import threading
from pathlib import Path

import psutil
import pytest

from engine.monitor.nvml import Nvml
from engine.monitor.ram import read_ram
from engine.monitor.reading import GpuReading, Reading
from engine.monitor.sampler import Sampler

from . import fake_nvml as fake
from .fake_nvml import FULL_GPU, FakeNvml

OTHER_GPU = {**FULL_GPU, "uuid": "GPU-22222222-bbbb", "name": "A6000"}


def sampler_of(module: FakeNvml, interval: float = 0.001) -> tuple[Sampler, "queue.Queue[Reading]"]:
    readings: queue.Queue[Reading] = queue.Queue()
    sampler = Sampler(interval, readings.put, make_nvml=lambda gpu: Nvml(gpu, module))
    return sampler, readings


def test_read_once_without_a_thread() -> None:
    sampler, _ = sampler_of(FakeNvml(init=fake.NVMLError_LibraryNotFound()))
    reading = sampler.read_once()
    assert reading.gpu is None
    assert reading.gpu_note == "no NVIDIA driver"
    assert 0 < reading.process_rss < reading.ram_total
    assert 0 < reading.ram_used <= reading.ram_total
    sampler.stop()


def test_the_memory_is_that_of_the_process_that_holds_the_model() -> None:
    sampler, _ = sampler_of(FakeNvml())
    code = "import sys; x = bytearray(b'1') * 50_000_000; print(flush=True); sys.stdin.read()"
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        sampler.watch_process(process.pid)
        found = sampler.read_once().process_rss
        assert found == pytest.approx(psutil.Process(process.pid).memory_info().rss, rel=0.2)
        assert found > 50_000_000
        process.kill()
    assert sampler.read_once().process_rss == 0, "it has ended"
    sampler.watch_process(process.pid)
    assert sampler.read_once().process_rss == 0


def test_readings_come_from_the_samplers_thread_until_it_stops() -> None:
    module = FakeNvml(FULL_GPU)
    seen: queue.Queue[tuple[str, Reading]] = queue.Queue()
    sampler = Sampler(
        0.001,
        lambda reading: seen.put((threading.current_thread().name, reading)),
        make_nvml=lambda gpu: Nvml(gpu, module),
    )
    sampler.start()
    first, second = (seen.get(timeout=10) for _ in range(2))
    sampler.stop(timeout=10)
    assert first[0] == "sampler"
    assert first[1].gpu is not None
    assert first[1].monotonic < second[1].monotonic
    assert module.closed == 1
    while not seen.empty():
        seen.get_nowait()
    assert "sampler" not in {thread.name for thread in threading.enumerate()}


def test_stop_does_not_wait_for_the_interval() -> None:
    sampler, readings = sampler_of(FakeNvml(FULL_GPU), interval=3600)
    sampler.start()
    readings.get(timeout=10)
    sampler.stop(timeout=10)
    assert readings.empty()
    assert "sampler" not in {thread.name for thread in threading.enumerate()}


def test_watch_changes_the_gpu() -> None:
    sampler, _ = sampler_of(FakeNvml(FULL_GPU, OTHER_GPU))
    assert sampler.read_once().gpu_note == "2 GPUs, none in use yet"
    sampler.watch("22222222-bbbb")
    gpu = sampler.read_once().gpu
    assert gpu is not None
    assert gpu.name == "A6000"


def test_watch_waits_for_nothing_and_nvml_is_opened_by_the_thread_that_reads() -> None:
    opened: queue.Queue[tuple[str, str | None]] = queue.Queue()
    may_open = threading.Event()
    readings: queue.Queue[Reading] = queue.Queue()

    class SlowNvml(Nvml):
        def __init__(self, gpu: str | None) -> None:
            super().__init__(gpu, FakeNvml(FULL_GPU, OTHER_GPU))
            self.gpu = gpu

        def read(self) -> GpuReading | None:
            opened.put((threading.current_thread().name, self.gpu))
            may_open.wait(10)
            return super().read()

    sampler = Sampler(0.001, readings.put, make_nvml=SlowNvml)
    sampler.start()
    assert opened.get(timeout=10) == ("sampler", None)
    sampler.watch("22222222-bbbb")
    may_open.set()
    assert readings.get(timeout=10).gpu is None
    gpu = readings.get(timeout=10).gpu
    sampler.stop(timeout=10)
    assert gpu is not None
    assert gpu.name == "A6000"
    assert opened.get(timeout=10) == ("sampler", "22222222-bbbb")


def test_ram_of_the_machine(tmp_path: Path) -> None:
    used, total = read_ram(tmp_path)
    assert total == psutil.virtual_memory().total
    assert 0 < used <= total


def test_ram_of_a_container(tmp_path: Path) -> None:
    (tmp_path / "memory.max").write_text("1000000\n")
    (tmp_path / "memory.current").write_text("700000\n")
    assert read_ram(tmp_path) == (700_000, 1_000_000)
    (tmp_path / "memory.stat").write_text("anon 1\ninactive_file 200000\n")
    assert read_ram(tmp_path) == (500_000, 1_000_000)
    (tmp_path / "memory.max").write_text("max\n")
    assert read_ram(tmp_path)[1] == psutil.virtual_memory().total


def test_ram_of_an_older_container(tmp_path: Path) -> None:
    folder = tmp_path / "memory"
    folder.mkdir()
    (folder / "memory.limit_in_bytes").write_text("1000000")
    (folder / "memory.usage_in_bytes").write_text("700000")
    (folder / "memory.stat").write_text("total_inactive_file 100000\n")
    assert read_ram(tmp_path) == (600_000, 1_000_000)
    (folder / "memory.limit_in_bytes").write_text(str(2**63 - 4096))
    assert read_ram(tmp_path)[1] == psutil.virtual_memory().total
