"""Pictures over a slow line: no more bytes in a second than it is given.

A half-cell picture of 60×30 cells is 65 kB. While pictures follow one another, each is as fine as
fits: fewer colours, then larger blocks, and cells that hardly differ stay as they are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

from tui_loraswitch.config.audition import KIB_PER_SECOND
from tui_loraswitch.images.fit import HalfCells

if TYPE_CHECKING:
    from numpy import uint8
    from numpy.typing import NDArray

_RUNGS = ((1, 8, 0), (1, 5, 6), (1, 4, 12), (2, 4, 12), (3, 4, 16), (5, 3, 24), (8, 3, 32))
"""Cells a block is wide and high, bits of a colour, and how far a colour may be off what is there
already; from fine to coarse."""
_COLOURS = 40
"""Bytes of a run of cells of two colours: `ESC[38;2;r;g;b;48;2;r;g;bm` and its end."""
_CELL = 3
_SPAN = 8
"""To move the cursor."""


_SHARE = 0.7
"""Of the line is for pictures; the rest is for the list and what else moves."""
_SAVED_SECONDS = 0.4
"""What is not sent adds up to so much: a slow line is not filled for longer."""


class LineBudget:
    """Bytes of a picture that may be sent now, on a line of so many KiB a second."""

    def __init__(
        self, kib_per_second: float = KIB_PER_SECOND, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.per_second = kib_per_second * 1024 * _SHARE
        self._clock = clock
        self._left = self._most = self.per_second * _SAVED_SECONDS
        self._then = clock()

    @property
    def left(self) -> float:
        """How many."""
        now = self._clock()
        self._left = min(self._most, self._left + (now - self._then) * self.per_second)
        self._then = now
        return self._left

    def spend(self, count: float) -> None:
        """Take down what is sent."""
        self._left = self.left - count


def as_fine_as_fits(cells: HalfCells, shown: HalfCells, allowance: float) -> tuple[HalfCells, int]:
    """The finest of a picture that takes no more bytes, and its bytes.

    If none does it is as many rows of the coarsest as fit, and the others as shown.

    `shown` is what is on the screen.
    """
    drawn, cost = cells, bytes_of(cells, shown)
    for block, bits, off in _RUNGS:
        if cost <= allowance:
            break
        drawn = _kept(_coarse(cells, block, bits), shown, off)
        cost = bytes_of(drawn, shown)
    return (drawn, cost) if cost <= allowance else first_rows(drawn, shown, allowance)


def first_rows(cells: HalfCells, shown: HalfCells, allowance: float) -> tuple[HalfCells, int]:
    """As many rows of a picture as the bytes suffice for, and the others as shown; and the bytes.

    At least one row, so that it comes to an end.
    """
    if not _are_alike(cells, shown):
        shown = HalfCells(cells.width, cells.rows, bytes(len(cells.rgb)))
    spent, stride = 0, cells.width * 6
    for y, cost in enumerate(_costs(cells, shown)):
        if spent and cost and spent + cost > allowance:
            rgb = cells.rgb[: y * stride] + shown.rgb[y * stride :]
            return HalfCells(cells.width, cells.rows, rgb), spent
        spent += cost
    return cells, spent


def bytes_of(cells: HalfCells, shown: HalfCells) -> int:
    """About how many bytes it takes to show a picture where another is."""
    return sum(_costs(cells, shown))


def _costs(cells: HalfCells, shown: HalfCells) -> list[int]:
    """The bytes of each row: all at once, since a picture is tried in many ways."""
    import numpy as np

    width, new = cells.width, _by_cell(cells)
    if _are_alike(cells, shown):
        differs = (new != _by_cell(shown)).any(axis=2)
    else:
        differs = np.ones((cells.rows, width), bool)
    first = differs.argmax(axis=1)
    last = width - differs[:, ::-1].argmax(axis=1)
    # How many cells until each have other colours than the one before.
    changes = np.zeros((cells.rows, width), int)
    changes[:, 1:] = (new[:, 1:] != new[:, :-1]).any(axis=2).cumsum(axis=1)
    rows = np.arange(cells.rows)
    runs = 1 + changes[rows, last - 1] - changes[rows, first]
    costs = _SPAN + _COLOURS * runs + _CELL * (last - first)
    return [int(cost) for cost in np.where(differs.any(axis=1), costs, 0)]


def _by_cell(cells: HalfCells) -> NDArray[uint8]:
    """The two colours of each cell, [rows, width, 6]."""
    import numpy as np

    grid = np.frombuffer(cells.rgb, np.uint8).reshape(cells.rows, 2, cells.width, 3)
    return grid.transpose(0, 2, 1, 3).reshape(cells.rows, cells.width, 6)


def changed_span(row: bytes, before: bytes, width: int) -> tuple[int, int]:
    """From which cell of a row to which it differs; equal numbers where it does not."""
    if row == before:
        return 0, 0
    if len(row) != len(before):
        return 0, width
    cells = list(_cells(row, width))
    others = list(_cells(before, width))
    first = next(x for x in range(width) if cells[x] != others[x])
    last = next(x for x in reversed(range(width)) if cells[x] != others[x])
    return first, last + 1


def _are_alike(cells: HalfCells, shown: HalfCells) -> bool:
    """Whether rows of one can stand beside rows of the other."""
    is_plain = not shown.symbols and not shown.has_numbered_colours
    return is_plain and (cells.width, cells.rows) == (shown.width, shown.rows)


def _cells(row: bytes, width: int) -> Iterator[tuple[bytes, bytes]]:
    """The two colours of each cell."""
    lower = 3 * width
    for x in range(0, lower, 3):
        yield row[x : x + 3], row[lower + x : lower + x + 3]


def _coarse(cells: HalfCells, block: int, bits: int) -> HalfCells:
    """In larger blocks and fewer colours; a colour is the same in every picture."""
    from PIL import Image

    size = cells.width, 2 * cells.rows
    image = Image.frombytes("RGB", size, cells.rgb)
    if block > 1:
        # Blocks of cells, each of which is two pixels high.
        few = max(1, round(size[0] / block)), max(1, round(size[1] / block))
        image = image.resize(few, Image.Resampling.BOX).resize(size, Image.Resampling.NEAREST)
    step = 1 << (8 - bits)
    levels = [min(255, value // step * step + step // 2) for value in range(256)]
    return HalfCells(cells.width, cells.rows, image.point(levels * 3).tobytes())


def _kept(cells: HalfCells, shown: HalfCells, off: int) -> HalfCells:
    """With the colours that are there already where they are off by no more."""
    import numpy as np

    if not off or not _are_alike(cells, shown):
        return cells
    new, old = (np.frombuffer(one.rgb, np.uint8).reshape(-1, 3) for one in (cells, shown))
    is_near = (np.abs(new.astype(np.int16) - old) <= off).all(axis=1, keepdims=True)
    return HalfCells(cells.width, cells.rows, np.where(is_near, old, new).tobytes())
