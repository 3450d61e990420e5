"""Large host buffers: quick to fill, and given back to the system the moment they are dropped."""

from __future__ import annotations

import errno
import logging
import mmap
import threading
import weakref

import torch

log = logging.getLogger(__name__)

SMALLEST_BUFFER = 1 << 17
"""Bytes; below, the allocator's own memory is as good."""

CHUNK = 1 << 28
"""Bytes of address space taken at a time; memory comes when it is written to."""

PINNED_CHUNK = 1 << 26
"""Bytes of pinned memory taken at a time: a power of two, to which PyTorch rounds them up."""

_ALIGNMENT = 64
_HUGE_PAGE = 1 << 21


class HostMemory:
    """Hands out buffers one behind the other, for things that live about equally long.

    Freed memory of the allocator stays with the process as long as anything small lies behind it,
    which for gigabytes of weights matters; a mapping for each buffer would be filled in pages of
    4 KiB, which takes longer than to copy them. Here the system gives huge pages where it has them,
    and takes back the pages of each buffer with its last view. May be used from several threads.

    `pinned` memory, for copies to and from a GPU, goes back to PyTorch with the last buffer of a
    chunk. Cut out of chunks, since PyTorch rounds every allocation up to a power of two. Where the
    system pins no more, the rest is ordinary memory: copies are slower, and the same.
    """

    def __init__(self, *, pinned: bool = False) -> None:
        self._pinned = pinned
        self._chunk: _Mapping | None = None
        self._used = 0
        self._pinned_chunk: torch.Tensor | None = None
        self._pinned_used = 0
        self._lock = threading.Lock()

    def buffer(self, size: int) -> torch.Tensor:
        """An uninitialised tensor of `size` bytes (uint8) on the CPU.

        Raises `MemoryError` or torch's own error when there is not so much.
        """
        if self._pinned and (pinned := self._take_pinned(size)) is not None:
            return pinned
        if size < SMALLEST_BUFFER or not hasattr(mmap, "MADV_DONTNEED"):
            return torch.empty(size, dtype=torch.uint8)
        with self._lock:
            if self._chunk is None or self._used + _room(size) > len(self._chunk):
                self._chunk, self._used = _Mapping(max(_room(size), CHUNK)), 0
            start, chunk = self._used, self._chunk
            self._used += _room(size)
        return chunk.cut(start, size)

    def like(self, tensor: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        """An uninitialised tensor in the same order of dimensions, without gaps."""
        dtype = dtype or tensor.dtype
        flat = self.buffer(tensor.numel() * dtype.itemsize).view(dtype)
        return flat.as_strided(tensor.shape, _dense_strides(tensor))

    def copy(self, tensor: torch.Tensor, dtype: torch.dtype | None = None) -> torch.Tensor:
        """Copy a tensor from any device, converted to `dtype`, in the same order of dimensions."""
        return self.like(tensor, dtype).copy_(tensor)

    def _take_pinned(self, size: int) -> torch.Tensor | None:
        """A pinned buffer; None where the system pins no more."""
        room = _room(size)
        with self._lock:
            if self._pinned_chunk is None or self._pinned_used + room > len(self._pinned_chunk):
                self._pinned_chunk, self._pinned_used = None, 0
                try:
                    self._pinned_chunk = _pinned(max(room, PINNED_CHUNK))
                except (MemoryError, RuntimeError) as error:
                    if not is_out_of_memory(error):
                        raise
                    log.warning("no more memory can be pinned; copies to the GPU are slower")
                    return None
            start, chunk = self._pinned_used, self._pinned_chunk
            self._pinned_used += room
        # A storage of its own, so that what copies a storage does not copy the chunk.
        return _own_storage(chunk[start : start + size])


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out; the CPU's allocator has no type of its own."""
    if isinstance(error, MemoryError | torch.OutOfMemoryError):
        return True
    words = ("DefaultCPUAllocator", "out of memory")
    return isinstance(error, RuntimeError) and any(word in str(error) for word in words)


def _room(size: int) -> int:
    """What a buffer takes of its chunk."""
    return -(-size // _ALIGNMENT) * _ALIGNMENT


def _pinned(size: int) -> torch.Tensor:
    return torch.empty(size, dtype=torch.uint8, pin_memory=True)


def _own_storage(part: torch.Tensor) -> torch.Tensor:
    """The same memory as a tensor whose storage is that alone, and keeps the whole."""
    return torch.frombuffer(part.numpy(), dtype=torch.uint8) if part.numel() else part.clone()


class _Mapping:
    """Address space whose pages come when they are written to, and go when nothing uses them.

    They go by huge pages, since the system can take back no less of one.
    """

    def __init__(self, size: int) -> None:
        try:
            self._map = mmap.mmap(-1, size, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        except OSError as error:
            if error.errno != errno.ENOMEM:
                raise
            raise MemoryError(f"{size} bytes") from error
        if hasattr(mmap, "MADV_HUGEPAGE"):
            try:
                self._map.madvise(mmap.MADV_HUGEPAGE)
            except OSError as error:
                # A system built without huge pages; the others do as well.
                if error.errno != errno.EINVAL:
                    raise
        self._users = [0] * -(-size // _HUGE_PAGE)
        # A collection of garbage, which can begin anywhere, may end other buffers.
        self._lock = threading.RLock()

    def __len__(self) -> int:
        return len(self._map)

    def cut(self, start: int, size: int) -> torch.Tensor:
        """A tensor (uint8) over a range; its storage keeps the memory."""
        pages = range(start // _HUGE_PAGE, (start + size - 1) // _HUGE_PAGE + 1)
        with self._lock:
            for page in pages:
                self._users[page] += 1
        view = memoryview(self._map)[start : start + size]
        finalizer = weakref.finalize(view, self._leave, pages)
        finalizer.atexit = False
        return torch.frombuffer(view, dtype=torch.uint8)

    def _leave(self, pages: range) -> None:
        with self._lock:
            for page in pages:
                self._users[page] -= 1
            unused = [page for page in pages if not self._users[page]]
            if unused:
                # Only the first and the last can be shared with others: these are in one piece.
                start = unused[0] * _HUGE_PAGE
                length = min(len(unused) * _HUGE_PAGE, len(self._map) - start)
                self._map.madvise(mmap.MADV_DONTNEED, start, length)


def _dense_strides(tensor: torch.Tensor) -> tuple[int, ...]:
    """Strides without gaps, in the tensor's own memory format."""
    return torch.empty_like(tensor, device="meta").stride()
