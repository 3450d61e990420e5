"""Messages on a stream: four bytes of length, the most significant first, then the message."""

from __future__ import annotations

import struct

LENGTH = struct.Struct(">I")
LONGEST_GREETING = 64 << 10
LONGEST_COMMAND = 4 << 20
LONGEST_FROM_HOST = 64 << 20


def framed(message: bytes) -> bytes:
    """A message as it goes onto the stream."""
    return LENGTH.pack(len(message)) + message
