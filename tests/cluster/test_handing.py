"""Who draws which cell: all once, few switches, nobody waits, nothing is lost by a death."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from engine.cluster.handing import MOST_DEATHS, Handing

GROUPS = st.lists(st.integers(1, 5), min_size=1, max_size=6)


def handing_of(sizes: list[int]) -> tuple[Handing[str], list[str]]:
    groups = [(n, [f"{n}.{i}" for i in range(size)]) for n, size in enumerate(sizes)]
    return Handing(groups), [cell for _, cells in groups for cell in cells]


@given(GROUPS, st.integers(1, 4), st.randoms(use_true_random=False))
def test_each_cell_is_drawn_once_whoever_is_quick(
    sizes: list[int], workers: int, chance: random.Random
) -> None:
    handing, cells = handing_of(sizes)
    names = [f"w{n}" for n in range(workers)]
    drawn: list[str] = []
    at: dict[str, str] = {}
    while not handing.is_done:
        for name in names:
            if name not in at and (cell := handing.next(name)) is not None:
                at[name] = cell
        # Nobody is idle while somebody has more than the cell in hand.
        assert len(at) == workers or handing.left == 0
        name = chance.choice(sorted(at))
        handing.drawn(name)
        drawn.append(at.pop(name))
    assert sorted(drawn) == sorted(cells)


def test_one_worker_makes_one_switch_for_each_stack() -> None:
    handing, cells = handing_of([2, 3, 1])
    drawn = []
    while (cell := handing.next("a")) is not None:
        handing.drawn("a")
        drawn.append(cell)
    assert drawn == cells


def test_who_runs_dry_takes_half_of_the_longest_rest() -> None:
    handing, _ = handing_of([5, 1])
    assert (handing.next("a"), handing.next("b")) == ("0.0", "1.0")
    assert handing.ahead("a") == "0.1"
    handing.drawn("b")
    # a has 0.1 … 0.4 before it.
    assert handing.next("b") == "0.3"
    assert handing.ahead("b") == "0.4"
    handing.drawn("a")
    assert handing.next("a") == "0.1"


@given(GROUPS, st.integers(1, 3), st.randoms(use_true_random=False))
def test_a_death_loses_nothing(sizes: list[int], workers: int, chance: random.Random) -> None:
    handing, cells = handing_of(sizes)
    names = [f"w{n}" for n in range(workers)]
    drawn: list[str] = []
    deaths: dict[str, int] = {}
    set_aside: list[str] = []
    at: dict[str, str] = {}
    while not handing.is_done:
        for name in names:
            if name not in at and (cell := handing.next(name)) is not None:
                at[name] = cell
        name = chance.choice(sorted(at))
        cell = at.pop(name)
        if chance.random() < 0.4:
            deaths[cell] = deaths.get(cell, 0) + 1
            lost = handing.died(name)
            assert (lost == cell) == (deaths[cell] == MOST_DEATHS)
            set_aside += [lost] if lost is not None else []
            names[names.index(name)] = f"{name}'"
        else:
            handing.drawn(name)
            drawn.append(cell)
    assert sorted(drawn + set_aside) == sorted(cells)


def test_a_worker_that_dies_before_its_first_cell() -> None:
    handing, _ = handing_of([1])
    assert handing.died("a") is None
    assert handing.next("b") == "0.0"
