"""Large host buffers whose memory goes back to the system the moment they are dropped."""

from __future__ import annotations

import errno
import mmap

import torch

SMALLEST_MAPPING = 1 << 17
"""Bytes; below, the allocator's own memory is as good."""


def host_buffer(size: int) -> torch.Tensor:
    """An uninitialised tensor of `size` bytes (uint8) on the CPU.

    Raises `MemoryError` when there is not so much.

    It is an anonymous mapping of its own: freed memory of the allocator stays with the process as
    long as anything small lies behind it, which for gigabytes of backups matters.
    """
    if size < SMALLEST_MAPPING:
        return torch.empty(size, dtype=torch.uint8)
    try:
        mapping = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        raise MemoryError(f"{size} bytes") from error
    return torch.frombuffer(mapping, dtype=torch.uint8)


def host_copy(tensor: torch.Tensor) -> torch.Tensor:
    """Copy a tensor from any device into a host buffer, in the same order of dimensions."""
    flat = host_buffer(tensor.nbytes).view(tensor.dtype)
    return flat.as_strided(tensor.shape, _dense_strides(tensor)).copy_(tensor)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; the CPU's allocator has no type of its own."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def _dense_strides(tensor: torch.Tensor) -> tuple[int, ...]:
    """Strides without gaps, in the tensor's own memory format."""
    return torch.empty_like(tensor, device="meta").stride()
