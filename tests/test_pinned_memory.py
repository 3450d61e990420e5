"""What is decided about pinned memory, with a driver that only counts."""

from __future__ import annotations

import logging
from types import SimpleNamespace

import pytest
import torch

from engine import host_memory
from engine.errors import SwitchError
from engine.host_memory import HostMemory
from engine.pinned_memory import free_pinned, give_back_pinned
from engine.switch import tier as tier_module
from engine.switch.tier import require_memory

CUDA = torch.device("cuda:0")


@pytest.fixture
def driver(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """Pinned memory in numbers: 5 GiB that PyTorch owns, of which 2 are in use."""
    state = SimpleNamespace(owned=5 << 30, active=2 << 30, given_back=0)

    def stats() -> dict[str, int]:
        return {
            "allocated_bytes.current": state.owned,
            "active_bytes.current": state.active,
        }

    def empty() -> None:
        state.given_back += 1
        state.owned = state.active

    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "host_memory_stats", stats)
    monkeypatch.setattr(torch.accelerator, "empty_host_cache", empty)
    return state


def test_what_is_pinned_and_unused_is_free(driver: SimpleNamespace) -> None:
    assert free_pinned() == 3 << 30
    give_back_pinned()
    assert free_pinned() == 0
    driver.owned = 0
    assert free_pinned() == 0, "the two figures are not read at one moment"


def test_without_a_gpu_there_is_none() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert free_pinned() == 0
    give_back_pinned()


def test_backups_may_go_where_pinned_memory_is_free(
    driver: SimpleNamespace, monkeypatch: pytest.MonkeyPatch
) -> None:
    memory = SimpleNamespace(available=1 << 30)
    monkeypatch.setattr(tier_module.psutil, "virtual_memory", lambda: memory)
    require_memory("cpu", {CUDA: 4 << 30})
    with pytest.raises(SwitchError, match=r"need 4\.1 GiB of main memory, and 4\.0 GiB are free"):
        require_memory("cpu", {CUDA: (4 << 30) + (1 << 27)})
    with pytest.raises(SwitchError, match=r"1\.0 GiB are free"):
        require_memory("cpu", {torch.device("cpu"): 4 << 30})


def test_where_no_more_can_be_pinned_the_rest_is_ordinary_memory(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    left = [host_memory.PINNED_CHUNK]

    def pin(size: int) -> torch.Tensor:
        if size > sum(left):
            raise RuntimeError("CUDA error: out of memory")
        left[0] -= size
        return torch.zeros(size, dtype=torch.uint8)

    monkeypatch.setattr(host_memory, "_pinned", pin)
    memory = HostMemory(pinned=True)
    with caplog.at_level(logging.WARNING):
        sizes = (host_memory.PINNED_CHUNK // 2, host_memory.PINNED_CHUNK, 1000, 300_000)
        buffers = [memory.buffer(size).fill_(number) for number, size in enumerate(sizes)]
    assert [len(buffer) for buffer in buffers] == list(sizes)
    for number, buffer in enumerate(buffers):
        assert (buffer == number).all()
    assert "no more memory can be pinned" in caplog.text


def test_another_fault_of_pinning_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def pin(size: int) -> torch.Tensor:
        raise RuntimeError("CUDA error: an illegal memory access was encountered")

    monkeypatch.setattr(host_memory, "_pinned", pin)
    with pytest.raises(RuntimeError, match="illegal memory access"):
        HostMemory(pinned=True).buffer(10)
