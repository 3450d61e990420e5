"""Names of cells: safe in a folder, the same in every run, no two alike."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from engine.sweep.cell_names import cell_name, value_names

LABELS = st.lists(st.text(st.characters(codec=None), max_size=60), unique=True, max_size=8)


def test_plain_values_are_their_own_names() -> None:
    names = value_names(["0.4", "neon_glow", "Euler-a", "1"])
    assert names == ["0.4", "neon_glow", "Euler-a", "1"]
    assert cell_name(["lora", "seed"], ["neon_glow", "1"]) == "lora-neon_glow_seed-1"


@given(LABELS)
def test_values_have_safe_names_of_their_own(labels: list[str]) -> None:
    names = value_names(labels)

    assert len({name.casefold() for name in names}) == len(names)
    for name in names:
        assert re.fullmatch(r"[\w.+~-]+", name)
        assert not name.startswith((".", "-"))
        assert len(name.encode()) <= 220


def test_a_value_that_is_changed_keeps_its_name_beside_others() -> None:
    (alone,) = value_names(["../../etc/passwd"])
    assert "/" not in alone
    assert value_names(["a", "../../etc/passwd", "b"])[1] == alone
    assert value_names(["styles/neon"]) != value_names(["styles neon"])


def test_names_that_differ_in_case_alone_are_told_apart() -> None:
    one, other = value_names(["Neon", "neon"])
    assert one.casefold() != other.casefold()


@given(st.lists(st.text(max_size=100), min_size=1, max_size=6))
def test_a_whole_name_fits_a_file_system(labels: list[str]) -> None:
    name = cell_name(
        [f"axis{n}" for n in range(len(labels))], [value_names([x])[0] for x in labels]
    )
    assert len(f"{name}.png".encode()) <= 200
