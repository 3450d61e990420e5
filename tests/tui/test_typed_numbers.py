"""Numbers as they are typed into forms."""

from __future__ import annotations

import pytest

from engine.errors import EngineError
from tui_loraswitch.control.typed_numbers import as_list, typed_numbers


@pytest.mark.parametrize(
    ("typed", "plan"),
    [
        ("", ""),
        ("0.4, 0.8,1.2", "0.4, 0.8, 1.2"),
        ("-0.5, .5, 1.", "-0.5, 0.5, 1"),
        ("0.4-1.2 [3]", "0.4, 0.8, 1.2"),
        ("-1-1 [5]", "-1, -0.5, 0, 0.5, 1"),
        ("0.2-0.8 (+0.2)", "0.2, 0.4, 0.6, 0.8"),
        ("1-4, 7", "1, 2, 3, 4, 7"),
        ("9-1 (-4)", "9, 5, 1"),
        ("1-10 (+4)", "1, 5, 9"),
        ("3-3 [1]", "3"),
        ("4294967295", "4294967295"),
    ],
)
def test_lists_and_ranges_as_a1111_writes_them(typed: str, plan: str) -> None:
    assert as_list(typed_numbers(typed, "strengths", whole=False)) == plan


@pytest.mark.parametrize(
    ("typed", "whole", "said"),
    [
        ("0.4; 0.8", False, "strengths: “0.4; 0.8” is no number"),
        ("nan", False, "“nan” is no number"),
        ("4-1", False, "4-1 leads nowhere"),
        ("1-4 (-1)", False, "leads nowhere"),
        ("1-99999", False, "are 99,999 numbers"),
        ("1-2 [4]", True, "only whole numbers"),
    ],
)
def test_what_is_wrong_is_said_in_plain_words(typed: str, whole: bool, said: str) -> None:
    with pytest.raises(EngineError) as error:
        typed_numbers(typed, "strengths", whole=whole)
    assert said in str(error.value)
