"""Large host buffers: quick to fill, and given back to the system the moment they are dropped."""

from __future__ import annotations

import errno
import mmap
import threading
import weakref

import torch

SMALLEST_BUFFER = 1 << 17
"""Bytes; below, the allocator's own memory is as good."""

CHUNK = 1 << 28
"""Bytes of address space taken at a time; memory comes when it is written to."""


class HostMemory:
    """Hands out buffers one behind the other, for things that live about equally long.

    Freed memory of the allocator stays with the process as long as anything small lies behind it,
    which for gigabytes of weights matters; a mapping for each buffer would be filled in pages of
    4 KiB, which takes longer than to copy them. Here the system gives huge pages where it has them,
    and takes back the pages of each buffer with its last view. May be used from several threads.
    """

    def __init__(self) -> None:
        self._chunk: mmap.mmap | None = None
        self._used = 0
        self._lock = threading.Lock()

    def buffer(self, size: int) -> torch.Tensor:
        """An uninitialised tensor of `size` bytes (uint8) on the CPU.

        Raises `MemoryError` when there is not so much.
        """
        if size < SMALLEST_BUFFER or not hasattr(mmap, "MADV_DONTNEED"):
            return torch.empty(size, dtype=torch.uint8)
        room = -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
        with self._lock:
            if self._chunk is None or self._used + room > len(self._chunk):
                self._chunk, self._used = _mapping(max(room, CHUNK)), 0
            chunk, start = self._chunk, self._used
            self._used += room
        view = memoryview(chunk)[start : start + size]
        # The tensor's storage holds this view: what holds the storage keeps the memory.
        finalizer = weakref.finalize(view, chunk.madvise, mmap.MADV_DONTNEED, start, room)
        finalizer.atexit = False
        return torch.frombuffer(view, dtype=torch.uint8)

    def copy(self, tensor: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Copy a tensor from any device, converted to `dtype`, in the same order of dimensions."""
        dtype = dtype or tensor.dtype
        flat = self.buffer(tensor.numel() * dtype.itemsize).view(dtype)
        return flat.as_strided(tensor.shape, _dense_strides(tensor)).copy_(tensor)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; the CPU's allocator has no type of its own."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    return isinstance(error, RuntimeError) and "DefaultCPUAllocator" in str(error)


def _mapping(size: int) -> mmap.mmap:
    try:
        mapping = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        raise MemoryError(f"{size} bytes") from error
    if hasattr(mmap, "MADV_HUGEPAGE"):
        try:
            mapping.madvise(mmap.MADV_HUGEPAGE)
        except OSError as error:
            # A system built without huge pages; the others do as well.
            if error.errno != errno.EINVAL:
                raise
    return mapping


def _dense_strides(tensor: torch.Tensor) -> tuple[int, ...]:
    """Strides without gaps, in the tensor's own memory format."""
    return torch.empty_like(tensor, device="meta").stride()
