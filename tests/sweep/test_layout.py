"""Where cells stand: columns, rows, blocks and pages, each cell once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from engine.sweep.layout import MOST_ON_A_SHEET, Page, contact_sheets, grid_pages
from engine.sweep.plan import Axis, SweepPlan

NAMES = ("steps", "seed", "cfg_scale", "clip_skip", "variation_strength")


def numbers(pages: list[Page]) -> list[int]:
    return sorted(
        n for page in pages for block in page.blocks for row in block.cells
        for n in row if n is not None
    )  # fmt: skip


@given(st.lists(st.integers(1, 4), min_size=1, max_size=5))
def test_every_cell_stands_where_its_values_say(sizes: list[int]) -> None:
    axes = tuple(Axis(name, tuple(range(n))) for name, n in zip(NAMES, sizes, strict=False))
    plan = SweepPlan({}, axes)
    pages = grid_pages(axes)

    assert numbers(pages) == list(range(plan.count))
    combinations = [list(values.values()) for values in plan.combinations()]
    for page in pages:
        for z, block in enumerate(page.blocks):
            assert len(block.columns) == sizes[0]
            for y, row in enumerate(block.cells):
                for x, number in enumerate(row):
                    values = combinations[number]
                    assert values[: min(3, len(sizes))] == [x, y, z][: len(sizes)]
    assert len(pages) == len({tuple(values[3:]) for values in combinations})


def test_one_long_axis_is_a_contact_sheet() -> None:
    pages = grid_pages([Axis("seed", tuple(range(130)))])
    assert len(pages) == -(-130 // MOST_ON_A_SHEET)
    assert numbers(pages) == list(range(130))
    assert pages[0].blocks[0].captions[7] == "7"


def test_a_contact_sheet_of_one() -> None:
    assert numbers(contact_sheets(["a"])) == [0]
