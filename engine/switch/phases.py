"""How long each phase of a switch took."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Phases:
    """Milliseconds by phase, in the order in which the phases began."""

    def __init__(self) -> None:
        self._seconds: dict[str, float] = {}

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Count the time of the block as this phase's."""
        start = time.perf_counter()
        try:
            yield
        finally:
            elapsed = time.perf_counter() - start
            self._seconds[name] = self._seconds.get(name, 0.0) + elapsed

    def milliseconds(self) -> tuple[tuple[str, float], ...]:
        """Each phase with its time."""
        return tuple((name, 1000 * seconds) for name, seconds in self._seconds.items())
