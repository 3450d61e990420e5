"""Characters that show two colours in finer shapes than half a cell, and the best for each cell.

A cell is a grid of places, each in one of two colours. For every cell all ways to part its places
in two are tried; the one with the least squared error is taken, each part in its mean colour.
"""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from tui_loraswitch.images.symbol_sets import GRIDS, SymbolSet

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

_ROWS_AT_ONCE = 8


def drawn_in(image: Image, columns: int, rows: int, symbols: SymbolSet) -> tuple[str, bytes]:
    """The characters of `columns` × `rows` cells, and their colours as `HalfCells` has them.

    `image` has a pixel for each place of the cells.
    """
    across, down = GRIDS[symbols]
    pixels = np.asarray(image, np.float32).reshape(rows, down, columns, across, 3)
    places = pixels.transpose(0, 2, 1, 3, 4).reshape(rows, columns, down * across, 3)
    characters = _characters(symbols)
    words, colours = [], []
    for top in range(0, rows, _ROWS_AT_ONCE):
        patterns, front, back = _best(places[top : top + _ROWS_AT_ONCE])
        words += ["".join(characters[pattern] for pattern in row) for row in patterns]
        both = np.concatenate((front, back), axis=1)
        colours.append(np.clip(np.rint(both), 0, 255).astype(np.uint8).tobytes())
    return "".join(words), b"".join(colours)


def _best(
    places: NDArray[np.float32],
) -> tuple[NDArray[np.intp], NDArray[np.float32], NDArray[np.float32]]:
    """The pattern of each cell [rows, columns], and the means of its two parts [..., 3].

    Bit n of a pattern says that place n is in front. Of a pattern and its opposite, which look
    alike, only one is tried: that with the last place behind.
    """
    count = places.shape[2]
    patterns = np.arange(2 ** (count - 1))
    masks = (patterns[:, None] >> np.arange(count) & 1).astype(np.float32)
    total = places.sum(axis=2, keepdims=True)
    front = np.einsum("pn,rcnk->rcpk", masks, places)
    size = masks.sum(axis=1)
    # What a part keeps of the sum of squares is its squared sum through its size.
    kept = (front**2).sum(-1) / np.maximum(size, 1) + ((total - front) ** 2).sum(-1) / (
        count - size
    )
    best = kept.argmax(axis=2)
    chosen = np.take_along_axis(front, best[..., None, None], axis=2)[:, :, 0]
    in_front = size[best][..., None]
    return best, chosen / np.maximum(in_front, 1), (total[:, :, 0] - chosen) / (count - in_front)


@cache
def _characters(symbols: SymbolSet) -> tuple[str, ...]:
    """The character of each pattern whose last place is behind; bits go by rows, left to right."""
    if symbols == "quadrants":
        return tuple(" ▘▝▀▖▌▞▛")
    if symbols == "sextants":
        return tuple(map(_sextant, range(32)))
    return tuple(map(_octant, range(128)))


def _sextant(pattern: int) -> str:
    # The block of sextants leaves out what other characters show: the empty cell and half of one.
    if pattern == 0:
        return " "
    if pattern == 0b010101:
        return "▌"
    return chr(0x1FB00 + pattern - 1 - (pattern > 0b010101))


_OCTANTS_ELSEWHERE = {
    0x00: " ", 0x01: "\U0001cea8", 0x02: "\U0001ceab", 0x03: "\U0001fb82", 0x05: "▘",
    0x0A: "▝", 0x0F: "▀", 0x14: "\U0001fbe6", 0x28: "\U0001fbe7", 0x3F: "\U0001fb85",
    0x40: "\U0001cea3", 0x50: "▖", 0x55: "▌", 0x5A: "▞", 0x5F: "▛",
}  # fmt: skip
"""Patterns that the block of octants leaves out, since other characters show them."""


def _octant(pattern: int) -> str:
    if pattern in _OCTANTS_ELSEWHERE:
        return _OCTANTS_ELSEWHERE[pattern]
    before = sum(other < pattern for other in _OCTANTS_ELSEWHERE)
    return chr(0x1CD00 + pattern - before)
