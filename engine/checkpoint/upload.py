"""Weights from their files to a GPU: some are read by threads while others are on their way."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Generic, TypeVar

import torch

from engine.checkpoint.source import DTYPES, Place
from engine.host_memory import HostMemory

READERS = 4
"""Threads: a GPU may take more than one copies from the page cache. Not measured on one yet."""
PIECE = 1 << 25
"""Bytes that are read, and sent, at once."""
PIECES = 8
"""That are read or on their way at a time: a quarter of a GiB of pinned memory."""

Name = TypeVar("Name")


def uploaded(
    places: Iterable[tuple[Name, Place]], device: torch.device
) -> Generator[tuple[Name, torch.Tensor], None, None]:
    """Each weight on the device, in their order, as its stored bytes are (`Place.is_plain`).

    Raises `CheckpointError` when a file has changed since it was opened, and torch's own error
    when the device has no room.
    """
    memory = HostMemory(pinned=device.type == "cuda")
    ring: deque[_Buffer] = deque()
    pending: deque[_Piece[Name]] = deque()
    with ThreadPoolExecutor(READERS, thread_name_prefix="weights") as readers:
        try:
            for name, place in places:
                raw = torch.empty(place.nbytes, dtype=torch.uint8, device=device)
                tensor = raw.view(DTYPES[place.stored.dtype]).reshape(place.shape)
                # An empty one is a piece too.
                for start in range(0, max(1, place.nbytes), PIECE):
                    if len(pending) == PIECES:
                        ring.append(pending[0].buffer)
                        yield from pending.popleft().sent()
                    buffer = ring.popleft() if ring else _Buffer(memory.buffer(PIECE))
                    part = raw[start : start + PIECE]
                    read = readers.submit(buffer.fill, place, start, len(part))
                    is_last = start + PIECE >= place.nbytes
                    done = (name, tensor) if is_last else None
                    pending.append(_Piece(read, buffer, part, done))
            while pending:
                ring.append(pending[0].buffer)
                yield from pending.popleft().sent()
        finally:
            readers.shutdown(cancel_futures=True)
            for buffer in (*ring, *(piece.buffer for piece in pending)):
                buffer.wait()


@dataclass
class _Buffer:
    """Host memory for one piece after the other."""

    bytes: torch.Tensor
    wait: Callable[[], object] = lambda: None
    """Returns when what was sent from it has arrived."""

    def fill(self, place: Place, start: int, length: int) -> None:
        """Read a part of a weight."""
        self.wait()
        place.file.read_into(self.bytes[:length], place.range[0] + start)


@dataclass
class _Piece(Generic[Name]):
    """A part of a weight that is being read."""

    read: Future[None]
    buffer: _Buffer
    target: torch.Tensor
    whole: tuple[Name, torch.Tensor] | None
    """The weight, with its last part."""

    def sent(self) -> Iterator[tuple[Name, torch.Tensor]]:
        """Send it as soon as it is read; gives the weight with its last part."""
        self.read.result()
        self.target.copy_(self.buffer.bytes[: len(self.target)], non_blocking=True)
        self.buffer.wait = _arrival(self.target.device)
        if self.whole is not None:
            yield self.whole


def _arrival(device: torch.device) -> Callable[[], object]:
    """What waits until all that was sent to a device up to now has arrived."""
    if device.type != "cuda":
        return lambda: None
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return event.synchronize
