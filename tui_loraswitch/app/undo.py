"""What `u` takes back: changes of the stack and of the user's own words, the last one first."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

_KEPT = 100


class Undo:
    """A list of what was done, each with what takes it back."""

    def __init__(self) -> None:
        self._done: deque[tuple[str, Callable[[], object]]] = deque(maxlen=_KEPT)

    def add(self, words: str, take_back: Callable[[], object]) -> None:
        """Something was done: `words` say what."""
        self._done.append((words, take_back))

    def take(self) -> tuple[str, Callable[[], object]] | None:
        """The last that was done; None when nothing is left."""
        return self._done.pop() if self._done else None
