"""Host buffers hold what is put there, and give their memory back at once."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from engine.host_memory import host_buffer, host_copy, is_out_of_memory


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("size", [2, 64])
def test_a_copy_is_equal_and_in_the_same_order(
    size: int, memory_format: torch.memory_format
) -> None:
    tensor = torch.randn(size, 40, 5, 5).to(memory_format=memory_format)
    copy = host_copy(tensor)
    assert torch.equal(copy, tensor)
    assert copy.stride() == tensor.stride()


def test_copies_of_views_without_their_gaps() -> None:
    tensor = torch.arange(100_000, dtype=torch.int32).reshape(100, 1000)[:, ::2]
    assert torch.equal(host_copy(tensor), tensor)
    assert host_copy(tensor).untyped_storage().nbytes() == tensor.numel() * 4


@pytest.mark.parametrize("size", [0, 1, 1 << 20])
def test_sizes(size: int) -> None:
    assert host_buffer(size).shape == (size,)


def test_too_much_is_a_memory_error() -> None:
    with pytest.raises(MemoryError):
        host_buffer(1 << 60)
    with pytest.raises(RuntimeError) as caught:
        torch.empty(1 << 60, dtype=torch.uint8)
    assert is_out_of_memory(caught.value)
    assert not is_out_of_memory(RuntimeError("something else"))


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_memory_goes_back_when_dropped() -> None:
    def anonymous() -> int:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(1024 * int(line.split()[1]) for line in lines if line.startswith("RssAnon"))

    before = anonymous()
    held = []
    for _ in range(20):
        held.append((host_buffer(1 << 20).fill_(1), torch.empty(1000)))
    assert anonymous() - before > 19 << 20
    held[:] = [(torch.empty(0), small) for _, small in held]
    assert anonymous() - before < 2 << 20
