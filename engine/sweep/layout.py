"""Where each cell stands on the sheets that show them: columns, rows, blocks, pages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from engine.sweep.plan import Axis

MOST_COLUMNS = 12
"""Values of a single axis in one row; more of them are wrapped, as on a contact sheet."""
MOST_ON_A_SHEET = 60
"""Cells of a contact sheet's page."""


@dataclass(frozen=True)
class Block:
    """A table of cells below one heading: `cells[row][column]` is a cell's number, or None."""

    heading: str
    columns: tuple[str, ...]
    """Empty where each cell has a caption of its own."""
    rows: tuple[str, ...]
    cells: tuple[tuple[int | None, ...], ...]
    captions: tuple[str, ...] = ()
    """By the number of the cell."""


@dataclass(frozen=True)
class Page:
    """One picture file of blocks, one below the other."""

    heading: str
    blocks: tuple[Block, ...]


def grid_pages(axes: Sequence[Axis]) -> list[Page]:
    """The first axis runs to the right, the second down, the third by blocks, others by pages.

    Cells are numbered as the plan has them: the last axis fastest.
    """
    if len(axes) == 1 and len(axes[0].values) > MOST_COLUMNS:
        return contact_sheets(axes[0].labels)
    sizes = [len(axis.values) for axis in axes]
    strides = [math.prod(sizes[n + 1 :]) for n in range(len(axes))]

    def number(place: Sequence[int]) -> int:
        return sum(n * stride for n, stride in zip(place, strides, strict=True))

    columns = range(sizes[0])
    rows = range(sizes[1]) if len(axes) > 1 else range(1)
    blocks = range(sizes[2]) if len(axes) > 2 else range(1)

    def block(z: int, rest: tuple[int, ...]) -> Block:
        cells = tuple(tuple(number((x, y, z, *rest)[: len(axes)]) for x in columns) for y in rows)
        headings = [axes[0].said(label) for label in axes[0].labels]
        sides = [axes[1].said(label) for label in axes[1].labels] if len(axes) > 1 else [""]
        heading = axes[2].said(axes[2].labels[z]) if len(axes) > 2 else ""
        return Block(heading, tuple(headings), tuple(sides), cells)

    def page(rest: tuple[int, ...]) -> Page:
        said = (a.said(a.labels[n]) for a, n in zip(axes[3:], rest, strict=True))
        return Page(", ".join(said), tuple(block(z, rest) for z in blocks))

    return [page(rest) for rest in product(*(range(size) for size in sizes[3:]))]


def contact_sheets(captions: Sequence[str], columns: int = 6) -> list[Page]:
    """Cells in a row, wrapped and paged, each with a caption of its own."""
    pages = []
    for start in range(0, len(captions), MOST_ON_A_SHEET):
        numbers = range(start, min(start + MOST_ON_A_SHEET, len(captions)))
        width = min(columns, len(numbers))
        rows = [tuple(numbers[n : n + width]) for n in range(0, len(numbers), width)]
        filled = [(*row, *(None for _ in range(width - len(row)))) for row in rows]
        block = Block("", (), ("",) * len(rows), tuple(filled), tuple(captions))
        pages.append(Page("", (block,)))
    return pages
