"""What `u` takes back: changes of the stack and of the user's own words, the last one first."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

TakeBack = Callable[[], Awaitable[object] | None]
"""Takes something back at once, or gives what is to be awaited for that."""

_KEPT = 100


class Undo:
    """A list of what was done, each with what takes it back."""

    def __init__(self) -> None:
        self._done: deque[tuple[str, TakeBack]] = deque(maxlen=_KEPT)
        self.turn = asyncio.Lock()
        """Held while something is taken back: what was done before it waits."""

    def add(self, words: str, take_back: TakeBack) -> None:
        """Something was done: `words` say what."""
        self._done.append((words, take_back))

    def widen(self, words: str, also: Callable[[], object]) -> None:
        """What was done last was more than that: `words` say what, `also` takes the rest back."""
        _, take_back = self._done.pop()

        def both() -> Awaitable[object] | None:
            slow = take_back()
            also()
            return slow

        self._done.append((words, both))

    def take(self) -> tuple[str, TakeBack] | None:
        """The last that was done; None when nothing is left."""
        return self._done.pop() if self._done else None
