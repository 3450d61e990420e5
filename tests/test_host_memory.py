"""Host buffers hold what is put there, and give their memory back at once."""

from __future__ import annotations

import gc
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch

from engine import host_memory
from engine.host_memory import CHUNK, PINNED_CHUNK, HostMemory, is_out_of_memory


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [2, 64])
def test_a_copy_is_equal_and_in_the_same_order(
    size: int, memory_format: torch.memory_format
) -> None:
    tensor = torch.randn(size, 40, 5, 5).to(memory_format=memory_format)
    copy = HostMemory().copy(tensor)
    assert torch.equal(copy, tensor)
    assert copy.stride() == tensor.stride()


def test_copies_of_views_without_their_gaps() -> None:
    tensor = torch.arange(100_000, dtype=torch.int32).reshape(100, 1000)[:, ::2]
    assert torch.equal(HostMemory().copy(tensor), tensor)
    assert HostMemory().copy(tensor).untyped_storage().nbytes() == tensor.numel() * 4


@pytest.mark.parametrize("size", [0, 1, 1 << 20])
def test_sizes(size: int) -> None:
    assert HostMemory().buffer(size).shape == (size,)


def test_too_much_is_a_memory_error() -> None:
    with pytest.raises(MemoryError):
        HostMemory().buffer(1 << 60)
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("something else"))


def test_conversion() -> None:
    tensor = torch.randn(300, 300)
    assert torch.equal(HostMemory().copy(tensor, torch.float16), tensor.half())


def test_buffers_do_not_overlap() -> None:
    memory = HostMemory()
    sizes = [1 << 17, (1 << 20) + 3, CHUNK - 5, 200_001, 1 << 18] * 2
    buffers = [memory.buffer(size) for size in sizes]
    ranges = sorted((b.data_ptr(), b.data_ptr() + b.numel()) for b in buffers)
    assert all(end <= start for (_, end), (start, _) in pairwise(ranges))


def test_dropping_one_leaves_its_neighbours_and_its_own_views() -> None:
    memory = HostMemory()
    size = 1 << 20
    before, middle, after = (memory.buffer(size).fill_(value) for value in (1, 2, 3))
    view = middle[size // 2 :]
    del middle
    assert (view == 2).all()
    del view
    gc.collect()
    assert (before == 1).all()
    assert (after == 3).all()


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_goes_back_when_dropped() -> None:
    def anonymous() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

    memory = HostMemory()
    before = anonymous()
    held = []
    for _ in range(20):
        held.append((memory.buffer(1 << 20).fill_(1), torch.empty(1000)))
    assert anonymous() - before > 19 << 20
    held[:] = [(torch.empty(0), small) for _, small in held]
    assert anonymous() - before < 2 << 20


def test_pinned_buffers_have_storages_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """What moves a LoRA by its storage moves the file, not all that shares the chunk."""
    taken: list[int] = []

    def plain(size: int) -> torch.Tensor:
        taken.append(size)
        return torch.zeros(size, dtype=torch.uint8)

    monkeypatch.setattr(host_memory, "_pinned", plain)
    memory = HostMemory(pinned=True)
    sizes = (1000, 0, 3, PINNED_CHUNK // 2, PINNED_CHUNK // 2, PINNED_CHUNK + 1)
    buffers = [memory.buffer(size).fill_(number) for number, size in enumerate(sizes)]
    assert taken == [PINNED_CHUNK, PINNED_CHUNK, PINNED_CHUNK + _up_to_64(1)]
    assert [b.untyped_storage().nbytes() for b in buffers] == list(sizes)
    for number, buffer in enumerate(buffers):
        assert (buffer == number).all()


def _up_to_64(size: int) -> int:
    return -(-size // 64) * 64
