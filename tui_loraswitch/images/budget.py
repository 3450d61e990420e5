"""How many bytes of pictures go to the terminal in a second, so that a slow link keeps up."""

from __future__ import annotations

import time
from collections.abc import Callable

THRIFTY_BYTES = 64 * 1024
"""A link that is granted no more than this a second gets half cells of fewer colours."""


class PictureBudget:
    """Says when the next picture may be sent, by what was sent before.

    `per_second` is in bytes; None is a link without bounds. A picture is sent whole, and the next
    one waits until its bytes are paid: over any longer time no more is sent than was granted.
    """

    def __init__(
        self, per_second: float | None = None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._per_second = per_second
        self._clock = clock
        self._paid_at = clock()

    @property
    def is_thrifty(self) -> bool:
        """Whether pictures are to be drawn with fewer bytes, at some cost of their colours."""
        return self._per_second is not None and self._per_second <= THRIFTY_BYTES

    @property
    def seconds_left(self) -> float:
        """Seconds until the next picture may be sent; 0: now."""
        return max(0.0, self._paid_at - self._clock())

    def spend(self, count: int) -> None:
        """Note that so many bytes were sent."""
        if self._per_second is not None:
            self._paid_at = max(self._paid_at, self._clock()) + count / self._per_second
