"""Who draws which cell next: a stack stays with a worker, and who runs dry takes from others."""

from __future__ import annotations

from collections import deque
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

MOST_DEATHS = 2
"""A cell during which so many workers died is set aside."""

Item = TypeVar("Item", bound=Hashable)


@dataclass
class _Share(Generic[Item]):
    """What one worker has before it: cells of one stack."""

    stack: Hashable = None
    cells: deque[Item] = field(default_factory=deque)
    drawing: Item | None = None


class Handing(Generic[Item]):
    """Hands out cells so that switches stay few and nobody waits while there is work.

    `groups` are the cells of each stack, in the order of the fewest switches. A worker gets a whole
    group, and the next one when that is drawn. When none is left, it takes half of the longest
    rest of another worker: one more switch, in exchange for that worker's time.
    """

    def __init__(self, groups: Sequence[tuple[Hashable, Sequence[Item]]]) -> None:
        self._groups = deque((stack, deque(cells)) for stack, cells in groups if cells)
        self._shares: dict[str, _Share[Item]] = {}
        self._deaths: dict[Item, int] = {}

    def next(self, worker: str) -> Item | None:
        """The cell that a worker is to draw now; None: there is nothing left for it."""
        share = self._shares.setdefault(worker, _Share())
        if not share.cells:
            self._refill(worker, share)
        share.drawing = share.cells.popleft() if share.cells else None
        return share.drawing

    def ahead(self, worker: str) -> Item | None:
        """The cell that this worker draws after this one, as it looks now."""
        share = self._shares[worker]
        if share.cells:
            return share.cells[0]
        return self._groups[0][1][0] if self._groups else None

    def drawn(self, worker: str) -> None:
        """A worker is done with its cell."""
        self._shares[worker].drawing = None

    def died(self, worker: str) -> Item | None:
        """A worker is gone: what it had before it goes back, its cell first.

        Returns the cell that it was drawing if that is to be set aside, since it killed too many.
        """
        share = self._shares.pop(worker, None)
        if share is None:
            return None
        cell, set_aside = share.drawing, None
        if cell is not None:
            self._deaths[cell] = self._deaths.get(cell, 0) + 1
            if self._deaths[cell] >= MOST_DEATHS:
                set_aside = cell
            else:
                share.cells.appendleft(cell)
        if share.cells:
            self._groups.appendleft((share.stack, share.cells))
        return set_aside

    @property
    def is_done(self) -> bool:
        """Whether every cell was handed out and is done with."""
        shares = self._shares.values()
        return not self._groups and all(not s.cells and s.drawing is None for s in shares)

    @property
    def left(self) -> int:
        """Cells that nobody draws yet."""
        waiting = sum(len(cells) for _, cells in self._groups)
        return waiting + sum(len(share.cells) for share in self._shares.values())

    def _refill(self, worker: str, share: _Share[Item]) -> None:
        if self._groups:
            same = next((g for g in self._groups if g[0] == share.stack), None)
            group = same or self._groups[0]
            self._groups.remove(group)
            share.stack, share.cells = group
            return
        others = [other for name, other in self._shares.items() if name != worker and other.cells]
        if not others:
            return
        richest = max(others, key=lambda other: len(other.cells))
        share.stack = richest.stack
        share.cells = deque()
        for _ in range((len(richest.cells) + 1) // 2):
            share.cells.appendleft(richest.cells.pop())
