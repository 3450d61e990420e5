"""Pictures over a slow line: never more bytes than the line has, and the exact picture at last."""

from __future__ import annotations

import random

import pytest
from rich.color import ColorSystem

from tui_loraswitch.images.fit import HalfCells
from tui_loraswitch.images.halfcell import _strip
from tui_loraswitch.images.line_budget import LineBudget, as_fine_as_fits, bytes_of, first_rows

WIDTH, ROWS = 60, 30
NOTHING = HalfCells(0, 0, b"")


def noise(seed: int, width: int = WIDTH, rows: int = ROWS) -> HalfCells:
    return HalfCells(width, rows, random.Random(seed).randbytes(width * rows * 6))


def sent(cells: HalfCells) -> int:
    """The bytes that a terminal really gets for the colours and characters of a picture."""
    segments = (segment for y in range(ROWS) for segment in _strip(cells, y))
    rendered = (
        segment.style.render(segment.text, color_system=ColorSystem.TRUECOLOR)
        for segment in segments
        if segment.style
    )
    return len("".join(rendered).encode())


def test_the_bytes_are_those_of_a_terminal_or_some_more() -> None:
    for cells in (noise(1), as_fine_as_fits(noise(1), noise(2), 30_000)[0]):
        assert sent(cells) <= bytes_of(cells, NOTHING) * 1.05
        assert bytes_of(cells, NOTHING) <= 1.2 * sent(cells)
    assert bytes_of(noise(1), noise(1)) == 0


@pytest.mark.parametrize("allowance", [60_000, 30_000, 12_000, 8_000, 2_000])
def test_a_picture_is_as_fine_as_fits(allowance: int) -> None:
    drawn, cost = as_fine_as_fits(noise(2), noise(3), allowance)
    assert cost == bytes_of(drawn, noise(3))
    assert cost <= allowance
    assert (drawn.width, drawn.rows) == (WIDTH, ROWS)


def test_with_bytes_enough_it_is_exact() -> None:
    assert as_fine_as_fits(noise(2), NOTHING, 100_000)[0] == noise(2)


def test_colours_that_are_there_stay() -> None:
    old = HalfCells(4, 1, bytes([100, 100, 100] * 8))
    new = HalfCells(4, 1, bytes([104, 100, 100] * 7 + [250, 0, 0]))
    drawn, cost = as_fine_as_fits(new, old, 60)
    assert drawn.rgb[:18] == old.rgb[:18]
    assert cost <= 60


def test_rows_come_one_after_another_until_it_is_exact() -> None:
    clock = iter(range(1000))
    budget = LineBudget(20, clock=lambda: float(next(clock)))
    shown, steps = noise(4), 0
    while shown != noise(5):
        allowance = budget.left
        assert allowance <= 0.3 * 20 * 1024
        shown, cost = first_rows(noise(5), shown, allowance)
        assert cost <= allowance
        budget.spend(cost)
        steps += 1
    assert 10 <= steps <= 20


def test_another_size_is_drawn_from_its_first_row() -> None:
    drawn, cost = first_rows(noise(6, 10, 5), noise(7), 1)
    assert (drawn.width, drawn.rows) == (10, 5)
    assert drawn.rgb[:60] == noise(6, 10, 5).rgb[:60]
    assert 0 < cost < 500


def test_the_line_is_given_no_more_in_any_second() -> None:
    now = 0.0
    budget = LineBudget(40, clock=lambda: now)
    for _ in range(3):
        sent = 0.0
        for _ in range(11):
            sent += budget.left
            budget.spend(budget.left)
            assert budget.left == 0
            now += 0.1
        assert 20 * 1024 < sent <= 40 * 1024
        now += 60.0
