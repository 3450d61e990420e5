"""Long names keep both ends."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len

from tui_loraswitch.look.middle import cut_middle


@given(st.text("ab雪é_ ", max_size=40), st.integers(0, 40))
def test_it_fits_and_keeps_both_ends(text, width):
    cut = cut_middle(text, width)
    assert cell_len(cut) <= width
    if cell_len(text) <= width:
        assert cut == text
    elif width >= 5:
        head, _, tail = cut.partition("…")
        assert text.startswith(head)
        assert text.endswith(tail)
        assert cell_len(head) >= cell_len(tail) - 3


def test_versions_stay_apart():
    names = [f"my_long_character_style_lora_v{n}" for n in (1, 2)]
    assert cut_middle(names[0], 20) == "my_long_cha…_lora_v1"
    assert cut_middle(names[1], 20) != cut_middle(names[0], 20)
