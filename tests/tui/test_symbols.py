"""Finer characters than half cells: each cell has the best of its set."""

from __future__ import annotations

import itertools
import unicodedata

import numpy as np
import pytest
from PIL import Image

from tui_loraswitch.images.fit import fit_half_cells
from tui_loraswitch.images.symbol_sets import GRIDS
from tui_loraswitch.images.symbols import _characters, drawn_in

QUADRANTS = {"▘": 1, "▝": 2, "▀": 3, "▖": 4, "▌": 5, "▞": 6, "▛": 7, " ": 0}


def pattern_of(character: str, symbols: str) -> int:
    """Which places are in front, read from the character's name."""
    if symbols == "quadrants":
        return QUADRANTS[character]
    if character == " ":
        return 0
    if character == "▌":
        return 0b010101
    digits = unicodedata.name(character).removeprefix("BLOCK SEXTANT-")
    return sum(1 << int(digit) - 1 for digit in digits)


@pytest.mark.parametrize("symbols", ["quadrants", "sextants"])
def test_each_cell_has_the_least_error_of_all_ways_to_part_it(symbols):
    across, down = GRIDS[symbols]
    count, columns, rows = across * down, 5, 3
    random = np.random.default_rng(7)
    image = random.integers(0, 256, (rows * down, columns * across, 3), np.uint8)
    characters, rgb = drawn_in(Image.fromarray(image), columns, rows, symbols)
    colours = np.frombuffer(rgb, np.uint8).reshape(rows, 2, columns, 3).astype(float)
    for y, x in itertools.product(range(rows), range(columns)):
        cell = image[y * down : (y + 1) * down, x * across : (x + 1) * across]
        places = cell.reshape(count, 3).astype(float)
        pattern = pattern_of(characters[y * columns + x], symbols)
        shown = [colours[y, 0 if pattern >> n & 1 else 1, x] for n in range(count)]
        error = ((places - np.array(shown)) ** 2).sum()
        least = min(_error(places, other) for other in range(2**count - 1))
        assert error <= least + count * 3, "but for the rounding of its colours"


def _error(places: np.ndarray, pattern: int) -> float:
    parts = [[p for n, p in enumerate(places) if (pattern >> n & 1) == side] for side in (0, 1)]
    return sum(((np.array(part) - np.mean(part, axis=0)) ** 2).sum() for part in parts if part)


def test_octants_are_where_unicode_has_them():
    characters = _characters("octants")
    assert len(set(characters)) == 128
    known = {4: "\U0001cd00", 6: "\U0001cd01", 7: "\U0001cd02", 8: "\U0001cd03", 9: "\U0001cd04",
             0x55: "▌", 0x0F: "▀", 0x3F: "\U0001fb85", 0x7F: "\U0001cd70"}  # fmt: skip
    assert {pattern: characters[pattern] for pattern in known} == known


@pytest.mark.parametrize("symbols", ["quadrants", "sextants", "octants"])
@pytest.mark.parametrize("is_thrifty", [False, True])
def test_a_picture_has_a_character_and_two_colours_for_each_cell(symbols, is_thrifty):
    picture = (40, 20, bytes(range(240)) * 10)
    cells = fit_half_cells(picture, 30, 30, is_thrifty, symbols)
    assert len(cells.symbols) == cells.width * cells.rows
    assert len(cells.rgb) == cells.width * cells.rows * 6
