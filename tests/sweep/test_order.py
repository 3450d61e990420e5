"""The order of cells needs the fewest switches: compared with all orders of small plans."""

from __future__ import annotations

from itertools import permutations, product

from hypothesis import given
from hypothesis import strategies as st

from engine.protocol.refs import LoraRef
from engine.sweep.order import count_switches, drawing_order

A, B = LoraRef("/a.safetensors"), LoraRef("/b.safetensors")
STACKS = ((), (A,), (A.at(0.5),), (B,), (A, B), (B, A), (A, A))


@given(st.lists(st.sampled_from(STACKS), max_size=5), st.sampled_from(STACKS))
def test_no_order_has_fewer_switches(stacks: list[tuple[LoraRef, ...]], live) -> None:
    order = drawing_order(stacks, live)

    assert sorted(order) == list(range(len(stacks)))
    fewest = min(count_switches(some, live) for some in permutations(stacks))
    assert count_switches([stacks[n] for n in order], live) == fewest


def test_a_stack_is_the_same_in_any_order() -> None:
    assert count_switches([(A, B), (B, A)], (A, B)) == 0
    assert count_switches([(A,), (A, A)]) == 2


def test_one_switch_for_each_stack_of_a_grid() -> None:
    refs = [LoraRef(f"/{name}.safetensors") for name in "abcd"]
    stacks = [(ref.at(s),) for s, _, ref in product((0.4, 0.8, 1.2), (1, 2), refs)]

    order = drawing_order(stacks, (refs[2].at(0.8),))
    ordered = [stacks[n] for n in order]
    assert count_switches(ordered, (refs[2].at(0.8),)) == 11
    # The strengths of a file are neighbours, so that it is read once.
    assert count_switches([(stack[0].at(1.0),) for stack in ordered[2:]]) == 4


def test_cells_of_a_stack_keep_the_order_of_the_plan() -> None:
    assert drawing_order([(A,), (B,), (A,), (B,)]) == [0, 2, 1, 3]
    assert drawing_order([(A,), (B,), (A,), (B,)], (B,)) == [1, 3, 0, 2]
    assert drawing_order([]) == []
